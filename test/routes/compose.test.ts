/** POST /v1/losses:compose over a real socket: the sum of its terms, in both formats, and errors. */
import { describe, expect, it } from 'vitest'
import { expectClose } from '../support/close.ts'
import { f32, type JsonAnswer, readSafetensors, safetensors, sharedServer } from '../support/server.ts'

const server = sharedServer({ engine: 'compiled', threads: 1 })

const logits = [[[2, -1, 0.5, -3]]]
const mask = [[[1, 0, 1, 0]]]
const names = { predictions: 'logits', targets: 'mask' }
const terms = [
  { loss: 'binary_cross_entropy_with_logits', inputs: names },
  { loss: 'dice', weight: 0.5, inputs: names, params: { smooth: 0 } },
]

interface Composed extends JsonAnswer {
  readonly terms: readonly { loss: string; weight: number; value: number; denominator: number }[]
}

const compose = (body: unknown) =>
  fetch(`${server.url}/v1/losses:compose`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
const composed = async (body: unknown): Promise<Composed> => {
  const response = await compose(body)
  expect(response.status, await response.clone().text()).toBe(200)
  return (await response.json()) as Composed
}
const alone = async (loss: string, body: unknown) =>
  (await (await server.post(loss, body)).json()) as JsonAnswer
const flat = (numbers: unknown) => [numbers].flat(9) as number[]

describe('a composition', () => {
  it('uses a tensor for the input that a term maps it to, not for an optional one of the same name', async () => {
    const [, dice] = terms
    const called = await composed({ terms: [dice], logits, mask })
    const other = { ...dice!, inputs: { ...names, targets: 'regions' } }
    const anyhow = await composed({ terms: [other], logits, regions: mask })
    expect(called.loss).toBe(anyhow.loss)
    expect((await composed({ terms: [other], logits, regions: mask, mask })).loss).not.toBe(anyhow.loss)
  })

  it('is the weighted sum of its terms and their gradients', async () => {
    const answer = await composed({ terms, logits, mask })
    const first = await alone('binary_cross_entropy_with_logits', { predictions: logits, targets: mask })
    const second = await alone('dice', { predictions: logits, targets: mask, params: { smooth: 0 } })
    expectClose(flat(answer.loss), [Number(first.loss) + 0.5 * Number(second.loss)], { relative: 1e-6 })
    const sum = flat(first.gradients.predictions).map(
      (g, i) => g + 0.5 * flat(second.gradients.predictions)[i]!,
    )
    expectClose(flat(answer.gradients.logits), sum, { relative: 1e-6 })
    expect(answer.terms).toMatchObject([
      { loss: 'binary_cross_entropy_with_logits', weight: 1, value: first.loss, denominator: 4 },
      { loss: 'dice', weight: 0.5, value: second.loss, denominator: 1 },
    ])
  })

  it('adds the gradients of two inputs that are the same tensor', async () => {
    const { gradients } = await composed({
      terms: [{ loss: 'mse', inputs: { predictions: 'x', targets: 'x' } }],
      x: [1, 2],
    })
    expect(gradients.x).toEqual([0, 0])
  })

  it('supports safetensors', async () => {
    const tensor = (numbers: number[]) => ({ dtype: 'F32', shape: [1, 1, 4], bytes: f32(...numbers) })
    const body = safetensors({ logits: tensor(flat(logits)), mask: tensor(flat(mask)) }, { terms })
    const headers = { 'content-type': 'application/x-safetensors' }
    const response = await fetch(`${server.url}/v1/losses:compose`, {
      method: 'POST',
      headers,
      body: new Uint8Array(body),
    })
    const { tensors, members } = readSafetensors(Buffer.from(await response.arrayBuffer()))
    const json = await composed({ terms, logits, mask })
    expectClose(tensors.get('loss')!, flat(json.loss), { relative: 1e-7 })
    expectClose(tensors.get('gradients.logits')!, flat(json.gradients.logits), { relative: 1e-7 })
    expect(members.terms).toEqual(json.terms)
  })

  it('ignores a term of weight 0, whatever its value is', async () => {
    const infinite = { loss: 'poisson_nll', weight: 0, inputs: { predictions: 'x', targets: 'y' } }
    const plain = { loss: 'mse', inputs: { predictions: 'x', targets: 'y' } }
    const answer = await composed({ terms: [plain, infinite], x: [1e3], y: [1] })
    expect(answer).toMatchObject({ loss: 998001, gradients: { x: [1998] }, finite: true })
  })

  it('computes only the requested gradients', async () => {
    const three = [
      { loss: 'triplet_margin' },
      { loss: 'mse', inputs: { predictions: 'anchor', targets: 'positive' } },
    ]
    const tensors = { anchor: [[1, 2]], positive: [[1, 1]], negative: [[1, 2.5]] }
    const answer = await composed({ terms: three, ...tensors, gradients: ['anchor'] })
    expect(Object.keys(answer.gradients)).toEqual(['anchor'])
  })
})

describe('an invalid composition', () => {
  it.each<[string, object, number, string, string]>([
    ['no terms', { logits }, 422, '/terms', 'is required in a composition'],
    [
      'a tensor that nobody reads',
      { terms, logits, mask, extra: [1] },
      422,
      '/extra',
      'is not read by any term',
    ],
    ['a missing tensor', { terms, logits }, 422, '/mask', 'is required by'],
    ['a misspelt loss', { terms: [{ loss: 'hubre' }] }, 404, '', 'Did you mean "huber"'],
    [
      'a misspelt input',
      { terms: [{ loss: 'mse', inputs: { prediction: 'logits' } }], logits },
      422,
      '/terms/0/inputs/prediction',
      'Did you mean "predictions"',
    ],
    [
      'a parameter out of range',
      { terms: [terms[0], { ...terms[1], params: { smooth: -1 } }], logits, mask },
      422,
      '/terms/1/params/smooth',
      '>= 0',
    ],
    ['a member that a term has not', { terms: [{ loss: 'mse', wieght: 2 }] }, 422, '/terms/0/wieght', ''],
    ['reduction none', { terms, logits, mask, reduction: 'none' }, 422, '/reduction', ''],
    [
      'a gradient of nothing',
      { terms, logits, mask, gradients: ['logit'] },
      422,
      '/gradients/0',
      'Did you mean "logits"',
    ],
  ])('%s', async (_, body, status, pointer, detail) => {
    const response = await compose(body)
    const problem = (await response.json()) as { detail: string; errors?: { pointer: string }[] }
    expect(response.status, problem.detail).toBe(status)
    expect(problem.detail).toContain(detail)
    if (pointer !== '') expect(problem.errors![0]!.pointer).toBe(pointer)
  })
})
