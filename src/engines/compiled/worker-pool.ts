/**
 * A thread pool that runs kernels. Only addresses are exchanged: modules are sent once, and memories are shared. If
 * a thread dies, the runs on it fail, and another thread replaces it.
 */

import { setFlagsFromString } from 'node:v8'
import type { Worker } from 'node:worker_threads'
import { Backoff } from '../../backoff.ts'
import { EngineLost } from '../contract.ts'
import { spawn } from '../spawn-worker-thread.ts'
import type { Arena } from './arena.ts'
import type { Compiled } from './kernel-cache.ts'
import type { WorkerCommand, WorkerReport } from './messages.ts'

/** Exponential backoff: the delay before a lost thread is restarted doubles with each consecutive loss. */
const RESTART_MS = { first: 50, most: 5000 } as const

export interface PoolOptions {
  readonly threads: number
  readonly log: (message: string, details?: object) => void
  /** Called for every thread that starts. */
  readonly onStart?: (worker: Worker) => void
}

/** The kernel did not finish: it accessed memory out of bounds, or the compiler has a bug. */
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
  readonly #backoff = new Backoff(RESTART_MS)
  /** Kernels that a launch may still be about to run. */
  readonly #forgotten = new WeakSet<Compiled>()
  #closing = false

  constructor(options: PoolOptions) {
    this.#options = options
    for (let i = 0; i < options.threads; i++) this.#start()
  }

  /** Number of live threads. */
  get size(): number {
    return this.#threads.size
  }

  /**
   * Runs one slice on the least busy thread.
   *
   * @returns milliseconds that the kernel ran
   * @throws KernelTrapped (rejects) if the kernel fails; `EngineLost` if its thread dies
   */
  run(kernel: Compiled, arena: Arena, at: number): Promise<number> {
    const thread = this.#idlest()
    if (thread === undefined) return Promise.reject(new EngineLost('the compute threads are being restarted'))
    this.#introduce(thread, kernel, arena)
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      thread.waiters.set(id, { resolve, reject })
      thread.say({ type: 'run', id, kernel: kernel.id, arena: arena.id, at })
      if (this.#forgotten.has(kernel)) forget(thread, kernel)
    })
  }

  /** Tells the threads to release a module. */
  forgetKernel(kernel: Compiled) {
    this.#forgotten.add(kernel)
    for (const thread of this.#threads) forget(thread, kernel)
  }

  /** Tells the threads to release a memory. */
  forgetMemory({ id }: Arena) {
    for (const thread of this.#threads) {
      if (thread.arenas.delete(id)) thread.say({ type: 'forget memory', arena: id })
    }
  }

  async close(): Promise<void> {
    this.#closing = true
    await Promise.all([...this.#threads].map((thread) => end(thread)))
  }

  #start() {
    // For threads that start from now on: worker.ts says why.
    setFlagsFromString('--expose-gc')
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
    if (!thread.modules.has(kernel.id))
      thread.say({ type: 'module', kernel: kernel.id, module: kernel.module })
    if (!thread.arenas.has(arena.id)) thread.say({ type: 'memory', arena: arena.id, memory: arena.memory })
    thread.modules.add(kernel.id)
    thread.arenas.add(arena.id)
  }

  #settle(thread: Thread, { id, ms, failed }: WorkerReport) {
    const waiter = thread.waiters.get(id)
    thread.waiters.delete(id)
    this.#backoff.reset()
    if (failed === undefined) waiter?.resolve(ms)
    else waiter?.reject(new KernelTrapped(failed))
  }

  #lost(thread: Thread, code: number) {
    this.#threads.delete(thread)
    for (const { reject } of thread.waiters.values())
      reject(new EngineLost(`a compute thread ended (${code})`))
    if (this.#closing) return
    const wait = this.#backoff.next()
    this.#options.log('a compute thread was lost, starting another', { waitMs: wait })
    setTimeout(() => {
      if (!this.#closing) this.#start()
    }, wait).unref()
  }
}

/** Messages are in order: what was sent before still runs. */
function forget(thread: Thread, { id }: Compiled) {
  if (thread.modules.delete(id)) thread.say({ type: 'forget module', kernel: id })
}

async function end(thread: Thread): Promise<void> {
  const gone = new Promise<void>((resolve) => thread.worker.once('exit', () => resolve()))
  thread.say({ type: 'close' })
  await gone
}
