/** lbeta and atan2 on every engine: value and derivatives within 16 roundings of mpmath's numbers, and their edges. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../../src/engines/contract.ts'
import { interpret } from '../../src/language/interpret.ts'
import { lower, type Scope } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { availableEngines } from '../support/engines.ts'

const axes = ['...']
const scope: Scope = {
  inputs: { a: { type: 'real', axes }, b: { type: 'real', axes } },
  absent: [],
  params: {},
  axes,
}
const ROUNDING = 2 ** -24
const LARGEST = 3.4028234663852886e38
/** As accuracy.ts counts: below it relative errors mean nothing. */
const SMALLEST = 1e-30

const read = (name: string): readonly (readonly number[])[] =>
  JSON.parse(readFileSync(new URL(`../oracles/functions/${name}.json`, import.meta.url), 'utf8'))
/** Both arguments, the value, both derivatives, and for lbeta both second derivatives. */
const FUNCTIONS = [
  { text: 'lbeta(a, b)', rows: read('beta') },
  { text: 'atan2(a, b)', rows: read('angle') },
] as const
const columnOf = (rows: readonly (readonly number[])[], place: number) => rows.map((row) => row[place]!)

function programOf(text: string, hessians: readonly string[] = []) {
  return lower(parse(text), scope, ['a', 'b'], undefined, hessians)
}

describe.each(FUNCTIONS)('the definition of $text', ({ text, rows }) => {
  const hessians = text.startsWith('lbeta') ? ['a', 'b'] : []
  const [a, b] = [0, 1].map((place) => Float64Array.from(columnOf(rows, place)))
  const { values, gradients } = interpret(programOf(text, hessians), {
    sizes: { '...': rows.length },
    inputs: { a: a!, b: b! },
    scalars: {},
  })
  const results = [
    values,
    gradients.a!,
    gradients.b!,
    ...hessians.map((name) => gradients[`hessian.${name}`]!),
  ]

  it.each(results.map((found, place) => [place, found] as const))('is right in result %i', (place, found) => {
    const moves =
      place > 0 ? rows.map(() => 0) : rows.map(([x, y, , dx, dy]) => Math.abs(x! * dx!) + Math.abs(y! * dy!))
    columnOf(rows, place + 2).forEach((want, i) => {
      const error = Math.abs(found[i]! - want)
      const where = `${text} at ${a![i]}, ${b![i]}: ${found[i]}, not ${want}`
      expect(error, where).toBeLessThanOrEqual(2e-14 * (Math.abs(want) + moves[i]!))
    })
  })
})

it('atan2 has the second derivatives of an angle', () => {
  const points = read('angle').filter(
    ([y, x]) => Math.abs(y!) < 1e6 && Math.abs(x!) < 1e6 && Math.hypot(y!, x!) > 1e-6,
  )
  const [a, b] = [0, 1].map((place) => Float64Array.from(columnOf(points, place)))
  const { gradients } = interpret(programOf('atan2(a, b)', ['a', 'b']), {
    sizes: { '...': points.length },
    inputs: { a: a!, b: b! },
    scalars: {},
  })
  expect(points.length).toBeGreaterThan(200)
  points.forEach(([y, x], i) => {
    const want = (2 * x! * y!) / (x! ** 2 + y! ** 2) ** 2
    const tolerance = 1e-12 * Math.abs(want)
    expect(Math.abs(gradients['hessian.b']![i]! - want), `${y}, ${x}`).toBeLessThanOrEqual(tolerance)
    expect(Math.abs(gradients['hessian.a']![i]! + want), `${y}, ${x}`).toBeLessThanOrEqual(tolerance)
  })
})

describe.each(await availableEngines())('$name', ({ name, open }) => {
  let engine: Engine
  beforeAll(async () => {
    engine = await open()
  })
  afterAll(() => engine.close())

  const run = async (text: string, a: Float32Array, b: Float32Array) =>
    engine.run({
      programKey: text,
      program: programOf(text),
      precision: 'float32',
      sizes: { '...': a.length },
      inputs: { a: [a], b: [b] },
      scalars: {},
      cotangent: [Float32Array.of(1)],
    })

  it.each(FUNCTIONS)('$text is within 16 roundings, and so are its derivatives', async ({ text, rows }) => {
    const [a, b] = [0, 1].map((place) => Float32Array.from(columnOf(rows, place))) as [
      Float32Array,
      Float32Array,
    ]
    const { values, gradients } = await run(text, a, b)
    for (const [place, found] of [values, gradients.a!, gradients.b!].entries()) {
      const worst = { roundings: 0, where: '' }
      rows.forEach((row, i) => {
        const want = row[place + 2]!
        if (Math.abs(want) < SMALLEST || Math.abs(want) > LARGEST) return
        // Next to a zero of lbeta, a rounding of its arguments moves it.
        const moved = place === 0 ? Math.abs(row[0]! * row[3]!) + Math.abs(row[1]! * row[4]!) : 0
        const roundings = Math.abs(found[i]! - want) / (ROUNDING * (Math.abs(want) + moved))
        if (roundings <= worst.roundings) return
        Object.assign(worst, {
          roundings,
          where: `${name}: result ${place} of ${text} at ${row[0]}, ${row[1]}: ${found[i]}, not ${want}`,
        })
      })
      expect(worst.roundings, worst.where).toBeLessThanOrEqual(16)
    }
  })

  it('atan2 knows the signs of zeros, infinities and NaN', async () => {
    const infinity = Number.POSITIVE_INFINITY
    const pairs = [0, -0, 1, -1, infinity, -infinity, Number.NaN].flatMap((y, _, all) =>
      all.map((x) => [y, x] as const),
    )
    const { values } = await run(
      'atan2(a, b)',
      Float32Array.from(pairs, ([y]) => y),
      Float32Array.from(pairs, ([, x]) => x),
    )
    pairs.forEach(([y, x], i) => {
      const want = Math.atan2(y, x)
      if (Number.isNaN(want)) expect(values[i], `${y}, ${x}`).toBeNaN()
      else expect(values[i]! - want, `${y}, ${x}: ${values[i]}, not ${want}`).toBeCloseTo(0, 6)
    })
  })

  it('atan2 has no derivative at the origin, and lbeta is infinite where an argument is 0', async () => {
    const zero = new Float32Array(1)
    const { gradients } = await run('atan2(a, b)', zero, zero)
    expect([gradients.a![0]! + 0, gradients.b![0]! + 0]).toEqual([0, 0])
    expect((await run('lbeta(a, b)', Float32Array.of(0), Float32Array.of(2))).values[0]).toBe(
      Number.POSITIVE_INFINITY,
    )
    expect((await run('lbeta(a, b)', Float32Array.of(-1.5), Float32Array.of(2))).values[0]).toBeNaN()
  })
})
