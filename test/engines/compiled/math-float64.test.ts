/** The math library of float64 kernels: within 2 roundings of exact values, and JavaScript's special cases. */
import { describe, expect, it } from 'vitest'
import { openCompiled } from '../../../src/engines/compiled/engine.ts'
import { lower, type Scope } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { SCALAR_SEMANTICS } from '../../../src/language/scalar.ts'
import { type Exact, exactMath } from '../../support/exact-math.ts'
import { randomFrom } from '../../support/sample.ts'

const real = { type: 'real', axes: ['...'] } as const
const scope: Scope = { inputs: { x: real, y: real }, absent: [], params: {}, axes: ['...'] }
const engine = openCompiled({ reason: 'test', threads: 0, memoryBytes: 2 ** 31, log: () => {} })

async function run(text: string, x: Float64Array, y = x): Promise<Float64Array> {
  const program = lower(parse(text), scope, [])
  const inputs = Object.fromEntries(Object.keys(program.inputs).map((name) => [name, [name === 'x' ? x : y]]))
  const { values } = await engine.run({
    programKey: text,
    program,
    precision: 'float64',
    sizes: { '...': x.length },
    inputs,
    scalars: {},
    cotangent: [Float64Array.of(1)],
  })
  expect(values).toBeInstanceOf(Float64Array)
  return values as Float64Array
}

const exact = exactMath(1280n)

type Meaning = (x: Exact) => Exact

const RANDOM = 150
const DOUBLE = new Float64Array(1)
const BITS = new BigInt64Array(DOUBLE.buffer)

/** The float64 a few steps away. */
function step(x: number, steps: number): number {
  DOUBLE[0] = x
  BITS[0]! += BigInt(steps)
  return DOUBLE[0]!
}

/** Numbers of all magnitudes within a range that may contain 0, and around the points where the algorithm changes. */
function points(low: number, high: number, corners: readonly number[]): Float64Array {
  const random = randomFrom(corners.length + Math.round(Math.abs(high) % 1000))
  const uniform = () => low + (high - low) * random()
  const small = (sign: number) =>
    sign * 2 ** (Math.log2(Math.abs(sign > 0 ? high : low)) - 60 * random() ** 2)
  const drawn = Array.from({ length: RANDOM }, (_, i) => {
    if (low >= 0) return i % 2 === 0 ? uniform() : small(1)
    return i % 3 === 0 ? uniform() : small(i % 3 === 1 || high <= 0 ? -1 : 1)
  })
  const near = corners.flatMap((x) => [-2, -1, 0, 1, 2].map((steps) => step(x, steps)))
  return Float64Array.from([...drawn, ...near].filter((x) => x >= low && x <= high && x !== 0))
}

async function worstOf(text: string, meaning: Meaning, x: Float64Array) {
  const got = await run(text, x)
  let worst = { roundings: 0, words: '' }
  x.forEach((at, i) => {
    const roundings = exact.roundingsOf(got[i]!, meaning(exact.exactly(at)))
    if (!(roundings <= worst.roundings)) worst = { roundings, words: `${text} at ${at}: ${got[i]}` }
  })
  return worst
}

const SUBNORMAL = 2 ** -1070
const both = (corners: readonly number[]) => [...corners, ...corners.map((x) => -x)]
const ROOTS = [Math.SQRT1_2, 1, Math.SQRT2, 2, 2 ** -1022, SUBNORMAL, 1e300]
/** Roundings. Functions that are made from others add theirs up. */
const WITHIN: Readonly<Record<string, number>> = { 'tanh(x)': 3, 'sigmoid(x)': 3, 'softplus(x)': 3 }
const CASES: readonly (readonly [string, Meaning, Float64Array])[] = [
  ['exp(x)', exact.exp, points(-744, 709.7, both([Math.LN2 / 2, 1, 700, 1e-17, 1e-300]))],
  ['expm1(x)', exact.expm1, points(-50, 709.7, both([Math.LN2 / 2, 0.9, 1e-17, 37, 1e-300]))],
  ['log(x)', exact.log, points(SUBNORMAL, 1e308, ROOTS)],
  ['log1p(x)', exact.log1p, points(-0.999999, 1e12, both([0.3, 0.41, 1e-17, 1e-16, 2.3e-16, 1e-8]))],
  ['log2(x)', exact.log2, points(SUBNORMAL, 1e308, ROOTS)],
  ['log10(x)', exact.log10, points(SUBNORMAL, 1e308, ROOTS)],
  ['tanh(x)', exact.tanh, points(-25, 25, both([0.17, 0.35, 1, 19, 1e-9]))],
  ['sigmoid(x)', exact.sigmoid, points(-700, 700, both([0.3, 30, 700]))],
  ['softplus(x)', exact.softplus, points(-700, 700, both([0.3, 30, 700]))],
  ['erf(x)', exact.erf, points(-7, 7, both([1, 1.0001, 2, 5.9, 6]))],
  [
    'sin(x)',
    exact.sin,
    points(-(2 ** 21), 2 ** 21, both([Math.PI, Math.PI / 4, Math.PI * 1000, 1e6, 1e-20])),
  ],
  ['cos(x)', exact.cos, points(-(2 ** 21), 2 ** 21, both([Math.PI / 2, Math.PI / 4, Math.PI * 1000.5, 1e6]))],
  ['atan(x)', exact.atan, points(-1e20, 1e20, both([7 / 16, 11 / 16, 19 / 16, 39 / 16, 1, 1e-9]))],
  ['asin(x)', exact.asin, points(-1, 1, both([0.5, 0.9, 0.999999, 1, 1e-9]))],
  ['acos(x)', exact.acos, points(-1, 1, both([0.5, 0.9, 0.999999, 1, 1e-9]))],
]

describe('float64 functions are within 2 roundings', () => {
  it.each(CASES)('%s', async (text, meaning, x) => {
    const worst = await worstOf(text, meaning, x)
    expect(worst.roundings, worst.words).toBeLessThanOrEqual(WITHIN[text] ?? 2)
  })

  it.each([0.5, -0.5, 1 / 3, 2, 3, -3, 7.1, -77, 1000.25, 1e-8])('x ^ %f', async (exponent) => {
    const end = Math.min(1e300, Math.exp(700 / Math.abs(exponent)))
    const x = points(Math.max(1e-300, 1 / end), end, [Math.SQRT1_2, 1, Math.SQRT2, 2])
    const got = await run(
      'x ^ y',
      x,
      x.map(() => exponent),
    )
    let worst = { roundings: 0, words: '' }
    x.forEach((at, i) => {
      const want = exact.pow(exact.exactly(at), exact.exactly(exponent))
      const roundings = exact.roundingsOf(got[i]!, want)
      if (!(roundings <= worst.roundings)) worst = { roundings, words: `${at} ^ ${exponent}: ${got[i]}` }
    })
    expect(worst.roundings, worst.words).toBeLessThanOrEqual(2)
  })

  it.each([
    ['lgamma(x)', exact.lgamma, points(1e-300, 1e15, [3, 0.5, 1.5, 10, 1e-9])],
    ['digamma(x)', exact.digamma, points(1e-300, 1e15, [1, 2, 3, 0.5, 1.4616321449683622, 10, 1e-9])],
  ] as const)('%s, within 16', async (text, meaning, x) => {
    const worst = await worstOf(text, meaning, x)
    expect(worst.roundings, worst.words).toBeLessThanOrEqual(16)
  })
})

const infinity = Number.POSITIVE_INFINITY
const EDGES = [
  0,
  -0,
  1,
  -1,
  0.5,
  -2,
  3,
  2 ** 53,
  -1e300,
  1e300,
  infinity,
  -infinity,
  Number.NaN,
  5e-324,
  -5e-324,
]

describe('special cases are those of JavaScript', () => {
  const names = [
    'exp',
    'expm1',
    'log',
    'log1p',
    'log2',
    'log10',
    'sigmoid',
    'softplus',
    'tanh',
    'erf',
    'atan',
    'asin',
    'acos',
    'round',
    'floor',
    'sign',
    'abs',
    'sin',
    'cos',
    'sqrt',
    'lgamma',
    'digamma',
  ] as const
  it.each(names)('%s', async (name) => {
    const x = Float64Array.from(EDGES)
    const got = await run(`${name}(x)`, x)
    const want = x.map((at) => SCALAR_SEMANTICS[name](at, 0))
    x.forEach((at, i) => {
      const [g, w] = [got[i]!, want[i]!]
      if (g === w || (Number.isNaN(g) && Number.isNaN(w))) return
      expect(Math.abs(g - w), `${name}(${at}) = ${g}, not ${w}`).toBeLessThanOrEqual(2e-15 * Math.abs(w))
    })
  })

  it('x ^ y', async () => {
    const pairs = EDGES.flatMap((a) => EDGES.map((b) => [a, b] as const))
    const [x, y] = [0, 1].map((place) => Float64Array.from(pairs, (pair) => pair[place]!))
    const got = await run('x ^ y', x!, y!)
    pairs.forEach(([a, b], i) => {
      const [g, w] = [got[i]!, a ** b]
      if (g === w || (Number.isNaN(g) && Number.isNaN(w))) return
      expect(Math.abs(g - w), `${a} ^ ${b} = ${g}, not ${w}`).toBeLessThanOrEqual(1e-15 * Math.abs(w))
    })
  })

  it('powers of the base have whole logarithms', async () => {
    const twos = Float64Array.from({ length: 2090 }, (_, k) => 2 ** (k - 1070))
    const tens = Float64Array.from({ length: 23 }, (_, k) => 10 ** k)
    expect(Array.from(await run('log2(x)', twos))).toEqual(Array.from(twos, (_, k) => k - 1070))
    expect(Array.from(await run('log10(x)', tens))).toEqual(Array.from(tens, (_, k) => k))
  })
})
