/** Formulas nobody wrote: compiled, they are what the interpreter says, in every shape, merged and in slices. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openCompiled } from '../../../src/engines/compiled/engine.ts'
import { KernelCache } from '../../../src/engines/compiled/kernel-cache.ts'
import { lower } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { expectClose } from '../../support/close.ts'
import { definition } from '../../support/definition.ts'
import { SCOPE } from '../../support/formulas.ts'
import { batchOf, expectNear, matrixCases } from '../../support/random.ts'
import { bitsIn } from './launch.ts'

const engine = openCompiled({ reason: 'test', threads: 0, memoryBytes: 2 ** 31, log: () => {} })

describe('a random formula', () => {
  it('compiled is what the interpreter says, value and gradient', async () => {
    await fc.assert(
      fc.asyncProperty(matrixCases(9, 21), async ({ text, rows, columns, seed }) => {
        const batch = batchOf(text, rows, columns, seed)
        expectNear(await engine.run(batch), batch, text)
      }),
      { numRuns: 150 },
    )
  })
})

const SHAPES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 64, 100, 257]

describe('every length of a row', () => {
  const text = 'logsumexp(x, columns) * y + max(x * y, columns) - softplus(x) * v'
  it.each(SHAPES)('%i columns', async (columns) => {
    const batch = batchOf(text, 6, columns, columns)
    const [got, want] = [await engine.run(batch), definition(batch)]
    expectClose(got.values, want.values, { relative: 2e-5 })
    for (const name of ['x', 'v'])
      expectClose(got.gradients[name]!, want.gradients[name]!, { relative: 2e-5 })
  })
})

describe('slices', () => {
  it('of rows give the bits of the whole', () => {
    const batch = batchOf('softplus(x) * tanh(y) + logsumexp(x, columns)', 70, 13, 5)
    const kernel = new KernelCache({ relaxed: false }).kernelFor(batch)
    expect(kernel.plan.separable).toBe('rows')
    expect(bitsIn(kernel, batch, [0, 16, 48, 64, 70])).toEqual(bitsIn(kernel, batch, [0, 70]))
  })
})

describe('long sums', () => {
  it('the sum of 1e7 elements is right to 1e-6', async () => {
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

  it('an infinity among many terms stays one', async () => {
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
