/** Random formulas: compiled kernels agree with the interpreter in every shape, batched and in slices. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openCompiled } from '../../../src/engines/compiled/engine.ts'
import { compile } from '../../../src/engines/compiled/kernel.ts'
import { KernelCache } from '../../../src/engines/compiled/kernel-cache.ts'
import { legalizeForShaders, moduleOf } from '../../../src/engines/webgpu/module.ts'
import { lower } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { evaluateStaticPredicates } from '../../../src/loops/static-predicates.ts'
import { expectClose } from '../../support/close.ts'
import { definition } from '../../support/definition.ts'
import { depth } from '../../support/depth.ts'
import { SCOPE } from '../../support/formulas.ts'
import { batchOf, expectNear, matrixCases, realsOf } from '../../support/random.ts'
import { bitsIn } from './launch.ts'

const engine = openCompiled({ reason: 'test', threads: 0, memoryBytes: 2 ** 31, log: () => {} })

describe.each(['float32', 'float64'] as const)('a random formula in %s', (precision) => {
  it("gives the interpreter's value and gradient when compiled", async () => {
    await fc.assert(
      fc.asyncProperty(matrixCases(9, 21), async ({ text, rows, columns, seed }) => {
        const batch = batchOf(text, rows, columns, seed, precision)
        expectNear(await engine.run(batch), batch, text)
      }),
      { numRuns: depth(75, 300) },
    )
  })
})

const SHAPES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 64, 100, 257]

describe.each([
  ['float32', 2e-5],
  ['float64', 1e-14],
] as const)('every length of a row in %s', (precision, relative) => {
  const text = 'logsumexp(x, columns) * y + max(x * y, columns) - softplus(x) * v'
  it.each(SHAPES)('%i columns', async (columns) => {
    const batch = batchOf(text, 6, columns, columns, precision)
    const [got, want] = [await engine.run(batch), definition(batch)]
    expectClose(got.values, want.values, { relative, absolute: relative })
    for (const name of ['x', 'v'])
      expectClose(got.gradients[name]!, want.gradients[name]!, { relative, absolute: relative })
  })
})

describe.each([
  ['float32', 2e-5],
  ['float64', 1e-13],
] as const)('neighbors in %s', (precision, relative) => {
  const near = '(x - shift(x, 1, columns)) * y + shift(x * v, -3, columns)'
  const far = 'shift(x, 17, columns) * y + shift(x, -40, columns)^2 + shift(x, 300, columns)'
  const stored = 'conv(softmax(x, columns), [0.1, 0.7, -0.2, 0.3], columns)^2 * y'
  const deep = 'sqrt((x - shift(x, -1, rows))^2 + (x - shift(shift(x, 1, columns), 2, rows))^2 + 0.1)'

  it.each(SHAPES)('are those of the definition in rows of %i', async (columns) => {
    for (const text of [near, far, stored, deep]) {
      const batch = batchOf(text, 6, columns, columns, precision)
      const [got, want] = [await engine.run(batch), definition(batch)]
      expectClose(got.values, want.values, { relative, what: text })
      for (const [name, data] of Object.entries(want.gradients))
        expectClose(got.gradients[name]!, data, { relative, what: `${name} of ${text}` })
    }
  })

  it('that are stored themselves are read back where they are', async () => {
    const spread = 'var(x * 0.1 + sum(tanh(v[rows -> others] - sum(x, columns)), others), rows)'
    for (const steps of [-4, -1, 1, 2])
      for (const [rows, columns] of [
        [2, 3],
        [2, 9],
        [7, 13],
        [5, 70],
      ] as const) {
        const batch = batchOf(`shift(x, ${steps}, columns) * ${spread}`, rows, columns, 1, precision)
        expectNear(await engine.run(batch), batch, `a stored shift by ${steps} of ${rows}x${columns}`)
      }
  })

  it('beyond the ends are 0, whatever the memory there contains', async () => {
    const batch = batchOf('shift(x, 1, columns) + shift(x, -2, columns)', 3, 5, 1, precision)
    const x = realsOf(precision, 15, (at) => (at >= 5 && at < 10 ? 1 : Number.NaN))
    const { values } = await engine.run({ ...batch, inputs: { ...batch.inputs, x: [x] } })
    expect(values[0]).toBeNaN()
    expect(values[1]).toBe(7)
  })

  it('need no scratch memory and no second loop if their arithmetic is cheap', () => {
    const kernel = new KernelCache({ relaxed: false }).kernelFor(batchOf(near, 4, 9, 2))
    expect(kernel.plan.buffers.filter(({ role }) => role === 'scratch')).toEqual([])
    expect(kernel.plan.separable).toBe('rows')
  })

  it('of expensive values are stored once, in the slice of their row', () => {
    const batch = batchOf(stored, 37, 13, 5)
    const kernel = new KernelCache({ relaxed: false }).kernelFor(batch)
    expect(kernel.plan.buffers.filter(({ role }) => role === 'scratch').length).toBeGreaterThan(0)
    expect(bitsIn(kernel, batch, [0, 16, 32, 37])).toEqual(bitsIn(kernel, batch, [0, 37]))
  })

  it('across rows are the same in slices of rows as in the whole', () => {
    const batch = batchOf('abs(x - shift(x, 1, rows))', 37, 13, 4)
    const kernel = new KernelCache({ relaxed: false }).kernelFor(batch)
    expect(kernel.plan.separable).toBe('rows')
    expect(bitsIn(kernel, batch, [0, 16, 32, 37])).toEqual(bitsIn(kernel, batch, [0, 37]))
  })
})

/** Each line doubles the number of paths to the first one. */
describe('a formula with more paths than can be visited', () => {
  const chain = (start: string, sign: string) =>
    [`a0 = ${start}`, ...Array.from({ length: 60 }, (_, k) => `a${k + 1} = a${k} ${sign} a${k}`)].join('\n')

  it.each([
    `${chain('s', '*')}\nx * a60`,
    `${chain('s', '*')}\na60 > 0 ? x : x * x`,
    `${chain('x', '*')}\na60 - mean(a60, columns)`,
    `${chain('i', '+')}\npick(x, a60, columns)`,
    `${chain('x', '*')}\npick(a60, i, columns)`,
    `${chain('x', '*')}\nsum(a60 - a60[columns -> others], others)`,
    `${chain('x', '*')}\nsoftmax(a60, columns)`,
    `${chain('x', '*')}\nconv(a60, [1, 2, 1], columns)`,
  ])('is compiled as fast as any: %s', (text) => {
    const started = performance.now()
    const program = lower(parse(text), SCOPE, ['x'])
    const staticPredicates = evaluateStaticPredicates(program, { s: 0.5 })
    compile(program, { uniform: true, staticPredicates }, { relaxed: false })
    moduleOf(legalizeForShaders(program, staticPredicates), { rows: 4, columns: 5, others: 5 })
    expect(performance.now() - started).toBeLessThan(3000)
  })
})

describe('slices', () => {
  it('of rows give the same bits as the whole batch', () => {
    const batch = batchOf('softplus(x) * tanh(y) + logsumexp(x, columns)', 70, 13, 5)
    const kernel = new KernelCache({ relaxed: false }).kernelFor(batch)
    expect(kernel.plan.separable).toBe('rows')
    expect(bitsIn(kernel, batch, [0, 16, 48, 64, 70])).toEqual(bitsIn(kernel, batch, [0, 70]))
  })
})

describe('long sums', () => {
  it('the sum of 1e7 elements is accurate to 1e-6', async () => {
    const count = 10_000_000
    const scope = {
      inputs: { x: { type: 'real', axes: ['n'] } },
      absent: [],
      params: {},
      axes: ['n'],
    } as const
    const program = lower(parse('mean(x, n)'), scope, [])
    const x = Float32Array.from({ length: count }, (_, i) => 0.1 + (i % 1000) * 1e-3)
    const shared = {
      programKey: 'mean',
      program,
      precision: 'float32' as const,
      sizes: { n: count },
      scalars: {},
    }
    const { values } = await engine.run({ ...shared, inputs: { x: [x] }, cotangent: [Float32Array.of(1)] })
    const exact = x.reduce((total, term) => total + term, 0) / count
    expect(Math.abs(values[0]! - exact) / exact).toBeLessThan(1e-6)
  })

  it('an infinite term makes the sum infinite, not NaN', async () => {
    const batch = batchOf('x', 1, 1000, 3)
    ;(batch.inputs.x![0] as Float32Array)[500] = Number.POSITIVE_INFINITY
    const program = lower(parse('sum(x, columns)'), SCOPE, [])
    const { values } = await engine.run({
      ...batch,
      program,
      programKey: 'sum',
      inputs: { x: batch.inputs.x! },
    })
    expect(values[0]).toBe(Number.POSITIVE_INFINITY)
  })
})
