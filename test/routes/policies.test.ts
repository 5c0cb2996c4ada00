/**
 * What is rejected because it would be ignored or would be no loss, and what is accepted although it looks wrong: over
 * a real socket, in JSON and in safetensors.
 */
import { describe, expect, it } from 'vitest'
import { type JsonAnswer, safetensors, sharedServer } from '../support/server.ts'

const server = sharedServer()

const post = server.ask

interface Told {
  readonly errors: readonly { readonly pointer: string; readonly detail: string }[]
}

describe('rejected', () => {
  const box = [[0, 0, 2, 2]]
  const mask = { predictions: [[[0.5, 1.5]]], targets: [[[1, 0]]] }
  const ctc = {
    predictions: [
      [
        [-1, -1, -1],
        [-1, -1, -1],
        [-1, -1, -1],
      ],
    ],
    targets: [[1, 2]],
    input_lengths: [3],
    target_lengths: [2],
  }
  const pair = { policy_chosen: [1], policy_rejected: [0], reference_chosen: [0], reference_rejected: [0] }
  const triplet = { anchor: [[1, 2]], positive: [[1, 3]], negative: [[4, 4]] }
  const half = (value: number) => ({ shape: [1], dtype: 'float16', data: [value] })
  const huge = { predictions: half(60000), targets: half(0), nonfinite: 'error' }

  it.each([
    [
      'an ignored class that no label can be',
      'cross_entropy',
      { predictions: [[1, 2]], targets: [0], params: { ignore_index: 2 ** 31 } },
      '/params/ignore_index',
      '2147483647',
    ],
    [
      'an ignored class beside probabilities',
      'cross_entropy',
      { predictions: [[1, 2]], targets: [[0.5, 0.5]], params: { ignore_index: 1 } },
      '/params/ignore_index',
      'has no effect with targets probability; it requires targets class',
    ],
    [
      'a class axis beside class-major',
      'nll',
      {
        predictions: [
          [-1, -2],
          [-3, -4],
        ],
        targets: [0, 1],
        layout: 'class_major',
        params: { class_axis: -1 },
      },
      '/params/class_axis',
      'has no effect with layout class_major; it requires layout row',
    ],
    [
      'a dtype of gradients that were declined',
      'mse',
      { predictions: [1], targets: [1], gradients: false, gradient_dtype: 'float16' },
      '/gradient_dtype',
      'requires gradients, but gradients is false',
    ],
    [
      'a cotangent of gradients that were declined',
      'mse',
      { predictions: [1], targets: [1], gradients: false, reduction: 'none', grad_output: [1] },
      '/grad_output',
      'requires gradients, but gradients is false',
    ],
    [
      'a blank that is no class',
      'ctc',
      { ...ctc, params: { blank: 3 } },
      '/params/blank',
      'number of classes, 3',
    ],
    [
      'also where impossible labels cost nothing',
      'ctc',
      { ...ctc, params: { blank: 7, zero_infinity: true } },
      '/params/blank',
      '7',
    ],
    [
      'a blank among the labels',
      'ctc',
      { ...ctc, targets: [[1, 0]] },
      '/targets/0/1',
      'must not be the blank, 0',
    ],
    [
      'label smoothing that ipo would ignore',
      'dpo',
      { ...pair, params: { variant: 'ipo', label_smoothing: 0.1 } },
      '/params/label_smoothing',
      'has no effect with variant ipo',
    ],
    [
      'the order of a norm that is not used',
      'triplet_margin',
      { ...triplet, params: { distance: 'cosine', p: 3 } },
      '/params/p',
      'it requires distance lp',
    ],
    [
      'an epsilon that is not used',
      'poisson_nll',
      { predictions: [1], targets: [1], params: { epsilon: 0.1 } },
      '/params/epsilon',
      'has no effect with log_input true',
    ],
    ...['dice', 'jaccard', 'tversky', 'focal_tversky', 'generalized_dice'].map(
      (loss) =>
        [
          'predictions that are no probabilities',
          loss,
          { ...mask, params: { activation: 'none' } },
          '/predictions/0/0/1',
          'must be in [0, 1], got 1.5',
        ] as const,
    ),
    ...['iou', 'giou', 'diou', 'ciou'].map(
      (loss) =>
        [
          'true boxes with corners in the wrong order',
          loss,
          { predictions: box, targets: [[2, 0, 0, 2]] },
          '/targets/0/2',
          'x2 must be >= x1, got 0 after 2',
        ] as const,
    ),
    [
      'a negative rate',
      'poisson_nll',
      { predictions: [1, -0.5], targets: [1, 1], params: { log_input: false } },
      '/predictions/1',
      'must be >= 0, got -0.5',
    ],
    [
      'a label beyond int32',
      'nt_xent',
      { embeddings: [[1], [2]], labels: [0, 2 ** 31] },
      '/labels/1',
      'from -2147483648 to 2147483647, got 2147483648',
    ],
    [
      'a gradient that overflows the dtype in which it leaves',
      'mse',
      huge,
      '/gradients/predictions/0',
      'is 120000, which overflows float16',
    ],
    [
      'also in a dtype that is asked for',
      'mse',
      { predictions: [60000], targets: [0], gradient_dtype: 'float16', nonfinite: 'error' },
      '/gradients/predictions/0',
      'overflows float16',
    ],
    [
      'a second derivative that overflows',
      'mse',
      {
        predictions: [0],
        targets: [0],
        sample_weight: [50000],
        reduction: 'sum',
        hessian: 'diagonal',
        gradient_dtype: 'float16',
        nonfinite: 'error',
      },
      '/hessian/predictions/0',
      'is 100000, which overflows float16',
    ],
  ] as const)('%s: %s', async (_, loss, body, pointer, detail) => {
    const response = await post(`losses/${loss}`, body)
    const told = (await response.json()) as Told
    expect(response.status).toBe(422)
    expect(told.errors[0]!.pointer).toBe(pointer)
    expect(told.errors[0]!.detail).toContain(detail)
  })

  it('a composition whose sum overflows its output dtype', async () => {
    const terms = [1, 1].map((weight) => ({
      loss: 'mse',
      weight,
      inputs: { predictions: 'x', targets: 'y' },
    }))
    const body = { terms, x: half(30000), y: half(0) }
    expect(((await (await post('losses:compose', body)).json()) as JsonAnswer).finite).toBe(false)
    const nulled = (await (await post('losses:compose', { ...body, nonfinite: 'null' })).json()) as JsonAnswer
    expect(nulled.gradients.x).toEqual({ shape: [1], dtype: 'float16', data: [null] })
    const refused = await post('losses:compose', { ...body, nonfinite: 'error' })
    expect(refused.status).toBe(422)
    expect(((await refused.json()) as Told).errors[0]!.pointer).toBe('/gradients/x/0')
  })

  it('in safetensors as in JSON', async () => {
    const bytes = Uint8Array.from([0x53, 0x7b]) // 60000 as binary16
    const body = safetensors(
      {
        predictions: { dtype: 'F16', shape: [1], bytes },
        targets: { dtype: 'F16', shape: [1], bytes: Uint8Array.from([0, 0]) },
      },
      { nonfinite: 'error' },
    )
    const response = await fetch(`${server.url}/v1/losses/mse`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-safetensors' },
      body,
    })
    expect(response.status).toBe(422)
    expect(((await response.json()) as Told).errors[0]!.detail).toContain('overflows float16')
  })
})

describe('reported, if not rejected', () => {
  it('a result that overflows its output dtype is not finite', async () => {
    const half = (value: number) => ({ shape: [1], dtype: 'float16', data: [value] })
    const response = await post('losses/mse', { predictions: half(60000), targets: half(0) })
    const answer = (await response.json()) as JsonAnswer
    expect(response.status).toBe(200)
    expect(answer.finite).toBe(false)
  })
})

describe('accepted', () => {
  it.each([
    [
      'a parameter without effect at its default',
      'dpo',
      {
        policy_chosen: [1],
        policy_rejected: [0],
        reference_chosen: [0],
        reference_rejected: [0],
        params: { variant: 'ipo', label_smoothing: 0 },
      },
    ],
    [
      'infinite parameters, spelled as in tensors',
      'barron_robust',
      { predictions: [2], targets: [0], params: { alpha: '-Infinity' } },
    ],
    [
      'predicted boxes with corners in the wrong order',
      'giou',
      { predictions: [[2, 0, 0, 2]], targets: [[0, 0, 2, 2]] },
    ],
    [
      'a label 255 in a row of weight 0',
      'cross_entropy',
      {
        predictions: [
          [1, 2],
          [3, 4],
        ],
        targets: [0, 255],
        sample_weight: [1, 0],
      },
    ],
    [
      'the blank behind the length of a row',
      'ctc',
      {
        predictions: [
          [
            [-1, -1],
            [-1, -1],
          ],
        ],
        targets: [[1, 0]],
        input_lengths: [2],
        target_lengths: [1],
      },
    ],
  ] as const)('%s', async (_, loss, body) => {
    const response = await post(`losses/${loss}`, body)
    expect(response.status).toBe(200)
    expect(((await response.json()) as JsonAnswer).finite).toBe(true)
  })

  it('Welsch is the limit of barron_robust at alpha -Infinity, even for large errors', async () => {
    const response = await post('losses/barron_robust', {
      predictions: [2, 1e20],
      targets: [0, 0],
      params: { alpha: '-Infinity' },
      reduction: 'none',
    })
    const answer = (await response.json()) as JsonAnswer
    expect(answer.loss).toEqual([expect.closeTo(0.8646647, 6), 1])
    expect(answer.gradients!.predictions).toEqual([expect.closeTo(0.2706706, 6), 0])
  })
})

it('an int64 beyond int32 is reported with the limit and the number, in safetensors, too', async () => {
  const labels = {
    dtype: 'I64',
    shape: [2],
    bytes: new Uint8Array(BigInt64Array.of(0n, -(2n ** 33n) - 1n).buffer),
  }
  const embeddings = { dtype: 'F32', shape: [2, 1], bytes: new Uint8Array(8) }
  const body = new Uint8Array(safetensors({ embeddings, labels }))
  const response = await server.post('supcon', body, { 'content-type': 'application/x-safetensors' })
  expect(response.status).toBe(422)
  const { detail } = (await response.json()) as { detail: string }
  expect(detail).toContain('element 1 must be an integer from -2147483648 to 2147483647, got -8589934593')
})
