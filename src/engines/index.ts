/**
 * Opens the engine that the configuration names. Compiled kernels run on threads of their own, with a compute thread
 * behind them for what they cannot do; every other engine lives in one compute thread.
 */
import { availableParallelism } from 'node:os'
import { openCompiled } from './compiled/engine.ts'
import type { Engine } from './define.ts'
import { layered } from './layered.ts'
import { openThread, type ThreadOptions } from './thread.ts'

export interface EngineOptions extends ThreadOptions {
  /** Of the compiled engine; 0: one a core. */
  readonly threads?: number
  /** Bytes that its launches may hold together; default 1 GiB. */
  readonly memoryBytes?: number
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
  if (options.engine !== 'auto' && options.engine !== 'compiled') return openThread(options)
  const { threads = 0, memoryBytes = 2 ** 30, log, onStart } = options
  const compiled = openCompiled({
    reason: options.engine === 'auto' ? 'the best there is' : 'asked for',
    threads: threads === 0 ? availableParallelism() : threads,
    memoryBytes,
    log,
    ...(onStart === undefined ? {} : { onStart }),
  })
  return layered(
    compiled,
    () => openThread({ ...options, engine: BEHIND_COMPILED }),
    (precision) => (precision === 'float32' ? [BEHIND_COMPILED, 'wasm', 'interpreter'] : ['interpreter']),
  )
}
