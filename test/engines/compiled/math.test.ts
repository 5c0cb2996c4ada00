/** The math library of compiled kernels, swept over the whole float32 range: at most 4 ulp from float64. */
import { describe, expect, it } from 'vitest'
import { openCompiled } from '../../../src/engines/compiled/engine.ts'
import { lower, type Scope } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { SCALAR_SEMANTICS } from '../../../src/language/scalar.ts'
import { depth } from '../../support/depth.ts'

const real = { type: 'real', axes: ['...'] } as const
const scope: Scope = { inputs: { x: real, y: real }, absent: [], params: {}, axes: ['...'] }
const engine = openCompiled({ reason: 'test', threads: 0, memoryBytes: 2 ** 31, log: () => {} })

/** Step through the bit patterns of float32 (both signs, denormals, infinities, NaN). Odd, so that exponents and low bits vary independently. */
const STEP = depth(20_011, 2503)
const WORST = 4

/** Bit patterns of the whole range, and all of them near the points where functions change their algorithm. */
const sweep = (() => {
  const bits = new Uint32Array(Math.ceil(2 ** 32 / STEP)).map((_, i) => i * STEP)
  const corners = [
    0,
    1e-45,
    1e-38,
    2 ** -126,
    0.25,
    0.34657,
    0.5,
    0.7071,
    1,
    1.4142,
    2,
    9,
    10,
    87.3,
    88.72,
    88.73,
    103.9,
  ]
  const near = corners.flatMap((x) => [-2, -1, 0, 1, 2].map((ulps) => x * (1 + ulps * 6e-8)))
  return Float32Array.from([
    ...new Float32Array(bits.buffer),
    ...near,
    ...near.map((x) => -x),
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.NaN,
  ])
})()

/** Distance in ulp of float32 at `want`; 0 if both are the same non-finite number. */
function ulps(got: number, want: number): number {
  const nearest = Math.fround(want)
  if (got === nearest || (Number.isNaN(got) && Number.isNaN(nearest))) return 0
  if (!Number.isFinite(got) || !Number.isFinite(nearest))
    return Number.isFinite(want) && Math.abs(want) > 3.4e38 ? 1 : 1e9
  const exponent = Math.floor(Math.log2(Math.max(Math.abs(want), 2 ** -126)))
  return Math.abs(got - want) / 2 ** (exponent - 23)
}

async function run(text: string, x: Float32Array, y: Float32Array): Promise<Float32Array> {
  const program = lower(parse(text), scope, [])
  const { values } = await engine.run({
    programKey: text,
    program,
    precision: 'float32',
    sizes: { '...': x.length },
    inputs: { x: [x], y: [y] },
    scalars: {},
    cotangent: [Float32Array.of(1)],
  })
  return values as Float32Array
}

async function worst(text: string, meaning: (x: number, y: number) => number, y: number): Promise<string> {
  const second = new Float32Array(sweep.length).fill(y)
  const got = await run(text, sweep, second)
  let found = { distance: 0, place: 0 }
  sweep.forEach((x, place) => {
    const distance = ulps(got[place]!, meaning(x, Math.fround(y)))
    if (distance > found.distance) found = { distance, place }
  })
  const x = sweep[found.place]!
  return found.distance <= WORST
    ? ''
    : `${text} at ${x}: ${got[found.place]}, ${found.distance.toFixed(1)} ulp off`
}

describe('compiled functions are within 4 ulp over the whole range', () => {
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
    'sin',
    'cos',
    'sqrt',
    'lgamma',
    'digamma',
  ] as const
  it.each(names)('%s', async (name) => {
    expect(await worst(`${name}(x)`, SCALAR_SEMANTICS[name], 0)).toBe('')
  })

  it.each([1, 2, 3, 5])('polygamma(%i, x)', async (n) => {
    expect(await worst(`polygamma(${n}, x)`, (x) => SCALAR_SEMANTICS.polygamma(n, x), 0)).toBe('')
  })

  it('log10 of powers of ten and log2 of powers of two are integers', async () => {
    const powers = Float32Array.from({ length: 11 }, (_, k) => 10 ** k)
    const doubles = Float32Array.from({ length: 270 }, (_, k) => 2 ** (k - 149))
    expect(Array.from(await run('log10(x)', powers, powers))).toEqual(Array.from(powers, Math.log10))
    expect(Array.from(await run('log2(x)', doubles, doubles))).toEqual(Array.from(doubles, Math.log2))
  })

  const exponents = [0.5, -0.5, 1 / 3, 2.5, 3, -3, 7, 10, -77, 0.001, -1.7, 1e-8, 0, 1, Number.NaN]
  it.each([...exponents, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('x ^ %f', async (y) => {
    expect(await worst('x ^ y', SCALAR_SEMANTICS.pow, y)).toBe('')
  })
})
