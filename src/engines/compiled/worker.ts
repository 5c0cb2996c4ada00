/** The entry point of a pool thread: runs kernels on memories that it shares with the main thread. */
import { parentPort } from 'node:worker_threads'
import { instantiate } from './launch.ts'
import type { WorkerCommand, WorkerReport } from './messages.ts'

const port = parentPort!
const modules = new Map<number, WebAssembly.Module>()
const memories = new Map<number, WebAssembly.Memory>()
/** Memory -> kernel -> its function. */
const bound = new Map<number, Map<number, (at: number) => void>>()

/**
 * Modules that are forgotten before their memory is freed. The heap of this thread stays so small that V8 would not mark
 * it for hours, and the machine code that it refers to is none of its business.
 */
const FORGOTTEN = 32
let forgotten = 0

port.on('message', (order: WorkerCommand) => {
  switch (order.type) {
    case 'module':
      modules.set(order.kernel, order.module)
      return
    case 'memory':
      memories.set(order.arena, order.memory)
      bound.set(order.arena, new Map())
      return
    case 'forget memory':
      memories.delete(order.arena)
      bound.delete(order.arena)
      return
    case 'forget module':
      modules.delete(order.kernel)
      for (const functions of bound.values()) functions.delete(order.kernel)
      // Takes some milliseconds: there is little on the heap. The pool has exposed it.
      if (++forgotten % FORGOTTEN === 0) globalThis.gc?.()
      return
    case 'run':
      port.postMessage(run(order.id, order.kernel, order.arena, order.at))
      return
    case 'close':
      port.close()
  }
})

function run(id: number, kernel: number, arena: number, at: number): WorkerReport {
  const started = performance.now()
  try {
    functionOf(kernel, arena)(at)
    return { id, ms: performance.now() - started }
  } catch (error) {
    return { id, ms: 0, failed: error instanceof Error ? error.message : String(error) }
  }
}

function functionOf(kernel: number, arena: number): (at: number) => void {
  const functions = bound.get(arena)!
  const known = functions.get(kernel)
  if (known !== undefined) return known
  const made = instantiate(modules.get(kernel)!, memories.get(arena)!)
  functions.set(kernel, made)
  return made
}
