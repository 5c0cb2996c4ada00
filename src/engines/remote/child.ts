/**
 * The entry point of an engine's process. When the pipe closes, because the server has ended or wants this process
 * to end, nothing is left to wait for and the process exits, even if a driver still has handles open.
 */
import { Socket } from 'node:net'
import self, { argv, exit } from 'node:process'
import { openWithoutFallback } from '../engine-registry.ts'
import type { Request } from './messages.ts'
import { IpcTransport } from './pipe-transport.ts'
import { PIPE, type ProcessStart } from './process.ts'
import { serve } from './serve.ts'
import { SharedMemorySlots } from './shared-memory-slots.ts'

// Node would open its inspector.
self.on('SIGUSR1', () => {})
// Ctrl-C reaches all processes of a terminal. The server still needs this one for what it has accepted.
for (const signal of ['SIGINT', 'SIGTERM'] as const) self.on(signal, () => {})

const options = JSON.parse(argv[2]) as ProcessStart
const slotsFrom = (first: number) => Array.from({ length: options.slots }, (_, i) => first + i)
const pipe = new Socket({ fd: PIPE })
pipe.on('close', () => exit())
let listener: (request: Request) => void = () => {}
const link = new IpcTransport({
  pipe,
  incoming: new SharedMemorySlots(slotsFrom(PIPE + 1)),
  outgoing: new SharedMemorySlots(slotsFrom(PIPE + 1 + options.slots)),
  onMessage: (request) => listener(request as Request),
})

await serve(
  {
    say: (reply, sent) => link.send(reply, sent),
    onRequest: (heard) => {
      listener = heard
    },
    close: () => pipe.end(() => exit()),
  },
  () => openWithoutFallback(options),
)
