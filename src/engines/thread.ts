/**
 * The compute thread seen from the main thread: an Engine whose batches are computed elsewhere, so that the event loop
 * never waits for arithmetic. When the thread dies, its batches are lost and the next one starts by itself.
 */
import type { Worker } from 'node:worker_threads'
import {
  type Batch,
  type BatchResult,
  type Engine,
  type EngineInfo,
  EngineLost,
  type EngineStats,
  joined,
} from './define.ts'
import type { Reply, Request, SentBatch, WorkerOptions } from './messages.ts'
import { spawn } from './spawn.ts'

/** Programs that both sides keep before both start anew. */
const MAX_PROGRAMS = 512
/** Wait before a lost thread is started again: doubles with each loss in a row. */
const RESTART_MS = { first: 50, most: 5000 } as const

export interface ThreadOptions extends WorkerOptions {
  readonly log: (message: string, details?: object) => void
  /** Is told of every thread that starts, so that an owner can watch it, or end it. */
  readonly onStart?: (worker: Worker) => void
}

interface Waiter {
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

/** One live worker and what it owes. */
interface Session {
  readonly worker: Worker
  readonly info: EngineInfo
  readonly waiters: Map<number, Waiter>
  readonly sent: Set<string>
}

/**
 * Starts the thread and opens the engine in it.
 *
 * @throws Error when the engine cannot be opened; its message says why
 */
export async function openThread(options: ThreadOptions): Promise<Engine> {
  const thread = new ComputeThread(options)
  await thread.start()
  return thread
}

class ComputeThread implements Engine {
  readonly #options: ThreadOptions
  #session: Session | undefined
  #info: EngineInfo | undefined
  #nextId = 1
  #losses = 0
  #closing = false

  constructor(options: ThreadOptions) {
    this.#options = options
  }

  get info(): EngineInfo {
    return this.#info!
  }

  get isReady(): boolean {
    return this.#session !== undefined
  }

  async start(): Promise<void> {
    const session = await startSession(this.#options)
    this.#session = session
    this.#info = session.info
    this.#options.onStart?.(session.worker)
    session.worker.on('message', (reply: Reply) => this.#settle(session, reply))
    session.worker.on('error', (error) => this.#options.log('the compute thread failed', { error }))
    session.worker.on('exit', (code) => this.#lost(session, code))
  }

  run(batch: Batch): Promise<BatchResult> {
    const session = this.#session
    if (session === undefined) return Promise.reject(new EngineLost('the compute thread is being restarted'))
    const own = ownArrays(batch)
    const sent: SentBatch = { ...own, program: this.#announce(session, batch) }
    return this.#ask<BatchResult>(session, (id) => ({ type: 'run', id, batch: sent }), buffersOf(own))
  }

  /** It is the thread's affair which of its engines takes a program; the first one is known here. */
  serving(_program: Batch['program'], precision: Batch['precision']): readonly string[] {
    const first = precision === 'float32' ? [this.info.name] : []
    return [...new Set([...first, 'interpreter'])]
  }

  async stats(): Promise<EngineStats> {
    if (this.#session === undefined) return { tensors: 0, bytes: 0 }
    return this.#ask<EngineStats>(this.#session, (id) => ({ type: 'stats', id }))
  }

  async close(): Promise<void> {
    this.#closing = true
    const session = this.#session
    if (session === undefined) return
    const gone = new Promise<void>((resolve) => session.worker.once('exit', () => resolve()))
    session.worker.postMessage({ type: 'close' } satisfies Request)
    await gone
  }

  /** The program, the first time that the thread hears of it. */
  #announce(session: Session, batch: Batch): Batch['program'] | undefined {
    if (session.sent.has(batch.programKey)) return undefined
    if (session.sent.size >= MAX_PROGRAMS) {
      session.sent.clear()
      session.worker.postMessage({ type: 'forget' } satisfies Request)
    }
    session.sent.add(batch.programKey)
    return batch.program
  }

  #ask<T>(session: Session, make: (id: number) => Request, transfer: ArrayBuffer[] = []): Promise<T> {
    const id = this.#nextId++
    return new Promise<T>((resolve, reject) => {
      session.waiters.set(id, { resolve: resolve as (value: never) => void, reject })
      session.worker.postMessage(make(id), transfer)
    })
  }

  #settle(session: Session, reply: Reply) {
    if (reply.type === 'opened' || reply.type === 'refused') return
    const waiter = session.waiters.get(reply.id)
    session.waiters.delete(reply.id)
    this.#losses = 0
    if (reply.type === 'failed') waiter?.reject(remoteError(reply.message, reply.stack))
    else waiter?.resolve((reply.type === 'result' ? reply.result : reply.stats) as never)
  }

  #lost(session: Session, code: number) {
    this.#session = undefined
    for (const { reject } of session.waiters.values())
      reject(new EngineLost(`the compute thread ended (${code})`))
    session.waiters.clear()
    if (!this.#closing) this.#restart()
  }

  #restart() {
    const wait = Math.min(RESTART_MS.first * 2 ** this.#losses++, RESTART_MS.most)
    this.#options.log('the compute thread is lost, starting another', { waitMs: wait })
    setTimeout(() => {
      if (this.#closing) return
      this.start().catch((error: unknown) => {
        this.#options.log('the compute thread did not start', { error })
        this.#restart()
      })
    }, wait).unref()
  }
}

async function startSession({ engine, log }: ThreadOptions): Promise<Session> {
  const worker = spawn(new URL('./worker', import.meta.url), { engine })
  const opened = await new Promise<Reply>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (code) =>
      reject(new Error(`the compute thread ended (${code}) before it opened an engine`)),
    )
  })
  if (opened.type === 'opened') {
    for (const reason of opened.refused) log('an engine is not available', { reason })
    return { worker, info: opened.info, waiters: new Map(), sent: new Set() }
  }
  await worker.terminate()
  throw new Error(opened.type === 'refused' ? opened.reason : 'the compute thread did not open an engine')
}

function remoteError(message: string, stack: string | undefined): Error {
  const error = new Error(message)
  if (stack !== undefined) error.stack = stack
  return error
}

/** The batch with arrays that nobody else has, so that they can be moved to the thread. */
function ownArrays(batch: Batch): Batch {
  const inputs = Object.entries(batch.inputs).map(
    ([name, column]) => [name, [joined(column).slice()]] as const,
  )
  const cotangent = [joined(batch.cotangent).slice()]
  return { ...batch, inputs: Object.fromEntries(inputs), cotangent }
}

function buffersOf({ inputs, cotangent }: Batch): ArrayBuffer[] {
  return [...Object.values(inputs), cotangent].flat().map((array) => array.buffer as ArrayBuffer)
}
