/** The HTTP contract: what a client may send, and what it receives, in both formats. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { expectClose } from '../support/close.ts'
import { type OracleCase, oracleNumbers } from '../support/oracles.ts'
import { f32, type JsonAnswer, readSafetensors, safetensors, sharedServer } from '../support/server.ts'

const server = sharedServer()

const BINARY = { 'content-type': 'application/x-safetensors' }
const tensor = (shape: readonly number[], ...numbers: number[]) => ({
  dtype: 'F32',
  shape,
  bytes: f32(...numbers),
})
const answerOf = async (loss: string, body: unknown) => {
  const response = await server.post(loss, body)
  expect(response.status, await response.clone().text()).toBe(200)
  return (await response.json()) as JsonAnswer
}
const binaryAnswer = async (loss: string, body: Buffer, headers = BINARY) => {
  const response = await server.post(loss, body, headers)
  const bytes = Buffer.from(await response.arrayBuffer())
  expect(response.status, bytes.toString()).toBe(200)
  return readSafetensors(bytes)
}

describe('a JSON request', () => {
  it('returns the loss, the gradient and the denominator', async () => {
    const body = {
      predictions: [[2.1, -0.3, 0.4]],
      targets: [0],
      params: { label_smoothing: 0.1 },
      reduction: 'mean',
      gradients: true,
    }
    const answer = await answerOf('cross_entropy', body)
    expectClose([answer.loss], [0.3783583154223864], { relative: 1e-6 })
    expectClose(answer.gradients.predictions[0], [-0.14803505, 0.03790733, 0.11012775], { relative: 1e-5 })
    expect(answer).toMatchObject({ denominator: 1, count: 1, finite: true })
  })

  it('may request no gradients, or some', async () => {
    const pair = { predictions: [1], targets: [3] }
    expect(await answerOf('mse', { ...pair, gradients: false })).not.toHaveProperty('gradients')
    expect(Object.keys((await answerOf('mse', { ...pair, gradients: ['targets'] })).gradients)).toEqual([
      'targets',
    ])
    expect(Object.keys((await answerOf('mse', pair)).gradients)).toEqual(['predictions', 'targets'])
  })

  it('returns numbers in the notation of the request', async () => {
    const flat = { shape: [2], dtype: 'float32', data: [2, 1] }
    const base64 = {
      shape: [2],
      dtype: 'float16',
      data: Buffer.from(new Uint16Array([0x3c00, 0x4000]).buffer).toString('base64'),
    }
    const answer = await answerOf('half_squared', { predictions: base64, targets: flat, reduction: 'sum' })
    expect(answer.gradients.targets).toEqual({ shape: [2], dtype: 'float32', data: [1, -1] })
    expect(answer.gradients.predictions).toEqual({ shape: [2], dtype: 'float16', data: 'ALwAPA==' })
  })

  it('exchanges NaN and infinities in both directions, and reports them', async () => {
    const answer = await answerOf('mse', {
      predictions: ['NaN', '-Infinity', 1],
      targets: [0, 0, 0],
      reduction: 'none',
    })
    expect(answer.loss).toEqual(['NaN', 'Infinity', 1])
    expect(answer.gradients.predictions).toEqual(['NaN', '-Infinity', 2])
    expect(answer.finite).toBe(false)
  })

  it('may have a safetensors response', async () => {
    const headers = { 'content-type': 'application/json', accept: 'application/x-safetensors' }
    const { tensors, members } = await binaryAnswer(
      'mse',
      Buffer.from('{"predictions":[1],"targets":[3]}'),
      headers,
    )
    expect(tensors.get('loss')).toEqual([4])
    expect(tensors.get('gradients.predictions')).toEqual([-4])
    expect(members).toEqual({ denominator: 1, count: 1, finite: true })
  })
})

describe('a safetensors request', () => {
  it('returns gradients in the dtype of the input, or in the requested one', async () => {
    const half = { dtype: 'F16', shape: [2], bytes: new Uint8Array(new Uint16Array([0x3c00, 0x4000]).buffer) }
    const inputs = { predictions: half, targets: tensor([2], 0, 0) }
    const send = async (metadata: object) => {
      const response = await server.post(
        'half_squared',
        safetensors(inputs, { reduction: 'sum', ...metadata }),
        BINARY,
      )
      const body = Buffer.from(await response.arrayBuffer())
      return JSON.parse(body.subarray(8, 8 + Number(body.readBigUInt64LE(0))).toString())[
        'gradients.predictions'
      ].dtype
    }
    expect(await send({})).toBe('F16')
    expect(await send({ gradient_dtype: 'float32' })).toBe('F32')
  })

  it('accepts every integer dtype for labels', async () => {
    const bytes = {
      I64: new Uint8Array(BigInt64Array.of(1n).buffer),
      I32: new Uint8Array(Int32Array.of(1).buffer),
      U8: Uint8Array.of(1),
      BOOL: Uint8Array.of(1),
    }
    for (const [dtype, data] of Object.entries(bytes)) {
      const targets = { dtype, shape: [1], bytes: data }
      const { tensors } = await binaryAnswer(
        'cross_entropy',
        safetensors({ predictions: tensor([1, 2], 0, 0), targets }),
      )
      expectClose(tensors.get('loss')!, [Math.LN2], { relative: 1e-6 })
    }
  })

  it('in float64 is computed in float64', async () => {
    const double = (...numbers: number[]) => ({
      dtype: 'F64',
      shape: [numbers.length],
      bytes: new Uint8Array(Float64Array.from(numbers).buffer),
    })
    const { tensors } = await binaryAnswer(
      'log_cosh',
      safetensors({ predictions: double(0.1, 1e-3), targets: double(0, 0) }, { reduction: 'none' }),
    )
    expectClose(
      tensors.get('loss')!,
      [0.1, 1e-3].map((e) => Math.log(Math.cosh(e))),
      { relative: 1e-9 },
    )
    expectClose(tensors.get('gradients.predictions')!, [0.1, 1e-3].map(Math.tanh), { relative: 1e-14 })
  })
})

describe('reduction', () => {
  const pair = {
    predictions: [
      [1, 2],
      [3, 4],
    ],
    targets: [
      [0, 0],
      [0, 0],
    ],
  }
  it.each([
    ['mean', 7.5, 4],
    ['sum', 30, 1],
    ['batchmean', 15, 2],
  ])('%s is %d over %d', async (reduction, loss, denominator) => {
    const answer = await answerOf('mse', { ...pair, reduction })
    expect(answer).toMatchObject({ loss, denominator })
    expect(answer.gradients.predictions[0][0]).toBeCloseTo(2 / denominator, 6)
  })

  it('none keeps the shape and accepts an upstream gradient', async () => {
    const answer = await answerOf('mse', {
      ...pair,
      reduction: 'none',
      grad_output: [
        [1, 0],
        [0, 2],
      ],
    })
    expect(answer.loss).toEqual([
      [1, 4],
      [9, 16],
    ])
    expect(answer.gradients.predictions).toEqual([
      [2, 0],
      [0, 16],
    ])
  })

  it("accepts the client's denominator, so that shards add up", async () => {
    const shard = (rows: number[][]) =>
      answerOf('mse', { predictions: rows, targets: rows.map(() => [0, 0]), denominator: 4 })
    const [a, b] = [await shard([[1, 2]]), await shard([[3, 4]])]
    expect(a.loss + b.loss).toBe(7.5)
  })

  it('weights rows, and ignores a row of weight 0 even if it is NaN', async () => {
    const answer = await answerOf('mse', {
      predictions: [
        ['NaN', 1],
        [3, 4],
      ],
      targets: pair.targets,
      sample_weight: [0, 2],
      reduction: 'sum',
    })
    expect(answer.loss).toBe(50)
    expect(answer.gradients.predictions).toEqual([
      [0, 0],
      [12, 16],
    ])
    expect(answer.finite).toBe(true)
  })

  it('over rows that are all ignored is 0 with zero gradients', async () => {
    const answer = await answerOf('cross_entropy', { predictions: [['NaN', 1]], targets: [-100] })
    expect(answer).toMatchObject({
      loss: 0,
      count: 0,
      denominator: 0,
      finite: true,
      gradients: { predictions: [[0, 0]] },
    })
  })

  it('over no rows at all is 0 for a sum', async () => {
    expect(await answerOf('mse', { predictions: [], targets: [], reduction: 'sum' })).toMatchObject({
      loss: 0,
      count: 0,
      gradients: { predictions: [] },
    })
  })
})

describe('class_axis', () => {
  it('supports classes in the last axis as well as in the second', async () => {
    const last = {
      predictions: [
        [
          [1, 2, 3],
          [0, 5, 1],
        ],
      ],
      targets: [[2, 1]],
      params: { class_axis: -1 },
    }
    const second = {
      predictions: [
        [
          [1, 0],
          [2, 5],
          [3, 1],
        ],
      ],
      targets: [[2, 1]],
    }
    const [a, b] = [await answerOf('cross_entropy', last), await answerOf('cross_entropy', second)]
    expect(a.loss).toBe(b.loss)
    const transposed = [0, 1, 2].map((c) => [
      a.gradients.predictions[0][0][c],
      a.gradients.predictions[0][1][c],
    ])
    expect(b.gradients.predictions[0]).toEqual(transposed)
  })
})

describe('pos_weight', () => {
  it('applies to the last axis', async () => {
    const answer = await answerOf('bce_with_logits', {
      predictions: [[0, 0]],
      targets: [[1, 1]],
      pos_weight: [1, 3],
      reduction: 'none',
    })
    expectClose(answer.loss[0], [Math.LN2, 3 * Math.LN2], { relative: 1e-6 })
  })
})

describe('a masked value', () => {
  const numbers = [1, 0.5, 0, 7, 0, 0.5, 1, -3]
  const options = { params: { activation: 'none', smooth: 0 }, reduction: 'none' }
  const inputs = { predictions: [[numbers.slice(0, 4), numbers.slice(4)]], targets: [[0, 0, 1, 9]] }
  const want = {
    loss: [[expect.closeTo(1 / 7), expect.closeTo(0.2)]],
    gradients: { predictions: [[expect.arrayContaining([0]), expect.arrayContaining([0])]] },
    count: 2,
    finite: true,
  }

  it.each([
    ['numbers', [[1, 1, 1, 0]]],
    ['truth values', [[true, true, true, false]]],
    [
      'one number a class',
      [
        [
          [1, 1, 1, 0],
          [1, 1, 1, 0],
        ],
      ],
    ],
    ['a typed tensor', { dtype: 'uint8', shape: [1, 4], data: [1, 1, 1, 0] }],
  ])('may be anything in JSON, with a mask of %s', async (_, mask) => {
    const answer = await answerOf('dice', { ...inputs, ...options, mask, nonfinite: 'error' })
    expect(answer).toMatchObject(want)
    const { targets, predictions } = inputs
    const [[first, second]] = predictions as [number[][]]
    const spoilt = [
      [
        [...first!.slice(0, 3), 'NaN'],
        [...second!.slice(0, 3), '-Infinity'],
      ],
    ]
    expect(await answerOf('dice', { targets, predictions: spoilt, ...options, mask })).toEqual(answer)
  })

  it.each(['BOOL', 'U8'])('may be anything in safetensors, with a mask of %s', async (dtype) => {
    const tensors = {
      predictions: tensor([1, 2, 4], ...numbers),
      targets: {
        dtype: 'I64',
        shape: [1, 4],
        bytes: new Uint8Array(BigInt64Array.of(0n, 0n, 1n, 9n).buffer),
      },
      mask: { dtype, shape: [1, 4], bytes: Uint8Array.of(1, 1, 1, 0) },
    }
    const { tensors: answer } = await binaryAnswer('dice', safetensors(tensors, options))
    expectClose(answer.get('loss')!, [1 / 7, 0.2], { relative: 1e-6 })
    expect([3, 7].map((place) => answer.get('gradients.predictions')![place])).toEqual([0, 0])
  })

  it('is rejected if the mask counts it', async () => {
    const response = await server.post('dice', { ...inputs, ...options, mask: [[1, 1, 0, 1]] })
    expect(response.status).toBe(422)
    const { errors } = (await response.json()) as { errors: { pointer: string; detail: string }[] }
    expect(errors).toEqual([
      { pointer: '/predictions/0/0/3', detail: expect.stringContaining('must be in [0, 1], got 7') },
    ])
  })
})

describe('the oracles are reproduced', () => {
  const names = [
    'huber',
    'cross_entropy',
    'sigmoid_focal',
    'triplet_margin',
    'nt_xent',
    'dice',
    'generalized_dice',
    'lovasz',
    'pairwise_logistic_ranking',
  ]
  it.each(names)('for %s as JSON and as safetensors', async (name) => {
    const cases: OracleCase[] = JSON.parse(
      readFileSync(new URL(`../oracles/${name}.json`, import.meta.url), 'utf8'),
    )
    for (const { inputs, params, expected } of cases) {
      const wants = Object.keys(expected.gradients)
      const flat = Object.fromEntries(
        Object.entries(inputs).map(([input, { dtype, shape, data }]) => [
          input,
          { shape, dtype: dtype === 'int64' ? 'int64' : 'float32', data },
        ]),
      )
      const viaJson = await answerOf(name, {
        ...flat,
        params,
        reduction: expected.gradients_of,
        gradients: wants,
      })
      const tensors = Object.entries(inputs).map(([input, { dtype, shape, data }]) => {
        const numbers = data.map(Number)
        const bytes =
          dtype === 'int64' ? new Uint8Array(BigInt64Array.from(numbers, BigInt).buffer) : f32(...numbers)
        return [input, { dtype: dtype === 'int64' ? 'I64' : 'F32', shape, bytes }] as const
      })
      const viaBinary = await binaryAnswer(
        name,
        safetensors(Object.fromEntries(tensors), {
          params,
          reduction: expected.gradients_of,
          gradients: wants,
        }),
      )
      // float32 against float64: the tolerance of shared reference checks.
      const want = oracleNumbers(expected[expected.gradients_of])
      expectClose(oracleNumbers(viaJson.loss), want, { relative: 2e-5, absolute: 1e-6 })
      expectClose(viaBinary.tensors.get('loss')!, want, { relative: 2e-5, absolute: 1e-6 })
      for (const input of wants) {
        const gradient = oracleNumbers(expected.gradients[input])
        expectClose(oracleNumbers(viaJson.gradients[input]), gradient, { relative: 2e-5, absolute: 1e-6 })
        expectClose(viaBinary.tensors.get(`gradients.${input}`)!, gradient, {
          relative: 2e-5,
          absolute: 1e-6,
        })
      }
    }
  })
})
