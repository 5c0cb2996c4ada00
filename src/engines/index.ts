/** Opens the engine that the configuration names, on a thread of its own. */
import type { Engine } from './define.ts'
import { openThread, type ThreadOptions } from './thread.ts'

/**
 * @throws Error in one line when the engine cannot be had here
 * @example
 * const engine = await openEngine({ engine: 'auto', log: console.log })
 * engine.info.device // 'tfjs wasm, simd, 1 thread'
 */
export function openEngine(options: ThreadOptions): Promise<Engine> {
  return openThread(options)
}
