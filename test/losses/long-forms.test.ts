/** A loss that is computed in another way for long axes gives the same results, whatever the numbers are. */
import { describe, expect, it } from 'vitest'
import { openCompiled } from '../../src/engines/compiled/engine.ts'
import { interpret } from '../../src/language/interpret.ts'
import { costOf, type InputLayout } from '../../src/language/ir.ts'
import type { Loss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { createProgramSource } from '../../src/losses/program.ts'
import { programForSizes, programsBySize } from '../../src/losses/sized-program.ts'
import { expectClose } from '../support/close.ts'
import { randomFrom } from '../support/sample.ts'

const { losses } = await loadCatalog()
const programs = createProgramSource()
const engine = openCompiled({ reason: 'test', threads: 0, memoryBytes: 2 ** 30, log: () => {} })
const ROWS = 3

const long = losses.filter((loss) => loss.long !== undefined)

function structureOf(loss: Loss, isMasked: boolean) {
  const given = Object.entries(loss.inputs).filter(([, { optional }]) => isMasked || !optional)
  const inputs = given.map(([name, { axes }]): [string, InputLayout] => [name, { type: 'real', axes }])
  return { inputs: Object.fromEntries(inputs), params: {}, wants: ['predictions'], hessians: [] }
}

/** Of a list of numbers: random, tied, far apart, of any size, or with numbers that are none. */
const DRAWS: Readonly<Record<string, (random: () => number, place: number) => number>> = {
  'random numbers': (random) => 6 * random() - 3,
  'few different numbers': (random) => Math.floor(3 * random()),
  'equal numbers': () => 0.25,
  'numbers beyond the range of exp': (random) => 4000 * (random() - 0.5),
  // Pairs of larger numbers lose the digits of their differences.
  'numbers of many sizes': (random) => (random() - 0.5) * 10 ** (30 * random() - 26),
  'falling numbers': (_, place) => -place,
  'rising numbers': (_, place) => place * 50,
}

describe.each(long.map((loss) => [loss.name, loss] as const))('%s', (_, loss) => {
  const { axis, from } = loss.long!
  const sizesOf = (length: number) => ({ [loss.inputs.predictions!.axes[0]!]: ROWS, [axis]: length })

  const inputsOf = (length: number, predictions: string, targets: string, isMasked: boolean) => {
    const random = randomFrom(length)
    const draw = (name: string) =>
      Float64Array.from({ length: ROWS * length }, (_, place) => DRAWS[name]!(random, place % length))
    // What is masked may be anything.
    const mask = Float64Array.from({ length: ROWS * length }, (_, place) => Number(place % 7 !== 3))
    const spoiled = (data: Float64Array) =>
      isMasked ? data.map((x, place) => (mask[place] === 0 ? Number.NaN : x)) : data
    const all = { predictions: spoiled(draw(predictions)), targets: spoiled(draw(targets)) }
    return isMasked ? { ...all, mask } : all
  }

  const both = (length: number, isMasked: boolean) => {
    const structure = structureOf(loss, isMasked)
    const sizes = sizesOf(length)
    const [short, sorted] = [loss, loss.long!.formula].map((own) => programs(own, structure).program)
    return { sizes, short: short!, sorted: sorted! }
  }

  it.each(
    Object.keys(DRAWS).flatMap((predictions) =>
      ['random numbers', 'few different numbers', 'falling numbers', 'rising numbers'].map(
        (targets) => [predictions, targets] as const,
      ),
    ),
  )('has the same value and gradient for %s and targets of %s', async (predictions, targets) => {
    for (const isMasked of [false, true]) {
      for (const length of [1, 2, 7, from, 60]) {
        const { sizes, short, sorted } = both(length, isMasked)
        const inputs = inputsOf(length, predictions, targets, isMasked)
        const want = interpret(short, { sizes, inputs, scalars: {} })
        const got = interpret(sorted, { sizes, inputs, scalars: {} })
        const tolerance = { relative: 1e-11, absolute: 1e-13, what: `${length}, masked ${isMasked}` }
        expectClose(got.values, want.values, tolerance)
        expectClose(got.gradients.predictions!, want.gradients.predictions!, tolerance)
        const columns = Object.entries(inputs).map(([name, data]) => [name, [data]] as const)
        const run = await engine.run({
          programKey: loss.name,
          program: sorted,
          precision: 'float64',
          sizes,
          scalars: {},
          inputs: Object.fromEntries(columns),
          cotangent: [Float64Array.of(1)],
        })
        expectClose(run.values, got.values, tolerance)
        expectClose(run.gradients.predictions!, got.gradients.predictions!, tolerance)
      }
    }
  })

  it.each([-Infinity, Infinity])('is finite for the same lists if a score is %f', (infinity) => {
    for (const targets of ['random numbers', 'falling numbers', 'rising numbers']) {
      const { sizes, short, sorted } = both(from, false)
      const inputs = inputsOf(from, 'random numbers', targets, false)
      for (const place of [4, from + 17]) inputs.predictions[place] = infinity
      const [want, got] = [short, sorted].map((own) => interpret(own, { sizes, inputs, scalars: {} }))
      expect(Array.from(got!.values, Number.isFinite)).toEqual(Array.from(want!.values, Number.isFinite))
    }
  })

  it('a NaN that counts reaches the value', () => {
    const { sizes, sorted } = both(from, false)
    for (const place of [0, 5, from - 1]) {
      const inputs = inputsOf(from, 'random numbers', 'random numbers', false)
      inputs.predictions[place] = Number.NaN
      const { values } = interpret(sorted, { sizes, inputs, scalars: {} })
      expect([...values].map(Number.isNaN)).toEqual([true, false, false])
    }
  })

  it('a target that is NaN is skipped by both', () => {
    const { sizes, short, sorted } = both(from, false)
    const inputs = inputsOf(from, 'random numbers', 'random numbers', false)
    for (const place of [0, 5, from - 1]) inputs.targets[place] = Number.NaN
    const [want, got] = [short, sorted].map((own) => interpret(own, { sizes, inputs, scalars: {} }))
    expectClose(got!.values, want!.values, { relative: 1e-12 })
    expectClose(got!.gradients.predictions!, want!.gradients.predictions!, { relative: 1e-12 })
  })

  it('is chosen from its least length on, but for second derivatives', () => {
    const structure = structureOf(loss, false)
    const keyOf = (length: number, hessians: readonly string[] = []) =>
      programForSizes(programs, loss, { ...structure, hessians }, sizesOf(length)).key
    expect(keyOf(from)).not.toBe(keyOf(from - 1))
    expect(keyOf(from)).toBe(keyOf(10 * from))
    expect(keyOf(from - 1)).toBe(keyOf(1))
    expect(keyOf(from, ['predictions'])).toBe(keyOf(1, ['predictions']))
    expect(programsBySize(programs, loss, structure).map((form) => form.from)).toEqual([{ [axis]: from }, {}])
  })

  it('compares no pairs', () => {
    const structure = structureOf(loss, false)
    const { program } = programForSizes(programs, loss, structure, sizesOf(10_000))
    expect(costOf(program, sizesOf(10_000)).widest).toBe(ROWS * 10_000)
  })
})
