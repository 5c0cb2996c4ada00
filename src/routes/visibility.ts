/** Which losses' names a caller may read in metrics and reports, where the names of all callers' losses come together. */
import type { Caller } from '../access/caller.ts'
import type { Catalog } from '../losses/catalog.ts'
import { lossNameOfKey } from '../losses/program.ts'

/** Labels that stand for many losses. */
const COLLECTIVE: ReadonlySet<string> = new Set(['inline', 'compose', 'registered', 'unknown', 'formula'])

/** Whether a caller may read the name of a loss; undefined if it may read every one. */
export function namesShownTo(caller: Caller, catalog: Catalog): ((name: string) => boolean) | undefined {
  if (caller.seesAll) return undefined
  return (name) => {
    const slash = name.indexOf('/')
    if (slash >= 0) return caller.sees(name.slice(0, slash))
    return COLLECTIVE.has(name) || catalog.find(name)?.name === name
  }
}

/**
 * The same for the key of a program, which also has the names of inputs and parameters. Anyone may call a formula that is sent
 * with a request like a loss of the catalog, so the content must be that of the catalog, too.
 */
export function programsShownTo(caller: Caller, catalog: Catalog): (programKey: string) => boolean {
  if (caller.seesAll) return () => true
  return (key) => {
    const name = lossNameOfKey(key)
    const slash = name.indexOf('/')
    if (slash >= 0) return caller.sees(name.slice(0, slash))
    const loss = catalog.find(name)
    return loss !== undefined && key.startsWith(`${loss.name}@${loss.id}|`)
  }
}
