/** How an engine is declared: by a file in this folder. Each engine is one file, or a file and a folder. */
import type { Engine } from './contract.ts'
import { withHostOps } from './host-op-partition.ts'

/** A name for `LOSSD_ENGINE`. `auto` uses the best engine that opens. */
export interface EngineDefinition {
  readonly name: string
  /**
   * Higher is better; `auto` tries the GPU engines in this order. 0 is the reference implementation, which runs
   * every program.
   */
  readonly rank: number
  /**
   * Whether a batched job gets the same bits as alone. False if vectorized code treats the last elements of an
   * array differently: then results are the same only within float32 rounding.
   */
  readonly mergesExactly: boolean
  /** Whether it runs whole-axis ops (language/host-ops.ts). host-op-partition.ts adds them to the others. */
  readonly runsWholeAxisOps?: boolean
  /** Whether numbers below the smallest normal number may be flushed to 0, as on most GPUs. */
  readonly flushesSubnormals?: boolean
  /**
   * Where it runs: on a worker `thread` of the server, or in a `process` of its own, so that a driver that aborts
   * harms nothing else.
   */
  readonly home: 'thread' | 'process'
  /** Environment variables that its process needs from the start, because loaders and drivers read them only once. */
  readonly environment?: () => Readonly<Record<string, string>>
  /**
   * A quick check, without opening anything, whether `auto` need not try it: returns what is missing, or undefined
   * if it may be available. An engine that is selected by name is opened in any case.
   */
  readonly missing?: () => string | undefined
  /** Opens the engine, or says in one line why it is not available here (a missing package, no device). */
  open(reason: string): Promise<Engine | Unavailable>
}

export interface Unavailable {
  readonly unavailable: string
}

export function isUnavailable(opened: Engine | Unavailable): opened is Unavailable {
  return 'unavailable' in opened
}

/** A definition whose engine runs every op of the language. */
export function defineEngine(definition: EngineDefinition): EngineDefinition {
  const open = async (reason: string) => {
    const opened = await definition.open(reason)
    return isUnavailable(opened) || definition.runsWholeAxisOps ? opened : withHostOps(opened)
  }
  return Object.freeze({ ...definition, open })
}
