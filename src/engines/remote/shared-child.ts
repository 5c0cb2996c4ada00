/**
 * The entry point of an engine's process that several processes share. It listens on a Unix domain socket; each connection is a channel
 * like that of an engine's own process. It ends when the process that started it has ended.
 */
import { createServer, type Socket } from 'node:net'
import self, { argv, exit } from 'node:process'
import type { Engine } from '../contract.ts'
import { openWithoutFallback } from '../engine-registry.ts'
import { mergeBatches } from './merge-batches.ts'
import type { Request } from './messages.ts'
import { IpcTransport } from './pipe-transport.ts'
import { serve } from './serve.ts'
import { SharedMemorySlots } from './shared-memory-slots.ts'
import type { SharedReport, SharedStart } from './shared-process.ts'

// Node would open its inspector.
self.on('SIGUSR1', () => {})
self.on('disconnect', () => exit())

const { path, maxElements, ...options } = JSON.parse(argv[2]) as SharedStart

try {
  const engine = mergeBatches(await openWithoutFallback(options), maxElements)
  createServer((connection) => void attend(connection, engine))
    .once('error', ({ message }) => refuse(message))
    .listen(path, () => report({ type: 'opened', info: engine.info }))
} catch (error) {
  refuse(error instanceof Error ? error.message : String(error))
}

function report(what: SharedReport) {
  self.send!(what)
}

function refuse(reason: string) {
  self.send!({ type: 'refused', reason } satisfies SharedReport, () => exit(1))
}

/** A process that uses the engine. The engine outlives its connection. */
async function attend(connection: Socket, engine: Engine): Promise<void> {
  let listener: (request: Request) => void = () => {}
  const link = new IpcTransport({
    pipe: connection,
    incoming: new SharedMemorySlots([]),
    outgoing: new SharedMemorySlots([]),
    onMessage: (request) => listener(request as Request),
  })
  await serve(
    {
      say: (reply, sent) => link.send(reply, sent),
      onRequest: (heard) => {
        listener = heard
      },
      close: () => connection.end(),
    },
    async () => withoutClose(engine),
  )
}

function withoutClose(engine: Engine): Engine {
  return Object.create(engine, { close: { value: async () => {} } })
}
