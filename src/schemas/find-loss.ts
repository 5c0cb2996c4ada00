/** Finds a loss by any of its names, or rejects the name and suggests the closest one. */
import { Problem } from '../errors.ts'
import type { Catalog } from '../losses/catalog.ts'
import type { ResolvedLoss } from '../losses/define.ts'
import { suggesting } from '../nearest.ts'

/**
 * @param list what prints the names, for whoever asks
 * @throws Problem `unknown-loss`
 */
export function resolveLoss(catalog: Catalog, name: string, list = 'GET /v1/losses'): ResolvedLoss {
  const resolved = catalog.resolve(name)
  if (resolved !== undefined) return resolved
  const meant = catalog.nearest(name)
  const guess = meant.length === 0 ? '' : suggesting(...meant)
  const detail = `there is no loss "${name.slice(0, 80)}"; ${list} lists them${guess}`
  throw new Problem('unknown-loss', detail)
}
