/** How an engine is declared where it computes: by a file in this folder. One engine = one file, or a file and a folder. */
import type { Engine } from './contract.ts'
import { withHostOps } from './host-op-partition.ts'

/** A name that `LOSSD_ENGINE` may hold; `auto` takes the best that opens. */
export interface EngineDefinition {
  readonly name: string
  /** Higher is better; `auto` tries those that drive a GPU in this order. 0: the definition itself, which runs every program. */
  readonly rank: number
  /**
   * Whether a job merged with others gets the same bits as alone. Not where vector code treats the last elements of an
   * array differently: there it gets the same number within float32 rounding.
   */
  readonly mergesExactly: boolean
  /** Whether numbers below the smallest normal one may become 0, as on most GPUs. */
  readonly flushesSubnormals?: boolean
  /**
   * Where it lives: on a `thread` beside the server, or in a `process` of its own, so that a driver that aborts takes
   * nobody along.
   */
  readonly home: 'thread' | 'process'
  /** Variables that its process needs from its start, because loaders and drivers read them once. */
  readonly environment?: () => Readonly<Record<string, string>>
  /**
   * Why `auto` need not even try it: what is missing, found in a glance and without opening anything. Undefined where it
   * may be there. An engine that somebody asks for by name is opened all the same.
   */
  readonly missing?: () => string | undefined
  /**
   * Opens it, or says in one line why it cannot be had here (a missing package, no device).
   */
  open(reason: string): Promise<Engine | Unavailable>
}

export interface Unavailable {
  readonly unavailable: string
}

export function isUnavailable(opened: Engine | Unavailable): opened is Unavailable {
  return 'unavailable' in opened
}

/** A definition whose engine need not know how to take whole lines (language/host-ops.ts): that is done around it. */
export function defineEngine(definition: EngineDefinition): EngineDefinition {
  const open = async (reason: string) => {
    const opened = await definition.open(reason)
    return isUnavailable(opened) || definition.rank === 0 ? opened : withHostOps(opened)
  }
  return Object.freeze({ ...definition, open })
}
