/** A connection to an engine in a process that several processes share. When it breaks, it is opened again. */
import { randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { pid } from 'node:process'
import type { Engine } from '../contract.ts'
import type { Reply } from './messages.ts'
import { IpcTransport } from './pipe-transport.ts'
import { openRemote } from './remote.ts'
import { openSlots, SharedMemorySlots } from './shared-memory-slots.ts'
import type { Channel } from './transport.ts'

export interface ConnectionOptions {
  /** Of the socket of a `SharedDevice`. */
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

/** Sent first: the shared memory of this side, as the other side can open it. */
export interface OfferedMemory {
  readonly memory: {
    readonly pid: number
    /** Descriptors of the slots for requests, and for replies. */
    readonly there: readonly number[]
    readonly back: readonly number[]
  }
}

/** Answered before anything else: whether large arrays may be exchanged through it. */
export interface AcceptedMemory {
  readonly memory: boolean
}

function channelOf(socket: Socket, title: string): Channel {
  const [there, back] = ['there', 'back'].map((way) => openSlots(`lossd-${randomUUID()}-${way}`))
  const [outgoing, incoming] = [new SharedMemorySlots([]), new SharedMemorySlots(back)]
  const listeners: ((reply: Reply) => void)[] = []
  const hear = (message: unknown) => {
    const reply = message as Reply | AcceptedMemory
    if ('memory' in reply) return reply.memory && outgoing.adopt(there)
    for (const listener of listeners) listener(reply)
  }
  const link = new IpcTransport({ pipe: socket, outgoing, incoming, onMessage: hear })
  link.send({ memory: { pid, there, back } } satisfies OfferedMemory)
  let why = 'closed'
  socket.on('error', ({ message }) => {
    why = message
  })
  socket.once('close', () => {
    // Whether the other side could open them or not.
    outgoing.adopt(there)
    for (const slots of [outgoing, incoming]) void slots.close()
  })
  return {
    title,
    send: (request) => link.send(request),
    onReply: (listener) => listeners.push(listener),
    onExit: (listener) => socket.once('close', () => listener(why)),
    kill: () => socket.destroy(),
  }
}
