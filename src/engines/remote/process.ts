/**
 * Engines in a process of their own: a driver that aborts harms nothing else, and environment variables that
 * loaders read when a process starts can be set. Messages use a pipe of their own; output of native code goes to
 * stderr.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import { env, execPath } from 'node:process'
import type { Engine } from '../contract.ts'
import type { EngineDefinition } from '../define.ts'
import { entryArguments } from './entry-arguments.ts'
import type { RemoteOptions, Reply } from './messages.ts'
import { IpcTransport } from './pipe-transport.ts'
import { openRemote } from './remote.ts'
import { openSlots, SharedMemorySlots } from './shared-memory-slots.ts'
import type { Channel } from './transport.ts'

export interface ProcessOptions {
  readonly definition: EngineDefinition
  readonly reason: string
  readonly log: (message: string, details?: object) => void
  /** Called for every process that starts. */
  readonly onStart?: (child: ChildProcess) => void
}

/**
 * @throws Error if the engine cannot be opened; the message says why
 * @example
 * const engine = await openProcess({ definition: webgpu, reason: 'selected by name', log: console.log })
 */
export function openProcess({ definition, reason, log, onStart }: ProcessOptions): Promise<Engine> {
  const { name, environment } = definition
  const connect = () => {
    const [there, back] = ['there', 'back'].map((way) => openSlots(`lossd-${name}-${randomUUID()}-${way}`))
    const child = start({ engine: name, reason, slots: there.length }, environment?.() ?? {}, [
      ...there,
      ...back,
    ])
    const mailboxes = [new SharedMemorySlots(there), new SharedMemorySlots(back)] as const
    child.once('close', () => mailboxes.map((mailbox) => mailbox.close()))
    onStart?.(child)
    return channelOf(child, `${name} process`, ...mailboxes)
  }
  return openRemote({ connect, log })
}

/** The options that the process starts with. */
export interface ProcessStart extends RemoteOptions {
  /**
   * Number of shared-memory slots per direction. Their file descriptors follow that of the pipe: first the slots
   * for requests.
   */
  readonly slots: number
}

/** The file descriptor of the pipe on both sides; child.ts listens there. */
export const PIPE = 3

function start(
  options: ProcessStart,
  variables: Readonly<Record<string, string>>,
  slots: readonly number[],
): ChildProcess {
  const { execArgv, entry } = entryArguments('child')
  const args = [...execArgv, entry, JSON.stringify(options)]
  return spawn(execPath, args, { env: { ...env, ...variables }, stdio: ['ignore', 2, 2, 'pipe', ...slots] })
}

function channelOf(
  child: ChildProcess,
  title: string,
  outgoing: SharedMemorySlots,
  incoming: SharedMemorySlots,
): Channel {
  const listeners: ((reply: Reply) => void)[] = []
  const onMessage = (reply: unknown) => {
    for (const listener of listeners) listener(reply as Reply)
  }
  const link = new IpcTransport({ pipe: child.stdio[PIPE] as Socket, outgoing, incoming, onMessage })
  return {
    title,
    send: (request) => link.send(request),
    onReply: (listener) => listeners.push(listener),
    onExit: (listener) => {
      child.once('error', ({ message }) => listener(message))
      child.once('exit', (code, signal) => listener(signal ?? `exit code ${code}`))
    },
    kill: () => child.kill('SIGKILL'),
  }
}
