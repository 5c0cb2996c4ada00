/** Whole-axis ops in compiled kernels: one launch, the interpreter's results, whatever the numbers and however many. */
import { describe, expect, it } from 'vitest'
import { openCompiled } from '../../../src/engines/compiled/engine.ts'
import { compile } from '../../../src/engines/compiled/kernel.ts'
import { KernelCache } from '../../../src/engines/compiled/kernel-cache.ts'
import { lanesOf } from '../../../src/engines/compiled/lane-type.ts'
import type { Batch } from '../../../src/engines/contract.ts'
import { interpret } from '../../../src/language/interpret.ts'
import { lower, type Scope } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { printPlan } from '../../../src/loops/print-plan.ts'
import type { NumericArray, Precision } from '../../../src/tensor.ts'
import { expectClose } from '../../support/close.ts'
import { CTC_SCOPE } from '../../support/ctc.ts'
import { sampled } from '../../support/depth.ts'
import { randomFrom } from '../../support/sample.ts'
import { bitsIn, launch } from './launch.ts'

const engine = openCompiled({ reason: 'test', threads: 0, memoryBytes: 2 ** 31, log: () => {} })
const matrix = { type: 'real', axes: ['rows', 'columns'] } as const
const SCOPE: Scope = {
  inputs: {
    x: matrix,
    y: matrix,
    i: { type: 'index', axes: ['rows', 'columns'] },
    v: { type: 'real', axes: ['rows'] },
    w: { type: 'real', axes: ['columns'] },
  },
  absent: [],
  params: { s: { kind: 'scalar' } },
  axes: ['rows', 'columns'],
}

/** The precision of the launch, and of the numbers that it gets. */
const DTYPES: readonly (readonly [Precision, Precision])[] = [
  ['float32', 'float32'],
  ['float64', 'float64'],
  ['float64', 'float32'],
]
const RELATIVE = { float32: 2e-5, float64: 1e-13 } as const

const inDtype = (data: readonly number[], dtype: Precision) =>
  dtype === 'float64' ? Float64Array.from(data) : Float32Array.from(data)

interface Case {
  readonly text: string
  readonly rows: number
  readonly columns: number
  readonly precision: Precision
  readonly dtype?: Precision
  /** Instead of random numbers. */
  readonly x?: readonly number[]
}

function batchOf({ text, rows, columns, precision, dtype = precision, x }: Case): Batch {
  const program = lower(parse(text), SCOPE, ['x', 'y'])
  const random = randomFrom(rows * 1000 + columns)
  const numbers = (length: number) =>
    inDtype(
      Array.from({ length }, () => Math.fround(4 * random() - 2)),
      dtype,
    )
  const all: Readonly<Record<string, NumericArray>> = {
    x: x === undefined ? numbers(rows * columns) : inDtype(x, dtype),
    y: numbers(rows * columns),
    i: Int32Array.from({ length: rows * columns }, () => Math.floor(random() * (columns + 2)) - 1),
    v: numbers(rows),
    w: numbers(columns),
  }
  const inputs = Object.keys(program.inputs).map((name) => [name, [all[name]!]] as const)
  return {
    programKey: text,
    program,
    precision,
    sizes: { rows, columns },
    scalars: { s: 0.75 },
    inputs: Object.fromEntries(inputs),
    cotangent: [inDtype([1], precision)],
  }
}

function definitionOf({ program, sizes, scalars, inputs, cotangent }: Batch) {
  const own = Object.entries(inputs).map(([name, [data]]) => [name, data!] as const)
  return interpret(program, { sizes, scalars, inputs: Object.fromEntries(own), cotangent: cotangent[0]! })
}

async function expectDefinition(one: Case) {
  const batch = batchOf(one)
  const [got, want] = [await engine.run(batch), definitionOf(batch)]
  const relative = RELATIVE[one.precision]
  const tolerance = { relative, absolute: relative, what: JSON.stringify({ ...one, x: undefined }) }
  expectClose(got.values, want.values, tolerance)
  for (const [name, data] of Object.entries(want.gradients))
    expectClose(got.gradients[name]!, data, { ...tolerance, what: `${name} of ${tolerance.what}` })
}

const FORMULAS = [
  'cumsum(x, columns)',
  'sum(cumsum(x * y, rows), columns) * s',
  'sort(x, columns)',
  'sort(x, rows) * w',
  'sum(order(x, columns) * y, columns)',
  'order(order(x * y, columns), columns) * x',
  'exp(sort(sin(x), columns)) * y',
  'gather(x, i, columns) * y',
  'gather(w, i, columns) * x',
  'scatter(x, i, columns) * y',
  'scatter(v * s, i, columns) * x',
  'scatter(x * x, order(y, columns), columns) + v',
  'cummax(x * y, columns) - cummin(exp(x), rows) * v',
  'cummax(cumsum(x, columns), columns) * y',
  'recurrence(x, y / 2, columns) * v - reverse_recurrence(y, v / 2, columns)',
  'recurrence(x * y, s, rows) + reverse_recurrence(w, x / 2, rows)',
  'logcumsumexp(x * y, columns) * v + logcumsumexp(sort(y, columns), columns)',
  'cumsum(sort(cumsum(x * y, columns), columns), columns)',
  'sum(gather(x, order(y, columns), columns) * y, columns)',
  'softmax(sort(x, columns), columns) * y + logsumexp(cumsum(y, columns), columns)',
  'sum((sort(x, columns)[columns -> others] - x)^2 * y, others)',
  'sum(cumsum(x[rows -> others] * y, columns) * v[rows -> others], others)',
  'pick(sort(x, columns), 1, columns) * v',
  'shift(sort(x, columns), 1, columns) * x + cumsum(shift(y, -1, columns), columns)',
  'solve_lower(x[columns -> j] * w + (index(columns) == index(columns)[columns -> j] ? 9 : 0), y, columns, j)',
  'sum(solve_upper((x[columns -> j] + w) / 9 + (index(columns) == index(columns)[columns -> j] ? 5 : 0), x, columns, j)^2, j)',
  'soft_dtw((x - y[columns -> j])^2, s, columns, j) * v',
  'soft_dtw(abs(x - w[columns -> j]), 0, columns, j)',
]

describe.each(DTYPES)('in %s, of %s', (precision, dtype) => {
  it.each(FORMULAS)('%s is what it is defined as', async (text) => {
    const sizes = [
      [5, 7],
      [3, 16],
      [1, 100],
      [1, 1],
      [2, 40],
      [7, 3],
    ] as const
    for (const [rows, columns] of sampled(sizes, 2))
      await expectDefinition({ text, rows, columns, precision, dtype })
  })

  it.each(['sort(x, columns)', 'sum(sort(x, rows) * w, columns)', 'cumsum(x, columns) * y'])(
    '%s of nothing is nothing',
    async (text) => {
      await expectDefinition({ text, rows: 0, columns: 3, precision, dtype })
      await expectDefinition({ text, rows: 3, columns: 0, precision, dtype })
    },
  )
})

/** Numbers that are hard to sort. */
const STRANGE = [
  Number.NaN,
  0,
  -0,
  1e-320,
  -1e-320,
  1e-45,
  -1e-45,
  Infinity,
  -Infinity,
  1,
  1 + 2 ** -40,
  1 + 2 ** -41,
  -1,
]

describe.each(DTYPES)('the order in %s, of %s', (precision, dtype) => {
  const text = 'order(x, columns)'
  const random = randomFrom(9)
  const kinds: Readonly<Record<string, (place: number) => number>> = {
    'special numbers': (place) => STRANGE[(place * 7) % STRANGE.length]!,
    'equal numbers': () => 2,
    'few different numbers': () => Math.floor(random() * 3),
    'numbers in order': (place) => place,
    'numbers in reverse': (place) => -place,
    'numbers that differ in their last bits': () => 1 + Math.floor(random() * 1000) * 2 ** -50,
    'numbers of any size': () => (random() - 0.5) * 2 ** (60 * random() - 30),
  }

  it.each(Object.keys(kinds))('of %s is stable, whatever their count, and NaN goes last', async (kind) => {
    for (const columns of [2, 31, 47, 48, 49, 80, 81, 255, 1000, 4095, 4096, 9000]) {
      const x = Array.from({ length: 2 * columns }, (_, place) => kinds[kind]!(place))
      const batch = batchOf({ text, rows: 2, columns, precision, dtype, x })
      const got = await engine.run(batch)
      expect(Array.from(got.values), `${columns} columns`).toEqual(Array.from(definitionOf(batch).values))
    }
  })
})

describe('a kernel with whole-axis ops', () => {
  it('is a single launch: loops, and the ops between them', () => {
    const batch = batchOf({
      text: 'sum(sort(x * y, columns) * y, columns)',
      rows: 4,
      columns: 9,
      precision: 'float32',
    })
    const { plan } = new KernelCache({ relaxed: false }).kernelFor(batch)
    expect(printPlan(plan)).toMatch(/for rows[^{]*\{[\s\S]*= argsort\([\s\S]*= gather\(/)
    expect(plan.separable).toBe('rows')
  })

  it('reads inputs where they are, and writes gradients where they belong', () => {
    const batch = batchOf({
      text: 'sum(cumsum(x, columns) * y, columns)',
      rows: 4,
      columns: 9,
      precision: 'float32',
    })
    const { plan } = new KernelCache({ relaxed: false }).kernelFor(batch)
    expect(printPlan(plan)).toContain('= cumsum(x[rows,columns], columns)')
    expect(printPlan(plan)).toMatch(/gradient\(x\)\[rows,columns\] = reverse_cumsum/)
  })

  it.each(['float32', 'float64'] as const)('gives the same bits in slices of rows, in %s', (precision) => {
    for (const text of FORMULAS) {
      const batch = batchOf({ text, rows: 37, columns: 6, precision })
      const kernel = new KernelCache({ relaxed: false }).kernelFor(batch)
      if (kernel.plan.separable === undefined) continue
      expect(bitsIn(kernel, batch, [0, 5, 16, 37]), text).toEqual(bitsIn(kernel, batch, [0, 37]))
    }
  })

  it.each(['rows', 'columns'])('is the same with %s in the lanes', (lanes) => {
    for (const [precision] of DTYPES.slice(0, 2)) {
      for (const text of FORMULAS) {
        for (const [rows, columns] of [
          [4, 6],
          [9, 5],
          [3, 11],
        ] as const) {
          const batch = batchOf({ text, rows, columns, precision })
          const types = { lane: lanesOf(precision), narrow: new Set<string>() }
          const variant = { uniform: true, staticPredicates: new Map(), lanes }
          const kernel = compile(batch.program, variant, { relaxed: false }, types)
          const [got, want] = [launch(kernel, batch, [0, rows]), definitionOf(batch)]
          const relative = RELATIVE[precision]
          const tolerance = { relative, absolute: relative, what: `${text} ${rows}x${columns} ${precision}` }
          expectClose(got.values, want.values, tolerance)
          for (const [name, data] of Object.entries(want.gradients))
            expectClose(got.gradients[name]!, data, tolerance)
        }
      }
    }
  })

  it('has the lines of several rows side by side if rows are short', () => {
    const batch = batchOf({
      text: 'exp(sort(sin(x), columns)) * y',
      rows: 9,
      columns: 5,
      precision: 'float32',
    })
    const variant = { uniform: true, staticPredicates: new Map(), lanes: 'rows' }
    const { plan } = compile(batch.program, variant, { relaxed: false })
    expect(printPlan(plan)).toContain('for rows by 4 {')
  })

  it('computes a running sum in float64, and rounds it once', async () => {
    const columns = 100_000
    const batch = batchOf({ text: 'cumsum(x, columns)', rows: 1, columns, precision: 'float32' })
    const { values } = await engine.run(batch)
    expect(Array.from(values)).toEqual(Array.from(definitionOf(batch).values, Math.fround))
  })
})

describe.each(DTYPES)('ctc in %s, of %s', (precision, dtype) => {
  const program = lower(parse('ctc(x, labels, times, lengths, 1, time, classes)'), CTC_SCOPE, ['x'])

  function ctcBatch(
    rows: number,
    time: number,
    classes: number,
    labels: number,
    change?: (x: number[]) => void,
  ): Batch {
    const random = randomFrom(rows + time)
    const x = Array.from({ length: rows * time * classes }, () => Math.fround(-6 * random()))
    change?.(x)
    const upTo = (most: number) => Int32Array.from({ length: rows }, () => Math.floor(random() * (most + 1)))
    // Few classes, so that labels repeat.
    const listed = Int32Array.from(
      { length: rows * labels },
      () => 2 + Math.floor(random() * Math.min(2, classes - 2)),
    )
    return {
      programKey: 'ctc',
      program,
      precision,
      sizes: { rows, time, classes, labels },
      scalars: {},
      inputs: { x: [inDtype(x, dtype)], labels: [listed], times: [upTo(time)], lengths: [upTo(labels)] },
      cotangent: [inDtype([1], precision)],
    }
  }

  it.each([
    [1, 4, 3, 2],
    [9, 7, 5, 3],
    [6, 40, 11, 10],
    [3, 1, 3, 0],
    [4, 0, 3, 2],
    [2, 300, 4, 60],
  ])('of %i rows, %i times, %i classes and up to %i labels is what it is defined as', async (...sizes) => {
    const batch = ctcBatch(...sizes)
    const [got, want] = [await engine.run(batch), definitionOf(batch)]
    const relative = precision === 'float32' ? 1e-6 : 1e-13
    expectClose(got.values, want.values, { relative, absolute: relative })
    expectClose(got.gradients.x!, want.gradients.x!, { relative: 1e3 * relative, absolute: relative })
  })

  it.each([
    ['impossible classes', Number.NEGATIVE_INFINITY],
    ['NaN', Number.NaN],
    ['numbers beyond all probabilities', -1e4],
    ['infinite odds', Number.POSITIVE_INFINITY],
  ])('of %s is what it is defined as', async (_, value) => {
    const batch = ctcBatch(12, 8, 4, 3, (x) => {
      for (let place = 3; place < x.length; place += 29) x[place] = value
    })
    const [got, want] = [await engine.run(batch), definitionOf(batch)]
    const relative = precision === 'float32' ? 1e-6 : 1e-12
    expectClose(got.values, want.values, { relative, absolute: relative })
    expectClose(got.gradients.x!, want.gradients.x!, { relative: 1e3 * relative, absolute: relative })
  })
})
