/** Splitting batches: two halves give the result of the whole for every loss with independent rows. */
import { describe, expect, it } from 'vitest'
import { assemble } from '../../../src/batching/assemble.ts'
import { halve, rejoin } from '../../../src/engines/routing/halve-batch.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import { check, openInterpreter } from '../../support/evaluate.ts'
import { sampleTensors } from '../../support/sample.ts'

const { losses } = await loadCatalog()
const engine = await openInterpreter()

describe('two halves', () => {
  it.each(losses.map((loss) => [loss.name, loss] as const))(
    'of %s give the whole result, if it can be split',
    async (_, loss) => {
      const tensors = sampleTensors(loss, { seed: 3, rows: 5 })
      const batch = assemble([check(loss, tensors, { reduction: 'none' }).job])
      const halves = halve(batch)
      if (loss.couples === 'batch') expect(halves).toBeUndefined()
      if (halves === undefined) return
      const [first, second] = [await engine.run(halves[0]), await engine.run(halves[1])]
      const whole = await engine.run(batch)
      const { values, denominators, gradients } = rejoin([first, second])
      expect({ values, denominators, gradients }).toEqual({
        values: whole.values,
        denominators: whole.denominators,
        gradients: whole.gradients,
      })
    },
  )

  it('exist for most losses, and split the cotangents, too', async () => {
    const huber = losses.find(({ name }) => name === 'huber')!
    const jobs = [1, 2].map((rows) => check(huber, sampleTensors(huber, { seed: rows, rows })).job)
    const batch = assemble([jobs[0]!, jobs[1]!])
    const halves = halve(batch)!
    const joinedUp = rejoin([await engine.run(halves[0]), await engine.run(halves[1])])
    expect(joinedUp.gradients).toEqual((await engine.run(batch)).gradients)
  })

  it('do not exist for a single row', () => {
    const mse = losses.find(({ name }) => name === 'cross_entropy')!
    expect(halve(assemble([check(mse, sampleTensors(mse, { seed: 1, rows: 1 })).job]))).toBeUndefined()
  })
})
