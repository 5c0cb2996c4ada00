/**
 * Threads that run kernels. Nothing but addresses goes to and fro: modules are sent once, and memories are shared. A
 * thread that dies fails what it was running, and another one takes its place.
 */
import type { Worker } from 'node:worker_threads'
import { EngineLost } from '../contract.ts'
import { spawn } from '../spawn.ts'
import type { Arena } from './arena.ts'
import type { Compiled } from './kernel-cache.ts'
import type { WorkerCommand, WorkerReport } from './messages.ts'

/** Modules that a thread keeps before it starts anew. */
const MAX_MODULES = 1024
/** Wait before a lost thread is started again: doubles with each loss in a row. */
const RESTART_MS = { first: 50, most: 5000 } as const

export interface PoolOptions {
  readonly threads: number
  readonly log: (message: string, details?: object) => void
  /** Is told of every thread that starts. */
  readonly onStart?: (worker: Worker) => void
}

/** The kernel did not come to its end: out of its memory's bounds, or a bug of the compiler. */
export class KernelTrapped extends Error {
  override readonly name = 'KernelTrapped'
}

interface Waiter {
  readonly resolve: (ms: number) => void
  readonly reject: (error: Error) => void
}

class Thread {
  readonly worker: Worker
  readonly modules = new Set<number>()
  readonly arenas = new Set<number>()
  readonly waiters = new Map<number, Waiter>()

  constructor(worker: Worker) {
    this.worker = worker
  }

  say(order: WorkerCommand) {
    this.worker.postMessage(order)
  }
}

export class Pool {
  readonly #options: PoolOptions
  readonly #threads = new Set<Thread>()
  #nextId = 1
  #losses = 0
  #closing = false

  constructor(options: PoolOptions) {
    this.#options = options
    for (let i = 0; i < options.threads; i++) this.#start()
  }

  /** Threads that are alive. */
  get size(): number {
    return this.#threads.size
  }

  /**
   * Runs one slice on the thread that has the least to do.
   *
   * @returns milliseconds that the kernel ran
   * @throws KernelTrapped (rejects) when the kernel fails; `EngineLost` when its thread dies
   */
  run(kernel: Compiled, arena: Arena, at: number): Promise<number> {
    const thread = this.#idlest()
    if (thread === undefined) return Promise.reject(new EngineLost('the compute threads are being restarted'))
    this.#introduce(thread, kernel, arena)
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      thread.waiters.set(id, { resolve, reject })
      thread.say({ type: 'run', id, kernel: kernel.id, arena: arena.id, at })
    })
  }

  /** The threads may let go of a memory. */
  forget({ id }: Arena) {
    for (const thread of this.#threads) {
      if (thread.arenas.delete(id)) thread.say({ type: 'forget memory', arena: id })
    }
  }

  async close(): Promise<void> {
    this.#closing = true
    await Promise.all([...this.#threads].map((thread) => end(thread)))
  }

  #start() {
    const thread = new Thread(spawn(new URL('./worker', import.meta.url), {}))
    this.#threads.add(thread)
    thread.worker.on('message', (report: WorkerReport) => this.#settle(thread, report))
    thread.worker.on('error', (error) => this.#options.log('a compute thread failed', { error }))
    thread.worker.on('exit', (code) => this.#lost(thread, code))
    this.#options.onStart?.(thread.worker)
  }

  #idlest(): Thread | undefined {
    let best: Thread | undefined
    for (const thread of this.#threads) {
      if (best === undefined || thread.waiters.size < best.waiters.size) best = thread
    }
    return best
  }

  #introduce(thread: Thread, kernel: Compiled, arena: Arena) {
    if (thread.modules.size >= MAX_MODULES) {
      thread.modules.clear()
      thread.say({ type: 'forget modules' })
    }
    if (!thread.modules.has(kernel.id))
      thread.say({ type: 'module', kernel: kernel.id, module: kernel.module })
    if (!thread.arenas.has(arena.id)) thread.say({ type: 'memory', arena: arena.id, memory: arena.memory })
    thread.modules.add(kernel.id)
    thread.arenas.add(arena.id)
  }

  #settle(thread: Thread, { id, ms, failed }: WorkerReport) {
    const waiter = thread.waiters.get(id)
    thread.waiters.delete(id)
    this.#losses = 0
    if (failed === undefined) waiter?.resolve(ms)
    else waiter?.reject(new KernelTrapped(failed))
  }

  #lost(thread: Thread, code: number) {
    this.#threads.delete(thread)
    for (const { reject } of thread.waiters.values())
      reject(new EngineLost(`a compute thread ended (${code})`))
    if (this.#closing) return
    const wait = Math.min(RESTART_MS.first * 2 ** this.#losses++, RESTART_MS.most)
    this.#options.log('a compute thread is lost, starting another', { waitMs: wait })
    setTimeout(() => {
      if (!this.#closing) this.#start()
    }, wait).unref()
  }
}

async function end(thread: Thread): Promise<void> {
  const gone = new Promise<void>((resolve) => thread.worker.once('exit', () => resolve()))
  thread.say({ type: 'close' })
  await gone
}
