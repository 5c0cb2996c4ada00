/** Accuracy: results are within 16 roundings of the definition, for hard inputs, on every engine. */
import { afterAll, describe, expect, it } from 'vitest'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import type { Loss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { answersOf, BEYOND, type Inaccuracy, inaccuraciesOf } from '../support/accuracy.ts'
import { IS_THOROUGH, sampled } from '../support/depth.ts'
import { availableEngines } from '../support/engines.ts'
import { openInterpreter } from '../support/evaluate.ts'
import { EXACT_ENGINE } from '../support/exact-interpreter.ts'

const { losses } = await loadCatalog()
const exact = await openInterpreter()

/** Engines whose functions are not ours, or that run shaders: sums in another order, logarithms of a few more ulp. */
const TOLERANCE: Readonly<Record<string, number>> = { compiled: 1, cpu: 2, wasm: 2, webgpu: 4, tensorflow: 4 }

const LIMIT = 16
const limitOf = (loss: Loss, engine: string) =>
  (TOLERANCE[engine] ?? 1) * (BEYOND[loss.name]?.roundings ?? LIMIT)

const told = ({ result, roundings, mode, params, got, exact: want }: Inaccuracy) =>
  `${result}: ${roundings.toFixed(0)} roundings with ${JSON.stringify(params)}, ${mode}: ${got} instead of ${want}`

const engines = (await availableEngines()).filter(
  ({ name, isEmulated }) => name !== 'interpreter' && (IS_THOROUGH || !isEmulated),
)

for (const tested of engines) {
  describe(`on ${tested.name}`, async () => {
    const engine = await tested.open()
    afterAll(() => engine.close())

    const step = tested.name === 'compiled' ? 2 : 8
    it.each(sampled(losses, step).map((loss) => [loss.name, loss] as const))(
      '%s is accurate',
      async (_, loss) => {
        const found = await inaccuraciesOf({ answer: answersOf(engine), exact }, loss, 101)
        const limit = limitOf(loss, tested.name)
        expect(found.length).toBeGreaterThan(0)
        expect(found.filter(({ roundings }) => !(roundings <= limit)).map(told)).toEqual([])
      },
    )
  })
}

/**
 * Each uses other functions, sums or picks. A hundred digits take so long that only `npm run accuracy -- --dtype float64` computes
 * all losses with them.
 */
const IN_FLOAT64 = [
  'huber',
  'log_cosh',
  'gamma_nll',
  'cross_entropy',
  'softmax_focal',
  'ciou',
  'barron_robust',
]

describe('in float64, compared with a hundred digits', async () => {
  const engine = (await compiled.open('test')) as Engine
  afterAll(() => engine.close())
  const chosen = losses.filter(({ name }) => IN_FLOAT64.includes(name))

  it.each(sampled(chosen, 3).map((loss) => [loss.name, loss] as const))('%s is accurate', async (_, loss) => {
    const sides = { answer: answersOf(engine), exact: EXACT_ENGINE, precision: 'float64' } as const
    const found = await inaccuraciesOf(sides, loss, 101)
    expect(found.length).toBeGreaterThan(0)
    expect(found.filter(({ roundings }) => !(roundings <= LIMIT)).map(told)).toEqual([])
  })

  it('are losses of the catalog', () => {
    expect(chosen).toHaveLength(IN_FLOAT64.length)
  })
})

it('every exception is a loss of the catalog', () => {
  const names = losses.map(({ name }) => name)
  expect(Object.keys(BEYOND).filter((name) => !names.includes(name))).toEqual([])
})
