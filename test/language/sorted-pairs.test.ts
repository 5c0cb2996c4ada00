/** Sums over pairs that are computed by sorting are the same sums, of any numbers. */
import { describe, expect, it } from 'vitest'
import { openCompiled } from '../../src/engines/compiled/engine.ts'
import { interpret } from '../../src/language/interpret.ts'
import { costOf } from '../../src/language/ir.ts'
import { lower, type Scope } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { SORTED_FROM, withSortedPairs } from '../../src/language/sorted-pairs.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { NumericArray } from '../../src/tensor.ts'
import { bitsOf, expectClose } from '../support/close.ts'
import { evaluate } from '../support/evaluate.ts'
import { randomFrom } from '../support/sample.ts'

const matrix = { type: 'real', axes: ['rows', 'columns'] } as const
const SCOPE: Scope = { inputs: { x: matrix, y: matrix }, absent: [], params: {}, axes: ['rows', 'columns'] }
const engine = openCompiled({ reason: 'test', threads: 0, memoryBytes: 2 ** 30, log: () => {} })

const programOf = (text: string) => lower(parse(text), SCOPE, ['x'])
const TO_LARGER = 'sum(relu(x[columns -> others] - x), others)'
const TO_SMALLER = 'sum(relu(x - x[columns -> others]), others)'
const SUPPORT = `inside = ${TO_LARGER} < 1
  tau = (sum(inside ? x : 0, columns) - 1) / sum(inside ? 1 : 0, columns)
  relu(x - tau)`

const columns = SORTED_FROM + 11
const sizes = { rows: 2, columns }

function numbers(of: (place: number, random: () => number) => number): Float64Array {
  const random = randomFrom(3)
  return Float64Array.from({ length: 2 * columns }, (_, place) => of(place, random))
}

const KINDS: Readonly<Record<string, Float64Array>> = {
  'random numbers': numbers((_, random) => 4 * random() - 2),
  'equal numbers': numbers(() => 0.5),
  'few different numbers': numbers((_, random) => Math.floor(3 * random())),
  'numbers of any size': numbers((_, random) => (random() - 0.5) * 10 ** (20 * random() - 10)),
  'numbers and one NaN': numbers((place) => (place === 7 ? Number.NaN : Math.sin(place))),
  'numbers and infinities': numbers((place) =>
    place % 50 === 7 ? (-1) ** place * Infinity : Math.sin(place),
  ),
  'numbers and two negative infinities': numbers((place) => (place % 60 === 7 ? -Infinity : Math.sin(place))),
}

describe.each([TO_LARGER, TO_SMALLER, SUPPORT, `${TO_LARGER} * y + ${TO_SMALLER}`])('%s', (text) => {
  it.each(Object.keys(KINDS))('of %s is the same without the pairs', async (kind) => {
    const program = programOf(text)
    const sorted = withSortedPairs(program, sizes)
    const inputs = { x: KINDS[kind]!, y: KINDS['random numbers']! }
    const want = interpret(program, { sizes, inputs, scalars: {} })
    const got = interpret(sorted, { sizes, inputs, scalars: {} })
    expectClose(got.values, want.values, { relative: 1e-12 })
    expectClose(got.gradients.x!, want.gradients.x!, { relative: 1e-12 })
    const columnsOf = Object.keys(sorted.inputs).map((name) => [name, [inputs[name as 'x']]] as const)
    const launch = { programKey: text, program: sorted, precision: 'float64', sizes, scalars: {} } as const
    const run = await engine.run({
      ...launch,
      inputs: Object.fromEntries(columnsOf),
      cotangent: [Float64Array.of(1)],
    })
    expectClose(run.values, want.values, { relative: 1e-12 })
    expectClose(run.gradients.x!, want.gradients.x!, { relative: 1e-12 })
  })
})

describe('a program with a sum over pairs', () => {
  it('stays as it is while the axis is short', () => {
    const program = programOf(SUPPORT)
    expect(withSortedPairs(program, { rows: 1000, columns: SORTED_FROM - 1 })).toBe(program)
  })

  it('has no pairs left if the axis is long, and is one object', () => {
    const program = programOf(SUPPORT)
    const sorted = withSortedPairs(program, sizes)
    expect(withSortedPairs(program, { rows: 1, columns: 10_000 })).toBe(sorted)
    expect(sorted.axes).toEqual(['rows', 'columns'])
    expect(costOf(sorted, { rows: 1024, columns: 1000 }).widest).toBe(1024 * 1000)
  })

  it('gives rows the same bits alone and together', async () => {
    const sorted = withSortedPairs(programOf(SUPPORT), sizes)
    const run = async (rows: number, x: Float32Array) => {
      const shared = { programKey: 'support', program: sorted, precision: 'float32', scalars: {} } as const
      const cotangent = [Float32Array.of(1)]
      const { values, gradients } = await engine.run({
        ...shared,
        sizes: { rows, columns },
        inputs: { x: [x] },
        cotangent,
      })
      return { values: bitsOf(values), gradient: bitsOf(gradients.x!) }
    }
    const x = Float32Array.from(KINDS['random numbers']!)
    const alone = [await run(1, x.slice(0, columns)), await run(1, x.slice(columns))]
    const together = await run(2, x)
    expect(together.values).toBe(alone.map(({ values }) => values).join(''))
    expect(together.gradient).toBe(alone.map(({ gradient }) => gradient).join(''))
  })

  it('is what makes a loss over many classes affordable', async () => {
    const { losses } = await loadCatalog()
    const [rows, classes] = [1024, 1000]
    const tensor = (dtype: 'float32' | 'int32', shape: number[], data: NumericArray) =>
      ({ dtype, shape, data, encoding: 'binary', typed: true }) as const
    const x = Float32Array.from({ length: rows * classes }, (_, place) => Math.sin(place * place))
    const tensors = new Map([
      ['predictions', tensor('float32', [rows, classes], x)],
      ['targets', tensor('int32', [rows], new Int32Array(rows))],
    ])
    const loss = losses.find(({ name }) => name === 'multiclass_sparsemax')!
    const { gradients } = await evaluate(engine, loss, tensors, { reduction: 'sum' })
    const slopes = Array.from(gradients.get('predictions')!.data)
    // The probabilities of a row sum to 1, and so do its slopes with the target's.
    for (const row of [0, 500, 1023]) {
      const own = slopes.slice(row * classes, (row + 1) * classes)
      expect(own.reduce((sum, slope) => sum + slope, 0)).toBeCloseTo(0, 5)
      expect(own.filter((slope) => slope > 0).length).toBeGreaterThan(1)
    }
  })

  it.each([
    'sum(relu(x[columns -> others] - y), others)',
    'sum(relu(x[columns -> others] - x - 1), others)',
    'sum(abs(x[columns -> others] - x), others)',
    'sum(relu(x[columns -> others] - x), columns)',
    'sum(x[columns -> others] - x, others)',
  ])('of another kind stays as it is: %s', (text) => {
    const program = programOf(text)
    expect(withSortedPairs(program, sizes)).toBe(program)
  })
})
