/**
 * Vectorization along any axis: the same numbers, no access beyond the ends, and a choice independent of the number of
 * rows.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assemble } from '../../../src/batching/assemble.ts'
import { elementBytesOf } from '../../../src/engines/compiled/element-types.ts'
import { compile, type Kernel } from '../../../src/engines/compiled/kernel.ts'
import { KernelCache } from '../../../src/engines/compiled/kernel-cache.ts'
import { lanesOf } from '../../../src/engines/compiled/lane-type.ts'
import type { Batch } from '../../../src/engines/contract.ts'
import type { Program } from '../../../src/language/ir.ts'
import { lower, type Scope } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import type { Precision } from '../../../src/tensor.ts'
import type { DecodedTensor } from '../../../src/wire/define.ts'
import { expectClose } from '../../support/close.ts'
import { definition } from '../../support/definition.ts'
import { check } from '../../support/evaluate.ts'
import { SCOPE } from '../../support/formulas.ts'
import { batchOf, expectNear, matrix, realsOf } from '../../support/random.ts'
import { randomFrom } from '../../support/sample.ts'
import { bitsIn, launch } from './launch.ts'

const target = { relaxed: false }
const kernelOf = (
  program: Program,
  lanes?: string,
  uniform = true,
  precision: Precision = 'float32',
): Kernel => {
  const types = { lane: lanesOf(precision), narrow: new Set<string>() }
  return compile(program, { uniform, staticPredicates: new Map(), lanes }, target, types)
}

/** Sums, maxima, picks, indices, and values that differ between elements. */
const ROW =
  'logsumexp(x, columns) * v + max(x * y, columns) - softplus(x) * index(columns) * pick(y, i, columns)'

/** The same formula's batches, of any size. */
const rowProgram = batchOf(ROW, 1, 1, 1).program
const rowBatch = (rows: number, columns: number, seed = 1, precision: Precision = 'float32'): Batch => ({
  ...batchOf(ROW, rows, columns, seed, precision),
  program: rowProgram,
  cotangent: [realsOf(precision, 1, () => 0.5)],
})

/** Some rows of a batch. */
function rowsOf(batch: Batch, from: number, to: number): Batch {
  const { rows, columns } = batch.sizes
  const inputs = Object.entries(batch.inputs).map(([name, [data]]) => {
    const width = data!.length / rows!
    return [name, [data!.slice(from * width, to * width)]] as const
  })
  return { ...batch, sizes: { rows: to - from, columns: columns! }, inputs: Object.fromEntries(inputs) }
}

/** The first is one of the few numbers whose sine the kernel and JavaScript round differently. */
const ROW_OF_X = [49.89141082763672, 0.1, -1.2, 2.5, 0.7, -0.3, 3]

describe.each([
  ['float32', 2e-5],
  ['float64', 1e-13],
] as const)('rows in the lanes in %s', (precision, relative) => {
  const kernel = kernelOf(rowProgram, 'rows', true, precision)
  const plain = kernelOf(rowProgram, undefined, true, precision)

  it('are chosen by the planner', () => {
    const loop = (made: Kernel) => made.plan.body.find(({ kind }) => kind === 'loop')
    expect(loop(kernel)).toMatchObject({ axis: 'rows', lanes: true })
    expect(loop(plain)).toMatchObject({ axis: 'rows', lanes: false })
  })

  it('give the same results as classes in the lanes, for 1 to 9 rows of 1 to 40', () => {
    for (let rows = 1; rows <= 9; rows++) {
      for (let columns = 1; columns <= 40; columns++) {
        const batch = rowBatch(rows, columns, rows * 100 + columns, precision)
        const [got, want] = [launch(kernel, batch, [0, rows]), launch(plain, batch, [0, rows])]
        const options = { relative, what: `${rows} x ${columns}` }
        expectClose(got.values, want.values, options)
        for (const name of ['x', 'v']) expectClose(got.gradients[name]!, want.gradients[name]!, options)
      }
    }
  })

  it("give the interpreter's results", () => {
    for (const columns of [1, 2, 3, 4, 6, 10, 31, 64, 65, 130]) {
      const batch = rowBatch(7, columns, columns, precision)
      const [got, want] = [launch(kernel, batch, [0, 7]), definition(batch)]
      expectClose(got.values, want.values, { relative })
      for (const name of ['x', 'v'])
        expectClose(got.gradients[name]!, want.gradients[name]!, { relative, what: name })
    }
  })

  it.each([1, 3, 5, 10, 21])('give a row of %i the same bits in any lane, tail or slice', (columns) => {
    const batch = rowBatch(11, columns, columns, precision)
    const whole = bitsIn(kernel, batch, [0, 11])
    expect(bitsIn(kernel, batch, [0, 1, 4, 6, 11])).toEqual(whole)
    for (const [from, to] of [
      [0, 1],
      [3, 4],
      [1, 6],
      [2, 11],
      [10, 11],
    ] as const) {
      const part = bitsIn(kernel, rowsOf(batch, from, to), [0, to - from])
      for (const [name, bits] of Object.entries(part)) {
        const each = whole[name]!.length / 11
        expect(bits, `${name} of rows ${from} to ${to}`).toBe(whole[name]!.slice(from * each, to * each))
      }
    }
  })

  it.each(['sin(x)', 'cos(x) * y', 'exp(x) * log(abs(y)) + tanh(x)^3'])(
    'are independent of their neighbors: %s next to large and tiny numbers and NaN',
    (term) => {
      const program = lower(parse(`sum(${term}, columns)`), SCOPE, ['x'])
      const made = kernelOf(program, 'rows', true, precision)
      const row = realsOf(precision, 7, (place) => ROW_OF_X[place]!)
      const alone = { ...rowBatch(1, 7, 1, precision), program, inputs: { x: [row], y: [row] } }
      const want = bitsIn(made, alone, [0, 1])
      for (const wild of [Number.NaN, Number.POSITIVE_INFINITY, 1e8, -3e38, 1e-40]) {
        const both = realsOf(precision, 14, (place) => ROW_OF_X[place] ?? wild)
        const beside = { ...alone, sizes: { rows: 2, columns: 7 }, inputs: { x: [both], y: [both] } }
        const got = bitsIn(made, beside, [0, 2])
        for (const [name, bits] of Object.entries(want)) expect(got[name]!.slice(0, bits.length)).toBe(bits)
      }
    },
  )

  it('read nothing beyond the memory if there are fewer rows than lanes', () => {
    const program = lower(parse('sum(x * y, columns)'), SCOPE, [])
    const batch: Batch = { ...rowBatch(1, 100_000, 1, precision), program }
    const { values } = launch(kernelOf(program, 'rows', true, precision), batch, [0, 1])
    expectClose(values, definition(batch).values, { relative })
  })

  it('write nothing beyond their results', () => {
    for (const rows of [1, 2, 3, 5, 6, 7]) {
      const { arena, layout } = launch(kernel, rowBatch(rows, 5, 1, precision), [0, rows])
      const taken = new Uint8Array(arena.bytes)
      taken.fill(1, 0, layout.bases[0])
      layout.bases.forEach((base, id) => {
        const buffer = kernel.plan.buffers[id]!
        const bytes = layout.counts[id]! * elementBytesOf(kernel.types, buffer)
        taken.fill(1, base, base + (buffer.role === 'scratch' ? layout.bytes[id]! : bytes))
      })
      const strange = Array.from(taken.keys()).filter(
        (at) => taken[at] === 0 && at % 4 === 0 && !Number.isNaN(arena.floats[at / 4]!),
      )
      expect(strange).toEqual([])
    }
  })
})

describe.each(['float32', 'float64'] as const)(
  'a random formula in %s with any axis in the lanes',
  (precision) => {
    it("gives the interpreter's value and gradient", () => {
      const cases = fc.record({
        text: matrix,
        rows: fc.integer({ min: 1, max: 9 }),
        columns: fc.integer({ min: 1, max: 13 }),
        lanes: fc.constantFrom('rows', 'columns', 'others'),
        seed: fc.nat(),
      })
      fc.assert(
        fc.property(cases, ({ text, rows, columns, lanes, seed }) => {
          const batch = batchOf(text, rows, columns, seed, precision)
          const kernel = kernelOf(batch.program, lanes, batch.cotangent[0]!.length === 1, precision)
          expectNear(launch(kernel, batch, [0, rows]), batch, text)
        }),
        { numRuns: 150 },
      )
    })
  },
)

/** In x the columns are contiguous, in y the pixels; labels and weights have fewer axes. */
const IMAGES: Scope = {
  inputs: {
    x: { type: 'real', axes: ['rows', 'pixels', 'columns'] },
    y: { type: 'real', axes: ['rows', 'columns', 'pixels'] },
    w: { type: 'real', axes: ['columns', 'rows'] },
    u: { type: 'real', axes: ['pixels', 'columns'] },
    v: { type: 'real', axes: ['rows'] },
    i: { type: 'index', axes: ['rows', 'pixels'] },
  },
  absent: [],
  params: {},
  axes: ['rows', 'pixels', 'columns'],
}

describe.each([
  ['float32', 2e-5],
  ['float64', 1e-13],
] as const)('layouts of three axes in %s', (precision, relative) => {
  const text =
    'logsumexp(x * y, columns) * v - sum(tanh(x) * w, columns) + pick(y, i, columns) * pick(x, i, columns) + max(sum(x * u, pixels) * y, columns)'
  const program = lower(parse(text), IMAGES, ['x', 'y', 'w', 'u'])
  const batchOfImages = (sizes: Record<string, number>, seed: number): Batch => {
    const random = randomFrom(seed)
    const inputs = Object.entries(program.inputs).map(([name, { type, axes }]) => {
      const count = axes.reduce((product, axis) => product * sizes[axis]!, 1)
      const draw = () => (type === 'index' ? Math.floor(random() * sizes.columns!) : 3 * random() - 1.5)
      const data = Array.from({ length: count }, draw)
      return [
        name,
        [type === 'index' ? Int32Array.from(data) : realsOf(precision, count, (place) => data[place]!)],
      ] as const
    })
    const values = realsOf(precision, sizes.rows! * sizes.pixels!, (place) => 1 + (place % 3))
    return {
      programKey: text,
      program,
      precision,
      sizes,
      inputs: Object.fromEntries(inputs),
      scalars: {},
      cotangent: [values],
    }
  }

  it.each(['rows', 'pixels', 'columns'])("%s in the lanes gives the interpreter's results", (lanes) => {
    const kernel = kernelOf(program, lanes, false, precision)
    for (const rows of [1, 4, 6])
      for (const pixels of [1, 3, 4, 9])
        for (const columns of [1, 2, 5, 8, 11]) {
          const batch = batchOfImages({ rows, pixels, columns }, rows + pixels + columns)
          const [got, want] = [launch(kernel, batch, [0, rows]), definition(batch)]
          expectClose(got.values, want.values, { relative })
          for (const name of ['x', 'y', 'w', 'u'])
            expectClose(got.gradients[name]!, want.gradients[name]!, { relative, what: name })
        }
  })
})

const { losses } = await loadCatalog()

/** A job of one loss with random logits and valid labels. */
function jobOf(name: string, rows: number, classes: number, options: Record<string, unknown> = {}) {
  const random = randomFrom(rows * classes)
  const real = (data: Float32Array, shape: readonly number[]): DecodedTensor => ({
    dtype: 'float32',
    shape,
    data,
    encoding: 'binary',
    typed: true,
  })
  const logits = Float32Array.from({ length: rows * classes }, () => 6 * random() - 3)
  const labels = Int32Array.from({ length: rows }, () => Math.floor(random() * classes))
  const tensors = new Map<string, DecodedTensor>([
    ['predictions', real(logits, [rows, classes])],
    ['targets', { ...real(logits, [rows]), dtype: 'int32', data: labels }],
  ])
  return check(losses.find((loss) => loss.name === name)!, tensors, options).job
}

describe('the choice of lanes', () => {
  const kernels = new KernelCache({ relaxed: false })
  const lanesOf = (kernel: Kernel) => kernel.plan.body.some((loop) => loop.kind === 'loop' && loop.lanes)

  it('vectorizes rows if there are few classes, and classes if there are many', () => {
    const of = (classes: number) => kernels.kernelFor(assemble([jobOf('cross_entropy', 8, classes)]))
    expect(lanesOf(of(10))).toBe(true)
    expect(lanesOf(of(1000))).toBe(false)
    expect(of(3)).toBe(of(10))
    expect(of(10)).not.toBe(of(1000))
  })

  it.each(['cross_entropy', 'softmax_focal', 'multi_margin'])(
    'of %s is the same for every number of rows, alone and in a batch',
    (name) => {
      for (const classes of [2, 10, 30, 40, 48, 49, 100]) {
        const [one, many] = [1, 1000].map((rows) => assemble([jobOf(name, rows, classes)]))
        expect(kernels.kernelFor(one!)).toBe(kernels.kernelFor(many!))
        const jobs = [3, 5].map((rows) => jobOf(name, rows, classes, { reduction: 'sum' }))
        const merged = kernels.kernelFor(assemble([jobs[0]!, jobs[1]!]))
        expect(lanesOf(merged)).toBe(lanesOf(kernels.kernelFor(one!)))
      }
    },
  )
})
