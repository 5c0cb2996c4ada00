/**
 * The entry point of an engine's process that several processes share. It listens on a Unix domain socket; each connection is a channel
 * like that of an engine's own process. It ends when the process that started it has ended.
 */
import { rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { dirname } from 'node:path'
import self, { argv, exit } from 'node:process'
import type { Engine } from '../contract.ts'
import { openWithoutFallback } from '../engine-registry.ts'
import { mergeBatches } from './merge-batches.ts'
import type { Request } from './messages.ts'
import { IpcTransport } from './pipe-transport.ts'
import { serve } from './serve.ts'
import type { AcceptedMemory, OfferedMemory } from './shared-connection.ts'
import type { SharedReport, SharedStart } from './shared-device.ts'
import { openSlotsOf, SharedMemorySlots } from './shared-memory-slots.ts'

// Node would open its inspector.
self.on('SIGUSR1', () => {})
// Ctrl-C reaches all processes of a terminal. Those that compute with this one still need it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) self.on(signal, () => {})

const { path, maxElements, ...options } = JSON.parse(argv[2]) as SharedStart

try {
  const engine = mergeBatches(await openWithoutFallback(options), maxElements)
  const server = createServer((connection) => void attend(connection, engine))
  server.once('error', ({ message }) => refuse(message))
  server.listen(path, () => report({ type: 'opened', info: engine.info }))
  self.on('disconnect', () => server.close(() => leave()))
} catch (error) {
  refuse(error instanceof Error ? error.message : String(error))
}

/** Nobody else removes the folder if the process that made it was killed. */
function leave() {
  rmSync(dirname(path), { recursive: true, force: true })
  exit()
}

function report(what: SharedReport) {
  self.send!(what)
}

function refuse(reason: string) {
  self.send!({ type: 'refused', reason } satisfies SharedReport, () => exit(1))
}

/** A process that uses the engine. The engine outlives its connection. */
async function attend(connection: Socket, engine: Engine): Promise<void> {
  const [incoming, outgoing] = [new SharedMemorySlots([]), new SharedMemorySlots([])]
  let listener: (request: Request) => void = () => {}
  const share = ({ memory: { pid, there, back } }: OfferedMemory) => {
    const [requests, replies] = [openSlotsOf(pid, there), openSlotsOf(pid, back)]
    incoming.adopt(requests ?? [])
    outgoing.adopt(replies ?? [])
    link.send({ memory: requests !== undefined } satisfies AcceptedMemory)
  }
  const onMessage = (message: unknown) => {
    const request = message as Request | OfferedMemory
    return 'memory' in request ? share(request) : listener(request)
  }
  const link = new IpcTransport({ pipe: connection, incoming, outgoing, onMessage })
  connection.once('close', () => {
    for (const slots of [incoming, outgoing]) void slots.close()
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
