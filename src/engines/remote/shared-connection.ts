/** A connection to an engine in a process that several processes share. When it breaks, it is opened again. */
import { connect, type Socket } from 'node:net'
import type { Engine } from '../contract.ts'
import type { Reply } from './messages.ts'
import { IpcTransport } from './pipe-transport.ts'
import { openRemote } from './remote.ts'
import { SharedMemorySlots } from './shared-memory-slots.ts'
import type { Channel } from './transport.ts'

export interface ConnectionOptions {
  /** Of the socket of a `SharedProcess`. */
  readonly path: string
  /** Of the engine, for logs. */
  readonly name: string
  readonly log: (message: string, details?: object) => void
}

/**
 * @throws Error if nobody listens there
 * @example
 * const engine = await openConnection({ path: shared.path, name: shared.name, log: console.log })
 */
export function openConnection({ path, name, log }: ConnectionOptions): Promise<Engine> {
  return openRemote({ connect: () => channelOf(connect(path), `connection to the ${name} process`), log })
}

function channelOf(socket: Socket, title: string): Channel {
  const listeners: ((reply: Reply) => void)[] = []
  const onMessage = (reply: unknown) => {
    for (const listener of listeners) listener(reply as Reply)
  }
  let why = 'closed'
  socket.on('error', ({ message }) => {
    why = message
  })
  const link = new IpcTransport({
    pipe: socket,
    outgoing: new SharedMemorySlots([]),
    incoming: new SharedMemorySlots([]),
    onMessage,
  })
  return {
    title,
    send: (request) => link.send(request),
    onReply: (listener) => listeners.push(listener),
    onExit: (listener) => socket.once('close', () => listener(why)),
    kill: () => socket.destroy(),
  }
}
