/**
 * Which engines support a loss. The engine is asked with the program of the loss's first example, or of a typical
 * request of a custom loss.
 */
import { defaultSignature } from '../losses/custom.ts'
import type { Loss } from '../losses/define.ts'
import { LruCache } from '../lru.ts'
import type { Precision } from '../tensor.ts'
import { decodeObject } from '../wire/index.ts'
import type { RouteContext } from './context.ts'

/** Names of engines, in the order in which they are tried. */
export type EngineSupport = Readonly<Record<Precision, readonly string[]>>

/** Maximum number of cached results. */
const MAX_KEPT = 1024

/** Caches its results by what a loss computes, because asking may compile a kernel. */
export function createEngineSupport({
  catalog,
  programs,
  plans,
  engine,
  config,
}: Pick<RouteContext, 'catalog' | 'programs' | 'plans' | 'engine' | 'config'>): (
  loss: Loss,
) => EngineSupport {
  const known = new LruCache<string, EngineSupport>({ entries: MAX_KEPT })
  const programOf = (loss: Loss) => {
    const [example] = loss.examples
    if (example === undefined || loss.family === 'custom')
      return programs(loss, defaultSignature(loss)).program
    const { inputs, params } = example
    const decoded = decodeObject({ ...inputs, ...(params === undefined ? {} : { params }) }, config)
    return plans(catalog.resolve(loss.name)!, decoded).program.program
  }
  return (loss) => {
    const found = known.get(loss.id)
    if (found !== undefined) return found
    const program = programOf(loss)
    const made = {
      float32: engine.serving(program, 'float32'),
      float64: engine.serving(program, 'float64'),
    }
    return known.set(loss.id, made)
  }
}
