/**
 * Opens the engine that the configuration names. On the CPU: compiled kernels on a thread pool, with a worker
 * thread as fallback for what they cannot do. On a GPU: an engine in its own process, with the CPU engines as its
 * standby. Under `auto`: both, and each batch runs where it is expected to finish first.
 */
import type { ChildProcess } from 'node:child_process'
import { availableParallelism } from 'node:os'
import type { Worker } from 'node:worker_threads'
import { openCompiled } from './compiled/engine.ts'
import type { Engine } from './contract.ts'
import type { EngineDefinition } from './define.ts'
import { definitionOf, engineDefinitions } from './engine-registry.ts'
import { openProcess } from './remote/process.ts'
import { openConnection } from './remote/shared-connection.ts'
import { openThread } from './remote/thread.ts'
import { costBasedRouter } from './routing/cost-based-router.ts'
import { withFallback } from './routing/fallback-chain.ts'
import { withStandby } from './routing/standby.ts'

export interface EngineOptions {
  /** A name, or `auto`. */
  readonly engine: string
  /** Threads of the compiled engine; 0: one per core. */
  readonly threads?: number
  /** Maximum memory of all its launches together, in bytes; default 1 GiB. */
  readonly memoryBytes?: number
  /** The device that several processes share, if there is one. It is used instead of one of its own. */
  readonly shared?: { readonly name: string; readonly path: string } | undefined
  readonly log: (message: string, details?: object) => void
  /** Called for every thread and process that starts, so that the owner can watch or end it. */
  readonly onStart?: (started: Worker | ChildProcess) => void
}

/**
 * Runs the programs that would take the event loop too long to compile: the same kernels on a thread of its own. Its fallbacks are
 * tfjs and the interpreter.
 */
const BEHIND_COMPILED = 'compiled'

/**
 * @throws Error with one line that says why the engine is not available here
 * @example
 * const engine = await openEngine({ engine: 'auto', log: console.log })
 * engine.info.device // 'fused wasm, simd, 2 threads'
 */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const { engine, log, onStart } = options
  if (engine === 'compiled') return openProcessor(options, 'selected by name')
  const all = await engineDefinitions()
  if (engine === 'auto') return openBest(options, all)
  const definition = definitionOf(engine, all)
  const reason = 'selected by name'
  if (definition.home === 'thread') return openThread({ engine, reason, log, ...listener(onStart) })
  const device = await openDevice(options, definition, reason)
  return withStandby(device, openProcessor(options, `standby of ${engine}`), log)
}

/** A GPU if there is one, and the CPU. */
async function openBest(options: EngineOptions, all: readonly EngineDefinition[]): Promise<Engine> {
  const refused: string[] = []
  for (const definition of all.filter(({ home }) => home === 'process')) {
    const device = await tryDevice(options, definition)
    if (typeof device === 'string') refused.push(`${definition.name}: ${device}`)
    else
      return costBasedRouter(device, openProcessor(options, `in addition to ${definition.name}`), options.log)
  }
  for (const reason of refused) options.log('an engine is not available', { reason })
  return openProcessor(options, `the best available engine (${refused.join('; ')})`)
}

/** @returns the engine, or one line that says why it is not useful here */
async function tryDevice(options: EngineOptions, definition: EngineDefinition): Promise<Engine | string> {
  const missing = definition.missing?.()
  if (missing !== undefined) return missing
  try {
    const opened = await openDevice(options, definition, 'a GPU')
    if (opened.info.isGpu) return opened
    await opened.close()
    return `${opened.info.device} is not a GPU`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** @throws Error if it cannot be opened; the message says why */
function openDevice(
  { shared, log, onStart }: EngineOptions,
  definition: EngineDefinition,
  reason: string,
): Promise<Engine> {
  if (shared?.name === definition.name) return openConnection({ ...shared, log })
  return openProcess({ definition, reason, log, ...listener(onStart) })
}

/**
 * Maximum number of operations of a program that is compiled on the event loop, which takes about 200 ms on a busy machine.
 * Larger programs, which are rare, are compiled and run on the fallback thread, so that no other request waits for them.
 */
const EVENT_LOOP_NODES = 400

function openProcessor(options: EngineOptions, reason: string): Engine {
  const { threads = 0, memoryBytes = 2 ** 30, log, onStart } = options
  const compiled = openCompiled({
    reason,
    threads: threads === 0 ? availableParallelism() : threads,
    memoryBytes,
    maxNodes: EVENT_LOOP_NODES,
    log,
    ...listener(onStart),
  })
  const behind = () =>
    openThread({ engine: BEHIND_COMPILED, reason: 'for large programs', log, ...listener(onStart) })
  return withFallback(compiled, behind, (precision) =>
    precision === 'float32' ? [BEHIND_COMPILED, 'wasm', 'interpreter'] : [BEHIND_COMPILED, 'interpreter'],
  )
}

function listener(onStart: EngineOptions['onStart']): Pick<EngineOptions, 'onStart'> {
  return onStart === undefined ? {} : { onStart }
}
