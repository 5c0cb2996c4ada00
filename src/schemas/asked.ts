/** A loss by any name that a caller may write, or a refusal that names the nearest one. */
import { Problem } from '../errors.ts'
import { suggesting } from '../language/nearest.ts'
import type { Asked } from '../losses/define.ts'
import type { Catalog } from '../losses/index.ts'

/** @throws Problem `unknown-loss` */
export function askFor(catalog: Catalog, name: string): Asked {
  const asked = catalog.asked(name)
  if (asked !== undefined) return asked
  const meant = catalog.nearest(name)
  const guess = meant.length === 0 ? '' : suggesting(...meant)
  const detail = `there is no loss "${name.slice(0, 80)}"; GET /v1/losses lists them${guess}`
  throw new Problem('unknown-loss', detail)
}
