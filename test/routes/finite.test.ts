/** `finite` and `nonfinite: error` refer to the numbers in the response, in the dtype of the response. */
import { describe, expect, it } from 'vitest'
import { toBfloat16, toHalf } from '../../src/wire/dtypes.ts'
import { f32, safetensors, sharedServer } from '../support/server.ts'

const server = sharedServer()

interface Problem {
  readonly type: string
  readonly detail: string
  readonly errors: readonly { pointer: string; detail: string }[]
}

const ask = server.ask

const tensor = (dtype: string, ...data: (number | string)[]) => ({ shape: [data.length], dtype, data })
const x = (dtype: string, number: number) => ({
  predictions: tensor(dtype, number),
  targets: tensor(dtype, 0),
})
const sum = { reduction: 'sum' }

/** Results that overflow their output dtype, and the place that is reported. */
const TOO_LARGE: readonly [what: string, path: string, body: object, pointer: string, detail: RegExp][] = [
  ['a float16 gradient', 'losses/mse', x('float16', 60000), '/gradients/predictions/0', /120000.*float16/],
  ['a bfloat16 gradient', 'losses/mse', x('bfloat16', 3.38e38), '/loss', /Infinity/],
  [
    'a gradient in bfloat16 that float32 holds',
    'losses/l1',
    {
      predictions: tensor('float32', 2),
      targets: tensor('float32', 1),
      ...sum,
      gradient_dtype: 'bfloat16',
      sample_weight: [3.4e38],
    },
    '/gradients/predictions/0',
    /bfloat16/,
  ],
  [
    'a gradient in the dtype that is asked for',
    'losses/mse',
    { ...x('float32', 60000), gradient_dtype: 'float16' },
    '/gradients/predictions/0',
    /120000.*float16/,
  ],
  [
    'a float64 gradient that leaves as float32',
    'losses/mse',
    { ...x('float64', 1e39), gradient_dtype: 'float32' },
    '/gradients/predictions/0',
    /2e\+39.*float32/,
  ],
  [
    'the second of several',
    'losses/mse',
    { predictions: tensor('float16', 1, 40000), targets: tensor('float16', 0, 0), ...sum },
    '/gradients/predictions/1',
    /80000.*float16/,
  ],
  [
    'a second derivative alone',
    'losses/mse',
    { ...x('float16', 1), hessian: 'diagonal', ...sum, sample_weight: [0.25], hessian_floor: 1e5 },
    '/hessian/predictions/0',
    /100000.*float16/,
  ],
  ['a loss', 'losses/mse', x('float32', 1e20), '/loss', /Infinity/],
  [
    'an unreduced loss',
    'losses/mse',
    { predictions: [1, 1e20], targets: [0, 0], reduction: 'none' },
    '/loss/1',
    /Infinity/,
  ],
  [
    "a composition's gradient in float16",
    'losses:compose',
    { terms: [{ loss: 'mse' }], ...x('float16', 60000) },
    '/gradients/predictions/0',
    /120000.*float16/,
  ],
  [
    "a composition's gradient in the dtype that is asked for",
    'losses:compose',
    { terms: [{ loss: 'mse' }, { loss: 'l1' }], ...x('float32', 60000), gradient_dtype: 'float16' },
    '/gradients/predictions/0',
    /120001.*float16/,
  ],
  [
    'a sum of terms that float32 does not hold, though it holds each',
    'losses:compose',
    { terms: [{ loss: 'mse', weight: 3 }, { loss: 'l1' }], ...x('float32', 1.3e19), gradients: false },
    '/loss',
    /5.0\d*e\+38.*float32/,
  ],
  [
    "a composition's term",
    'losses:compose',
    { terms: [{ loss: 'l1' }, { loss: 'mse' }], ...x('float32', 1e20), gradients: false },
    '/terms/1/value',
    /Infinity/,
  ],
]

describe('under nonfinite: error', () => {
  it.each(TOO_LARGE)('%s is rejected with its place', async (_, path, body, pointer, detail) => {
    const response = await ask(path, { ...body, nonfinite: 'error' })
    const problem = (await response.json()) as Problem
    expect(response.status, problem.detail).toBe(422)
    expect(problem.type).toBe('urn:lossd:problem:non-finite-result')
    expect(problem.errors[0]!.pointer).toBe(pointer)
    expect(problem.errors[0]!.detail).toMatch(detail)
  })

  it.each([
    ['float16', 65519, 65504],
    ['bfloat16', 3.3e38, 3.3e38],
  ])('the largest %s is returned', async (dtype, slope, narrowed) => {
    const weighted = { predictions: [1], targets: [0], ...sum, sample_weight: [slope], gradient_dtype: dtype }
    const response = await ask('losses/l1', { ...weighted, nonfinite: 'error' })
    expect(response.status).toBe(200)
    const { gradients, finite } = (await response.json()) as {
      gradients: { predictions: number[] }
      finite: boolean
    }
    expect(finite).toBe(true)
    expect(Math.abs(gradients.predictions[0]! / narrowed - 1)).toBeLessThan(0.01)
  })

  it('a second derivative that its floor makes finite is returned', async () => {
    const infinite = { predictions: [1], targets: [0], reduction: 'sum', sample_weight: [-3e38] }
    const body = { ...infinite, hessian: 'diagonal', hessian_floor: 1, nonfinite: 'error' }
    const response = await ask('losses/half_squared', body)
    expect(response.status, await response.clone().text()).toBe(200)
  })
})

describe('under nonfinite: propagate', () => {
  it.each(TOO_LARGE)('%s makes finite false', async (_, path, body) => {
    const response = await ask(path, body)
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ finite: false })
  })

  it('terms whose gradients are too large for float16, but not their sum, are finite together', async () => {
    const terms = [
      { loss: 'mse', weight: 1 },
      { loss: 'mse', weight: -1 },
    ]
    const response = await ask('losses:compose', { terms, ...x('float16', 60000), nonfinite: 'error' })
    expect(await response.json()).toMatchObject({ finite: true, gradients: { predictions: { data: [0] } } })
  })
})

describe('in safetensors', () => {
  const binary = (path: string, file: Buffer) =>
    fetch(`${server.url}/v1/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-safetensors' },
      body: new Uint8Array(file),
    })
  const word = (bits: number) => new Uint8Array(Uint16Array.of(bits).buffer)
  const scalar = (dtype: string, bytes: Uint8Array) => ({ dtype, shape: [1], bytes })
  const sent: readonly [string, ReturnType<typeof scalar>, object][] = [
    ['F16', scalar('F16', word(toHalf(60000))), {}],
    ['BF16', scalar('BF16', word(toBfloat16(3e38))), {}],
    ['F32 asked for as float16', scalar('F32', f32(60000)), { gradient_dtype: 'float16' }],
  ]

  it.each(sent)(
    '%s: a gradient that is too large is rejected, or makes finite false',
    async (_, predictions, options) => {
      const targets = { ...predictions, bytes: new Uint8Array(predictions.bytes.length) }
      for (const [path, extra] of [
        ['losses/mse', {}],
        ['losses:compose', { terms: [{ loss: 'mse' }] }],
      ] as const) {
        const file = (nonfinite: string) =>
          safetensors({ predictions, targets }, { ...options, ...extra, nonfinite })
        const refused = await binary(path, file('error'))
        expect(refused.status).toBe(422)
        const answer = Buffer.from(await (await binary(path, file('propagate'))).arrayBuffer())
        expect(answer.toString('latin1')).toContain('"finite":"false"')
      }
    },
  )
})

it('gradient_dtype works for a composition in which only some terms have gradients', async () => {
  const terms = [{ loss: 'mse' }, { loss: 'l1', inputs: { predictions: 'a', targets: 'b' } }]
  const tensors = { predictions: [1], targets: [0], a: [1], b: [2] }
  const response = await ask('losses:compose', {
    terms,
    ...tensors,
    gradients: ['a'],
    gradient_dtype: 'float16',
  })
  expect(response.status, await response.clone().text()).toBe(200)
  const declined = await ask('losses:compose', {
    terms,
    ...tensors,
    gradients: false,
    gradient_dtype: 'float16',
  })
  expect(declined.status).toBe(422)
})
