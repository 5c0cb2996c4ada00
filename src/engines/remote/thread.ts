/** Engines in a worker thread: arrays are copied once and transferred. */
import type { Worker } from 'node:worker_threads'
import { copyBatch, type Engine } from '../contract.ts'
import { spawn } from '../spawn-worker-thread.ts'
import type { RemoteOptions, Reply, Request } from './messages.ts'
import { openRemote } from './remote.ts'
import type { Channel } from './transport.ts'

export interface ThreadOptions extends RemoteOptions {
  readonly log: (message: string, details?: object) => void
  /** Called for every thread that starts, so that the owner can watch or end it. */
  readonly onStart?: (worker: Worker) => void
}

/**
 * @throws Error if the engine cannot be opened; the message says why
 * @example
 * const engine = await openThread({ engine: 'wasm', reason: 'selected by name', log: console.log })
 */
export function openThread({ log, onStart, engine, reason }: ThreadOptions): Promise<Engine> {
  const connect = () => {
    const worker = spawn(new URL('./worker', import.meta.url), { engine, reason } satisfies RemoteOptions)
    worker.on('error', (error) => log('a compute thread failed', { error }))
    onStart?.(worker)
    return channelOf(worker)
  }
  return openRemote({ connect, log })
}

function channelOf(worker: Worker): Channel {
  return {
    title: 'compute thread',
    send: (request) => {
      const own = request.type === 'run' ? { ...request, batch: copyBatch(request.batch) } : request
      worker.postMessage(own, buffersOf(own))
    },
    onReply: (listener) => worker.on('message', (reply: Reply) => listener(reply)),
    onExit: (listener) => worker.once('exit', (code) => listener(`exit code ${code}`)),
    kill: () => void worker.terminate(),
  }
}

function buffersOf(request: Request): ArrayBuffer[] {
  if (request.type !== 'run') return []
  const { inputs, cotangent } = request.batch
  return [...Object.values(inputs), cotangent].flat().map((array) => array.buffer as ArrayBuffer)
}
