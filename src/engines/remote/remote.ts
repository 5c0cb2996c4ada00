/**
 * Remote procedure calls to an engine in a thread or process, as seen from the main thread: batches are sent over a
 * channel and results come back, so computation never blocks the event loop. When the other side dies, its batches
 * are lost and it is restarted.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { Backoff } from '../../backoff.ts'
import {
  type Batch,
  type BatchResult,
  DeviceLost,
  type Engine,
  type EngineDetails,
  type EngineInfo,
  EngineLost,
  type EngineStats,
  OutOfMemory,
  UnsupportedByEngine,
} from '../contract.ts'
import type { Answer, Hello, Reply, Request } from './messages.ts'
import type { Channel } from './transport.ts'

/** Maximum number of programs that both sides cache before both clear their caches. */
const MAX_PROGRAMS = 128
/** Exponential backoff: the delay before a restart doubles with each consecutive loss. */
export const RESTART_MS = { first: 50, most: 30_000 } as const
/** Loading a library and compiling the first kernels takes seconds. If it takes longer than this, a driver hangs. */
export const OPEN_MS = 180_000
/** Timeout for what an engine reports about itself. */
const ASK_MS = 1000

export interface Connection {
  /** Starts the other side. */
  readonly connect: () => Channel
  readonly log: (message: string, details?: object) => void
}

interface Waiter {
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

/** One live channel and its pending requests. */
interface Session {
  readonly channel: Channel
  readonly hello: Extract<Hello, { type: 'opened' }>
  readonly waiters: Map<number, Waiter>
  readonly sent: Set<string>
  isReady: boolean
}

/**
 * Starts the other side and waits until its engine is open.
 *
 * @throws Error if the engine cannot be opened; the message says why
 */
export async function openRemote(connection: Connection): Promise<Engine> {
  const remote = new RemoteEngine(connection)
  await remote.start()
  return remote
}

class RemoteEngine implements Engine {
  readonly #connection: Connection
  #session: Session | undefined
  /** That of the last engine that opened. */
  #hello: Session['hello'] | undefined
  /** The last reported values. */
  #stats: EngineStats = { tensors: 0, bytes: 0 }
  #details: EngineDetails = {}
  #nextId = 1
  readonly #backoff = new Backoff(RESTART_MS)
  #closing = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  get info(): EngineInfo {
    return this.#hello!.info
  }

  get isReady(): boolean {
    return this.#session?.isReady ?? false
  }

  get width(): number {
    // One more than it computes, so that the next batch is already there.
    return this.#hello!.width + 1
  }

  async start(): Promise<void> {
    const channel = this.#connection.connect()
    const hello = await opened(channel)
    // Closed while it was starting: nobody else would end it.
    if (this.#closing) return channel.kill()
    const session: Session = { channel, hello, waiters: new Map(), sent: new Set(), isReady: true }
    this.#session = session
    this.#hello = hello
    channel.onReply((reply) => this.#hear(session, reply))
    channel.onExit((why) => this.#lost(session, why))
  }

  run(batch: Batch): Promise<BatchResult> {
    const session = this.#session
    if (session === undefined) return Promise.reject(new EngineLost('the engine is being restarted'))
    const sent = { ...batch, program: this.#announce(session, batch) }
    return this.#ask(session, (id) => ({ type: 'run', id, batch: sent }))
  }

  serving(_program: Batch['program'], precision: Batch['precision']): readonly string[] {
    return precision === 'float32' ? [this.info.name] : []
  }

  async stats(): Promise<EngineStats> {
    if (this.#session === undefined) return { tensors: 0, bytes: 0 }
    const asked = this.#ask<EngineStats>(this.#session, (id) => ({ type: 'stats', id }))
    this.#stats = await soon(asked, this.#stats)
    return this.#stats
  }

  async describe(): Promise<EngineDetails> {
    if (this.#session === undefined) return {}
    const asked = this.#ask<EngineDetails>(this.#session, (id) => ({ type: 'describe', id }))
    this.#details = await soon(asked, this.#details)
    return this.#details
  }

  async close(): Promise<void> {
    this.#closing = true
    const session = this.#session
    if (session === undefined) return
    const gone = new Promise<void>((resolve) => session.channel.onExit(() => resolve()))
    session.channel.send({ type: 'close' })
    await gone
  }

  /** The program, if it has not been sent yet. */
  #announce(session: Session, batch: Batch): Batch['program'] | undefined {
    if (session.sent.has(batch.programKey)) return undefined
    if (session.sent.size >= MAX_PROGRAMS) {
      session.sent.clear()
      session.channel.send({ type: 'forget' })
    }
    session.sent.add(batch.programKey)
    return batch.program
  }

  #ask<T>(session: Session, make: (id: number) => Request): Promise<T> {
    const id = this.#nextId++
    return new Promise<T>((resolve, reject) => {
      session.waiters.set(id, { resolve: resolve as (value: never) => void, reject })
      session.channel.send(make(id))
    })
  }

  #hear(session: Session, reply: Reply) {
    if (reply.type === 'opened' || reply.type === 'refused') return
    if (reply.type === 'state') {
      session.isReady = reply.isReady
      return
    }
    const waiter = session.waiters.get(reply.id)
    session.waiters.delete(reply.id)
    this.#backoff.reset()
    if (waiter !== undefined) settle(waiter, reply)
  }

  #lost({ channel, waiters }: Session, why: string) {
    this.#session = undefined
    for (const { reject } of waiters.values()) reject(new EngineLost(`the ${channel.title} ended (${why})`))
    waiters.clear()
    if (this.#closing) return
    this.#restart(`the ${channel.title} ended, starting another`, { why })
  }

  #restart(message: string, details: object) {
    const waitMs = this.#backoff.next()
    this.#connection.log(message, { ...details, waitMs })
    setTimeout(() => {
      if (this.#closing) return
      this.start().catch((error: Error) => this.#restart('an engine did not restart', { why: error.message }))
    }, waitMs).unref()
  }
}

/** A scrape of the metrics does not wait for a launch that takes seconds. It then gets the last reported values. */
async function soon<T>(asked: Promise<T>, last: T): Promise<T> {
  const cancel = new AbortController()
  const late = sleep(ASK_MS, last, { signal: cancel.signal, ref: false }).catch(() => last)
  return Promise.race([asked.catch(() => last), late]).finally(() => cancel.abort())
}

/** @throws Error (rejects) if it refuses, ends, or does not respond in time */
async function opened(channel: Channel): Promise<Session['hello']> {
  const hello = await new Promise<Reply>((resolve) => {
    const refuse = (reason: string) => resolve({ type: 'refused', reason })
    const timer = setTimeout(() => refuse(`the ${channel.title} did not open an engine in time`), OPEN_MS)
    channel.onReply((reply) => {
      clearTimeout(timer)
      resolve(reply)
    })
    channel.onExit((why) => {
      clearTimeout(timer)
      refuse(`the ${channel.title} ended (${why}) before it opened an engine`)
    })
  })
  if (hello.type === 'opened') return hello
  channel.kill()
  throw new Error(hello.type === 'refused' ? hello.reason : `the ${channel.title} did not open an engine`)
}

function settle({ resolve, reject }: Waiter, answer: Answer) {
  switch (answer.type) {
    case 'result':
      return resolve(answer.result as never)
    case 'stats':
      return resolve(answer.stats as never)
    case 'details':
      return resolve(answer.details as never)
    case 'failed':
      return reject(errorOf(answer))
  }
}

/** The errors that have a meaning on this side. */
const TYPED = { UnsupportedByEngine, OutOfMemory, DeviceLost }

function errorOf({ name, message, stack }: Extract<Answer, { type: 'failed' }>): Error {
  const Typed = Object.hasOwn(TYPED, name) ? TYPED[name as keyof typeof TYPED] : Error
  const error = new Typed(message)
  if (stack !== undefined) error.stack = stack
  return error
}
