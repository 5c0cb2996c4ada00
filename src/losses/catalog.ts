/** The catalog: losses by any of their names. load-catalog.ts finds the losses. */
import { nearest } from '../nearest.ts'
import { derivedAliases, suggestLosses } from './aliases.ts'
import type { Loss, ResolvedLoss } from './define.ts'

export interface Catalog {
  /** Sorted by family, then by name. */
  readonly losses: readonly Loss[]
  /** The loss with any of its names; `undefined` if there is none. */
  find(name: string): Loss | undefined
  /** The loss, with the defaults that the name implies. */
  resolve(name: string): ResolvedLoss | undefined
  /** Every name of a loss, and what it stands for. */
  readonly names: ReadonlyMap<string, ResolvedLoss>
  /** The names that may have been meant, the most likely first, for messages. */
  nearest(name: string): readonly string[]
}

/**
 * @throws Error if two losses have the same name
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
  const names = new Map([...byName, ...derivedAliases(byName)])
  const known = [...names.keys()]
  return Object.freeze({
    losses: Object.freeze([...losses]),
    find: (name: string) => names.get(name)?.loss,
    resolve: (name: string) => names.get(name),
    names,
    nearest: (name: string) => suggestLosses(name, known, nearest),
  })
}
