/**
 * What a mask leaves out does not overflow either: an infinity that is not selected has no part in a value or a gradient, but a
 * framework that differentiates the gradient once more multiplies its slope by 0, which is NaN.
 */
import { describe, expect, it } from 'vitest'
import { interpret } from '../../src/language/interpret.ts'
import type { Loss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { check } from '../support/evaluate.ts'
import { sampleTensors } from '../support/sample.ts'

const { losses } = await loadCatalog()
const SEEDS = [1, 2, 3, 4, 5]
const LARGEST_FLOAT32 = 3.4e38

/** The largest result of each exponential of a program, for ordinary inputs with rows that have no partner. */
function exponentialsOf(loss: Loss): number[] {
  return SEEDS.flatMap((seed) => {
    const { job } = check(loss, sampleTensors(loss, { seed, rows: 6 }), { reduction: 'none' })
    const { denominators: _, ...program } = job.program
    const places = program.nodes.flatMap(({ op }, place) => (op === 'exp' ? [place] : []))
    return places.map((value) => Math.max(...interpret({ ...program, value, gradients: {} }, job).values))
  })
}

describe.each(losses.map((loss) => [loss.name, loss] as const))('%s', (_, loss) => {
  it('has no exponential that overflows, not even one that is masked', () => {
    expect(exponentialsOf(loss).filter((largest) => !(largest < LARGEST_FLOAT32))).toEqual([])
  })
})

describe('the catalog', () => {
  it('has exponentials behind masks', () => {
    const names = ['circle', 'supcon', 'nt_xent', 'multi_similarity']
    const masked = losses.filter(({ name }) => names.includes(name))
    expect(masked.map((loss) => exponentialsOf(loss).length > 0)).toEqual(names.map(() => true))
  })
})
