/** Accuracy: float32 results are within 16 roundings of the definition, for hard inputs, on every engine. */
import { afterAll, describe, expect, it } from 'vitest'
import type { Loss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { answersOf, BEYOND, type Inaccuracy, inaccuraciesOf } from '../support/accuracy.ts'
import { availableEngines } from '../support/engines.ts'
import { openInterpreter } from '../support/evaluate.ts'

const { losses } = await loadCatalog()
const exact = await openInterpreter()

/** Engines whose functions are not ours, or that run shaders: sums in another order, logarithms of a few more ulp. */
const TOLERANCE: Readonly<Record<string, number>> = { compiled: 1, cpu: 2, wasm: 2, webgpu: 4, tensorflow: 4 }

const LIMIT = 16
const limitOf = (loss: Loss, engine: string) =>
  (TOLERANCE[engine] ?? 1) * (BEYOND[loss.name]?.roundings ?? LIMIT)

const told = ({ result, roundings, mode, params, got, exact: want }: Inaccuracy) =>
  `${result}: ${roundings.toFixed(0)} roundings with ${JSON.stringify(params)}, ${mode}: ${got} instead of ${want}`

for (const tested of (await availableEngines()).filter(({ name }) => name !== 'interpreter')) {
  describe(`on ${tested.name}`, async () => {
    const engine = await tested.open()
    afterAll(() => engine.close())

    it.each(losses.map((loss) => [loss.name, loss] as const))('%s is accurate', async (_, loss) => {
      const found = await inaccuraciesOf({ answer: answersOf(engine), exact }, loss, 101)
      const limit = limitOf(loss, tested.name)
      expect(found.length).toBeGreaterThan(0)
      expect(found.filter(({ roundings }) => !(roundings <= limit)).map(told)).toEqual([])
    })
  })
}

it('every exception is a loss of the catalog', () => {
  const names = losses.map(({ name }) => name)
  expect(Object.keys(BEYOND).filter((name) => !names.includes(name))).toEqual([])
})
