/** The entry of a compute thread. */
import { parentPort, workerData } from 'node:worker_threads'
import { openLocal } from '../open.ts'
import type { RemoteOptions, Reply, SentResult } from './messages.ts'
import { arraysOf, serve } from './serve.ts'

const port = parentPort!
const options = workerData as RemoteOptions

await serve(
  {
    say: (reply, sent) => {
      // Arrays that the engine wants back are copied by the message, the others are moved.
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
