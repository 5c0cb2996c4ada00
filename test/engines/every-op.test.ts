/** Every element-wise op on every engine equals its definition, near 0, for large numbers and at infinity. */
import { describe, expect, it } from 'vitest'
import { interpret } from '../../src/language/interpret.ts'
import { lower, type Scope } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { SCALAR_SEMANTICS } from '../../src/language/scalar.ts'
import { availableEngines } from '../support/engines.ts'

const scope: Scope = { inputs: { x: { type: 'real', axes: ['...'] } }, absent: [], params: {}, axes: ['...'] }
const magnitudes = [0, 1e-20, 1e-9, 1e-4, 1e-3, 0.1, 0.5, 1, 2, 5, 20, 80, Number.POSITIVE_INFINITY]
const points = Float32Array.from([...magnitudes, ...magnitudes.map((x) => -x), Number.NaN])
const positive = Float32Array.from(magnitudes)

/** Ties of rounding, and their neighbouring float32 numbers. */
const halves = Float32Array.of(-3.5, -2.5, -1.5, -0.5, 0.5, 0.49999997, 1.5, 2.5, 2.5000002, 8388607.5, 1e10)

/** Numbers on both sides of zeros and poles, and others. */
const gammas = Float32Array.of(
  ...points,
  ...[1, 2, 3, 1.4616321, 0.5, 1.5, 2.5, 4, 10, 1e4, 1e30].flatMap((x) => [
    x,
    x * (1 - 1e-6),
    x * (1 + 1e-6),
  ]),
  ...[-0.5, -1.000001, -1.999999, -2.5, -7.25, -100.7, -1e8],
)

const FUNCTIONS = [
  ['-x', points],
  ['abs(x)', points],
  ['exp(x)', points],
  ['expm1(x)', points],
  ['log(x)', positive],
  ['log1p(x)', positive],
  ['log2(x)', positive],
  ['log10(x)', positive],
  ['log1p(-x / 100)', positive.slice(0, -1)],
  ['sqrt(x)', positive],
  ['safe_sqrt(x)', positive],
  ['sigmoid(x)', points],
  ['tanh(x)', points],
  ['softplus(x)', points],
  ['logsigmoid(x)', points],
  ['sign(x)', points],
  ['floor(x)', points],
  ['ceil(x)', points],
  ['round(x)', points],
  ['round(x)', halves],
  ['sin(x)', points],
  ['cos(x)', points],
  ['atan(x)', points],
  ['asin(x)', points],
  ['acos(x)', points],
  ['erf(x)', points],
  ['lgamma(x)', gammas],
  ['digamma(x)', gammas],
  ['trigamma(x)', gammas],
  ['polygamma(2, x)', gammas],
  ['polygamma(5, x)', gammas],
  ['max(x, 1)', points],
  ['min(x, 1)', points],
  ['stop_gradient(x)', points],
  ['is_finite(x) ? 1 : 0', points],
  ['x < 1 or not x < 5 ? 1 : 0', points],
  ['x ^ 2', points],
  ['logaddexp(x, 1)', points],
  ['silu(x)', points.filter((x) => x > -Infinity)],
  ['1 / x', positive.slice(1)],
] as const

describe.each(await availableEngines())('$name', ({ open, flushesSubnormals }) => {
  // Subnormal numbers, or the smallest normal float32.
  const tiny = flushesSubnormals ? 2 ** -126 : 1e-44

  it.each(FUNCTIONS)('%s', async (text, x) => {
    const program = lower(parse(text), scope, [])
    const shared = {
      programKey: text,
      program,
      sizes: { '...': x.length },
      scalars: {},
      precision: 'float32' as const,
    }
    const engine = await open()
    const { values } = await engine.run({
      ...shared,
      inputs: { x: [x] },
      cotangent: [Float32Array.of(1)],
    })
    const want = interpret(program, { ...shared, inputs: { x: Float64Array.from(x) } }).values
    want.forEach((w, i) => {
      const got = values[i]!
      if (Object.is(got, w) || got === w || got === Math.fround(w)) return
      // A few roundings of float32; erf in tfjs is an approximation that is off by 1.5e-7 (Abramowitz and Stegun 7.1.26), and
      // its wasm backend reduces arguments of sin and cos in float32.
      const allowed = /^(erf|sin|cos)/.test(text) ? 3e-7 : 2e-6 * Math.abs(w) + tiny
      expect(Math.abs(got - w), `${text} at ${x[i]}: ${got}, expected ${w}`).toBeLessThanOrEqual(allowed)
    })
  })
})

it('every unary op is tested', () => {
  const tried = new Set<string>(
    FUNCTIONS.flatMap(([text]) => lower(parse(text), scope, []).nodes.map(({ op }) => op)),
  )
  // A marker for the gradient, which is no longer in the program that an engine gets.
  tried.add('stop_gradient')
  const unary = Object.entries(SCALAR_SEMANTICS).filter(([, meaning]) => meaning.length === 1)
  expect(unary.map(([op]) => op).filter((op) => !tried.has(op))).toEqual([])
})
