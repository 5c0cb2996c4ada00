/** The math functions of XLA, swept over the whole float32 range and compared with float64. */
import { describe, expect, it } from 'vitest'
import { lower, type Scope } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { SCALAR_SEMANTICS } from '../../../src/language/scalar.ts'
import { openTensorflow, untested } from '../../support/tensorflow.ts'

const real = { type: 'real', axes: ['...'] } as const
const scope: Scope = { inputs: { x: real, y: real }, absent: [], params: {}, axes: ['...'] }

/** Step through the bit patterns of float32 (both signs, infinities, NaN). Odd, so that exponents and low bits vary independently. */
const STEP = 20011
/** TensorFlow flushes smaller numbers to 0. */
const SMALLEST = 2 ** -126

const sweep = (() => {
  const bits = new Uint32Array(Math.ceil(2 ** 32 / STEP)).map((_, i) => i * STEP)
  const near = [0, 0.25, 0.5, 1, 2, 9, 87.3, 88.72].flatMap((x) => [x, x * (1 + 6e-8), x * (1 - 6e-8)])
  const infinity = Number.POSITIVE_INFINITY
  const all = [...new Float32Array(bits.buffer), ...near, ...near.map((x) => -x), infinity, -infinity]
  return Float32Array.from(all.filter((x) => x === 0 || !(Math.abs(x) < SMALLEST)))
})()

/** Distance in ulp; infinite for a wrong NaN or infinity. */
function ulps(got: number, want: number): number {
  const nearest = Math.fround(want)
  if (got === nearest || (Number.isNaN(got) && Number.isNaN(nearest))) return 0
  // An intermediate power of e may be below the smallest number.
  if (Math.abs(want) < 4 * SMALLEST && Math.abs(got) < 4 * SMALLEST) return 0
  const isEdge = Math.abs(want) > 3.4e38 && Math.abs(got) > 3.4e38 && got * want > 0
  if (!Number.isFinite(got) || !Number.isFinite(nearest)) return isEdge ? 1 : Number.POSITIVE_INFINITY
  return Math.abs(got - want) / 2 ** (Math.floor(Math.log2(Math.max(Math.abs(want), SMALLEST))) - 23)
}

describe.skipIf(untested !== undefined)('functions that XLA compiles', async () => {
  const engine = untested === undefined ? await openTensorflow() : undefined

  async function worst(text: string, meaning: (x: number, y: number) => number, y: number, most: number) {
    const { values } = await engine!.run({
      programKey: `sweep ${text}`,
      program: lower(parse(text), scope, []),
      precision: 'float32',
      sizes: { '...': sweep.length },
      inputs: { x: [sweep], y: [new Float32Array(sweep.length).fill(y)] },
      scalars: {},
      cotangent: [Float32Array.of(1)],
    })
    let found = { distance: 0, said: '' }
    sweep.forEach((x, i) => {
      const distance = ulps(values[i]!, meaning(x, Math.fround(y)))
      if (distance > found.distance)
        found = { distance, said: `${text} at ${x}: ${values[i]}, ${distance} ulp off` }
    })
    return found.distance <= most ? '' : found.said
  }

  const LIMITS = [
    // 5.3 where e^x is about to overflow, 2 elsewhere.
    ['exp', 6],
    ['expm1', 6],
    ['log', 4],
    ['log1p', 4],
    ['sigmoid', 4],
    ['softplus', 4],
    // A rational function, whose roundings add up to 4.7 without fused multiply-adds.
    ['tanh', 5],
    ['erf', 4],
    ['atan', 4],
    ['sin', 4],
    ['cos', 4],
    ['sqrt', 4],
    ['lgamma', 4],
    ['digamma', 4],
    ['log2', 1],
    ['log10', 1],
    ['asin', 1],
    ['acos', 1],
    ['round', 0],
    ['abs', 0],
    ['sign', 0],
    ['floor', 0],
  ] as const
  it.each(LIMITS)('%s is within %i units in the last place', async (name, most) => {
    expect(await worst(`${name}(x)`, SCALAR_SEMANTICS[name], 0, most)).toBe('')
  })

  const infinity = Number.POSITIVE_INFINITY
  const exponents = [0.5, -0.5, 1 / 3, 2.5, 3, -3, 7, -77, 1e-8, 0, 1, Number.NaN, infinity, -infinity]
  it.each(exponents)('x ^ %f', async (y) => {
    expect(await worst('x ^ y', SCALAR_SEMANTICS.pow, y, 4)).toBe('')
  })

  it.each(['max', 'min'] as const)('%s propagates NaN from either argument', async (name) => {
    for (const y of [Number.NaN, 0.5, -infinity])
      expect(await worst(`${name}(x, y)`, SCALAR_SEMANTICS[name], y, 0)).toBe('')
  })
})
