/** lgamma and its derivatives on every engine: within 16 roundings of mpmath's numbers, and their poles. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../../src/engines/contract.ts'
import { digamma, lgamma, polygamma } from '../../src/language/gamma.ts'
import { lower, type Scope } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { availableEngines } from '../support/engines.ts'
import { GAMMA_FUNCTIONS, GAMMA_POINTS } from '../support/gamma.ts'

const scope: Scope = { inputs: { x: { type: 'real', axes: ['...'] } }, absent: [], params: {}, axes: ['...'] }
/** Half of the distance between 1 and the next float32. */
const ROUNDING = 2 ** -24
const LARGEST = 3.4028234663852886e38
/** As in accuracy.ts: below this, relative errors mean nothing. */
const SMALLEST = 1e-30

describe.each(await availableEngines())('$name', ({ name, open }) => {
  let engine: Engine
  beforeAll(async () => {
    engine = await open()
  })
  afterAll(() => engine.close())

  async function run(text: string, x: Float32Array): Promise<ArrayLike<number>> {
    const { values } = await engine.run({
      programKey: text,
      program: lower(parse(text), scope, []),
      precision: 'float32',
      sizes: { '...': x.length },
      inputs: { x: [x] },
      scalars: {},
      cotangent: [Float32Array.of(1)],
    })
    return values
  }

  it.each(GAMMA_FUNCTIONS)('$text is within 16 roundings', async ({ text, values, slopes }) => {
    const got = await run(text, Float32Array.from(GAMMA_POINTS))
    let worst = { roundings: 0, place: 0 }
    values.forEach((want, place) => {
      const x = GAMMA_POINTS[place]!
      if (Math.abs(want) < SMALLEST) return
      if (Math.abs(want) > LARGEST) {
        expect(got[place]! * Math.sign(want), `${text} at ${x}`).toBeGreaterThan(LARGEST * 0.999)
        return
      }
      // Left of 0 the function has infinitely many zeros, near which a rounding of x changes the result.
      const moved = x < 0 ? Math.abs(x * slopes[place]!) : 0
      const roundings = Math.abs(got[place]! - want) / (ROUNDING * (Math.abs(want) + moved)) || 0
      if (got[place] !== want && !(roundings <= worst.roundings)) worst = { roundings, place }
    })
    const [x, want] = [GAMMA_POINTS[worst.place], values[worst.place]]
    const where = `${name}: ${text} at ${x}: ${got[worst.place]}, not ${want}`
    expect(worst.roundings, where).toBeLessThanOrEqual(16)
  })

  it.each([
    ['lgamma(x)', lgamma],
    ['digamma(x)', digamma],
    ['trigamma(x)', (x: number) => polygamma(1, x)],
    ['polygamma(2, x)', (x: number) => polygamma(2, x)],
  ])('%s has its poles', async (text, meaning) => {
    const infinity = Number.POSITIVE_INFINITY
    const x = Float32Array.of(0, -0, -1, -2, -3, -1000, -1e8, -3e38, infinity, -infinity, Number.NaN)
    expect(Array.from(await run(text, x), (value) => value + 0)).toEqual(
      Array.from(x, (at) => meaning(at) + 0),
    )
  })
})
