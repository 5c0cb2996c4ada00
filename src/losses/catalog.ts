/** The catalog: losses by any of their names. How losses are found is load.ts's affair. */
import { nearest } from '../nearest.ts'
import { meantBy, namesBeside } from './aliases.ts'
import type { Loss, ResolvedLoss } from './define.ts'

export interface Catalog {
  /** By family, then name. */
  readonly losses: readonly Loss[]
  /** By any of its names; `undefined` when there is none. */
  find(name: string): Loss | undefined
  /** The loss, with what the name brings along. */
  resolve(name: string): ResolvedLoss | undefined
  /** Every name that answers, and what it stands for. */
  readonly names: ReadonlyMap<string, ResolvedLoss>
  /** The names that may have been meant, the likeliest first, for messages. */
  nearest(name: string): readonly string[]
}

/**
 * @throws Error when a name stands twice
 * @example
 * createCatalog([huber, l1]).find('mae')?.name // 'l1'
 */
export function createCatalog(losses: readonly Loss[]): Catalog {
  const byName = new Map<string, ResolvedLoss>()
  for (const loss of losses) {
    for (const [name, alias] of loss.spellings) {
      if (byName.has(name)) throw new Error(`two losses are called "${name}"`)
      byName.set(name, Object.freeze({ loss, ...alias }))
    }
  }
  const names = new Map([...byName, ...namesBeside(byName)])
  const known = [...names.keys()]
  return Object.freeze({
    losses: Object.freeze([...losses]),
    find: (name: string) => names.get(name)?.loss,
    resolve: (name: string) => names.get(name),
    names,
    nearest: (name: string) => meantBy(name, known, nearest),
  })
}
