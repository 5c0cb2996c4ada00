/** The entry point of an engine's worker thread. */
import { parentPort, workerData } from 'node:worker_threads'
import { openLocal } from '../engine-registry.ts'
import type { RemoteOptions, Reply, SentResult } from './messages.ts'
import { arraysOf, serve } from './serve.ts'

const port = parentPort!
const options = workerData as RemoteOptions

await serve(
  {
    say: (reply, sent) => {
      // Arrays that the engine needs back are copied; all others are transferred.
      port.postMessage(reply, sent === undefined ? buffersOf(reply) : [])
      sent?.()
    },
    onRequest: (listener) => port.on('message', listener),
    close: () => port.close(),
  },
  () => openLocal(options),
)

function buffersOf(reply: Reply): ArrayBuffer[] {
  const arrays = reply.type === 'result' ? arraysOf(reply.result satisfies SentResult) : []
  return [...new Set(arrays.map((array) => array.buffer as ArrayBuffer))]
}
