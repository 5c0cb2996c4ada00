/**
 * Random formulas and all losses in batches on XLA: the results equal the definition, even in half-empty shape buckets.
 */
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { assemble, split } from '../../../src/batching/assemble.ts'
import type { Batch, Engine } from '../../../src/engines/contract.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import { expectClose } from '../../support/close.ts'
import { check } from '../../support/evaluate.ts'
import { batchOf, expectNear, matrixCases } from '../../support/random.ts'
import { readingsOf, sampleTensors } from '../../support/sample.ts'
import { openTensorflow, untested } from '../../support/tensorflow.ts'

let made = 0

describe.skipIf(untested !== undefined)('XLA', async () => {
  const engine: Engine = untested === undefined ? await openTensorflow() : (undefined as never)
  const { losses } = await loadCatalog()
  afterAll(() => engine?.close())

  it('computes a random formula as the interpreter does, value and gradient', async () => {
    await fc.assert(
      fc.asyncProperty(matrixCases(20, 9), async ({ text, rows, columns, seed }) => {
        // A separate key, because the first shape of a program is compiled at once.
        const batch = { ...batchOf(text, rows, columns, seed), programKey: `random ${made++}` }
        const got = await engine.run(batch)
        expect(got.compileMs, 'it was compiled').toBeGreaterThan(0)
        expectNear(got, batch, text)
      }),
      { numRuns: 40 },
    )
  }, 120_000)

  it('gives a maximum the gradient of its argument, also where a term shares a product with that', async () => {
    const text = 'var(x * 0.1 + sum(tanh(v[rows -> others] - max(x * 0.1 + 0.5, columns)), others), rows)'
    const batch = { ...batchOf(text, 3, 2, 1841484388), programKey: `random ${made++}` }
    expectNear(await engine.run(batch), batch, text)
  })

  const merging = losses.filter(({ couples, inputs }) => {
    const [first] = Object.values(inputs)[0]!.axes
    const isShared = ({ axes, trailing }: (typeof inputs)[string]) => !trailing && !axes.includes(first!)
    return couples !== 'batch' && !Object.values(inputs).some(isShared)
  })
  const read = merging.flatMap((loss) =>
    readingsOf(loss).map((reading) => [loss.name, reading, loss] as const),
  )
  it.each(read)(
    '%s with %j gives the same result in a batch as alone, compiled for both, even next to NaN',
    async (_name, reading, loss) => {
      const requests = [1, 3, 13].map((rows, seed) => sampleTensors(loss, { seed, rows, ...reading }))
      const draw = (_: unknown, kind: string) => (kind === 'real' ? Number.NaN : undefined)
      requests.push(sampleTensors(loss, { seed: 9, rows: 2, draw, ...reading }))
      const reductions = ['mean', 'sum', 'none', 'batchmean']
      const jobs = requests.map((tensors, i) => check(loss, tensors, { reduction: reductions[i] }).job)
      // A shape is compiled when it is seen for the second time.
      const run = async (batch: Batch) => {
        await engine.run(batch)
        return engine.run(batch)
      }
      const merged = split(jobs, await run(assemble([jobs[0]!, ...jobs.slice(1)])))
      for (const [place, job] of jobs.entries()) {
        const alone = await run(assemble([job]))
        expectClose(merged[place]!.values, alone.values, { relative: 1e-5 })
        for (const [name, data] of Object.entries(alone.gradients))
          expectClose(merged[place]!.gradients[name]!, data, { relative: 1e-5 })
      }
    },
  )
})
