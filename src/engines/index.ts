/**
 * Opens what the configuration names, as one Engine. On the processor: compiled kernels on threads of their own, with a
 * compute thread behind them for what they cannot do. On a GPU: an engine in its own process, with the processor's as its
 * standby, and under `auto` both, each batch where it is answered soonest.
 */
import type { ChildProcess } from 'node:child_process'
import { availableParallelism } from 'node:os'
import type { Worker } from 'node:worker_threads'
import { openCompiled } from './compiled/engine.ts'
import type { Engine } from './contract.ts'
import type { EngineDefinition } from './define.ts'
import { definitionOf, engineDefinitions } from './open.ts'
import { openProcess } from './remote/process.ts'
import { openThread } from './remote/thread.ts'
import { costBasedRouter } from './routing/cost-based-router.ts'
import { withFallback } from './routing/fallback-chain.ts'
import { withStandby } from './routing/standby.ts'

export interface EngineOptions {
  /** A name, or `auto`. */
  readonly engine: string
  /** Of the compiled engine; 0: one a core. */
  readonly threads?: number
  /** Bytes that its launches may hold together; default 1 GiB. */
  readonly memoryBytes?: number
  readonly log: (message: string, details?: object) => void
  /** Is told of every thread and process that starts, so that an owner can watch it, or end it. */
  readonly onStart?: (started: Worker | ChildProcess) => void
}

/**
 * What runs a program that is not one kernel: the same kernels on a thread, where whole lines are worked on between them;
 * tfjs and the interpreter stand behind those.
 */
const BEHIND_COMPILED = 'compiled'

/**
 * @throws Error in one line when the engine cannot be had here
 * @example
 * const engine = await openEngine({ engine: 'auto', log: console.log })
 * engine.info.device // 'fused wasm, simd, 2 threads'
 */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const { engine, log, onStart } = options
  if (engine === 'compiled') return openProcessor(options, 'asked for')
  const all = await engineDefinitions()
  if (engine === 'auto') return openBest(options, all)
  const definition = definitionOf(engine, all)
  const reason = 'asked for'
  if (definition.home === 'thread') return openThread({ engine, reason, log, ...listener(onStart) })
  const device = await openProcess({ definition, reason, log, ...listener(onStart) })
  return withStandby(device, openProcessor(options, `stands behind ${engine}`), log)
}

/** A GPU where there is one, and the processor. */
async function openBest(options: EngineOptions, all: readonly EngineDefinition[]): Promise<Engine> {
  const refused: string[] = []
  for (const definition of all.filter(({ home }) => home === 'process')) {
    const device = await tryDevice(options, definition)
    if (typeof device === 'string') refused.push(`${definition.name}: ${device}`)
    else return costBasedRouter(device, openProcessor(options, `beside ${definition.name}`), options.log)
  }
  for (const reason of refused) options.log('an engine is not available', { reason })
  return openProcessor(options, `the best there is here (${refused.join('; ')})`)
}

/** @returns the engine, or in one line why it is of no use here */
async function tryDevice(
  { log, onStart }: EngineOptions,
  definition: EngineDefinition,
): Promise<Engine | string> {
  const missing = definition.missing?.()
  if (missing !== undefined) return missing
  try {
    const opened = await openProcess({ definition, reason: 'a GPU', log, ...listener(onStart) })
    if (opened.info.isGpu) return opened
    await opened.close()
    return `${opened.info.device} is no GPU`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/**
 * Operations of the largest program that is compiled on the event loop: some 200 ms on a busy machine. Larger ones, which few
 * formulas with their derivatives are, are compiled and run on the thread behind it, so that nobody else waits for that.
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
    openThread({ engine: BEHIND_COMPILED, reason: 'for whole lines', log, ...listener(onStart) })
  return withFallback(compiled, behind, (precision) =>
    precision === 'float32' ? [BEHIND_COMPILED, 'wasm', 'interpreter'] : ['interpreter'],
  )
}

function listener(onStart: EngineOptions['onStart']): Pick<EngineOptions, 'onStart'> {
  return onStart === undefined ? {} : { onStart }
}
