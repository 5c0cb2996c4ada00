/**
 * Runs proofs on a thread of their own, one after the other, so that requests do not wait for them. Equal questions
 * are answered from memory.
 */
import type { Worker } from 'node:worker_threads'
import type { Progress } from '../analysis/analyze.ts'
import { spawn } from '../engines/spawn-worker-thread.ts'
import { LruCache } from '../lru.ts'
import type { Results, Task } from './tasks.ts'

export interface Request {
  readonly id: number
  readonly task: Task
}

export interface Reply {
  readonly id: number
  /** There will be another reply. */
  readonly progress?: Progress
  readonly result?: unknown
  readonly error?: {
    readonly message: string
    readonly stack: string | undefined
    readonly isClients: boolean
  }
}

/** The question cannot be answered: a domain without numbers, a formula that is too large. */
export class Unanswerable extends Error {
  override readonly name = 'Unanswerable'
}

/** There are too many questions already. */
export class AnalyzerBusy extends Error {
  override readonly name = 'AnalyzerBusy'
}

interface Waiting {
  readonly id: number
  readonly task: Task
  readonly tell: Tell | undefined
  readonly resolve: (result: never) => void
  readonly reject: (error: Error) => void
}

type Tell = (progress: Progress) => void

/** Tasks whose answers are kept: they are small, and their questions recur. */
const KEPT: ReadonlySet<Task['kind']> = new Set(['analyze', 'explain'])
/** Answers that are kept (LRU). */
const MAX_KEPT = 512
/** Questions that wait, at most. */
const MAX_WAITING = 64
/** A task that takes this much longer than it may is stuck. */
const GRACE_MS = 20_000

export interface Analyzer {
  /**
   * @param tell is called with each verdict of an analysis, unless the answer is known or on its way already
   * @throws Unanswerable, AnalyzerBusy
   */
  ask<K extends Task['kind']>(task: Task & { readonly kind: K }, tell?: Tell): Promise<Results[K]>
  close(): Promise<void>
}

/** The thread starts with the first question. */
export function createAnalyzer(): Analyzer {
  return new Thread()
}

class Thread implements Analyzer {
  readonly #kept = new LruCache<string, Promise<unknown>>({ entries: MAX_KEPT })
  readonly #queue: Waiting[] = []
  #worker: Worker | undefined
  #current: Waiting | undefined
  #timer: NodeJS.Timeout | undefined
  #id = 0

  ask<K extends Task['kind']>(task: Task & { readonly kind: K }, tell?: Tell): Promise<Results[K]> {
    if (!KEPT.has(task.kind)) return this.#submit(task) as Promise<Results[K]>
    const key = JSON.stringify(task)
    const known = this.#kept.get(key) as Promise<Results[K]> | undefined
    if (known !== undefined) return known
    const answer = this.#submit(task, tell) as Promise<Results[K]>
    answer.catch(() => this.#kept.delete(key))
    this.#kept.set(key, answer)
    return answer
  }

  async close(): Promise<void> {
    const worker = this.#worker
    this.#lose(new Error('the service is shutting down'))
    await worker?.terminate()
  }

  #submit(task: Task, tell?: Tell): Promise<unknown> {
    if (this.#queue.length >= MAX_WAITING)
      return Promise.reject(new AnalyzerBusy('too many analyses are waiting'))
    return new Promise((resolve, reject) => {
      this.#queue.push({ id: this.#id++, task, tell, resolve, reject })
      this.#next()
    })
  }

  #next() {
    if (this.#current !== undefined) return
    this.#current = this.#queue.shift()
    if (this.#current === undefined) {
      this.#worker?.unref()
      return
    }
    const worker = this.#worker ?? this.#start()
    worker.ref()
    const { id, task } = this.#current
    const allowed = 'budgetMs' in task ? task.budgetMs * 2 : 0
    this.#timer = setTimeout(() => this.#stop(), allowed + GRACE_MS)
    worker.postMessage({ id, task } satisfies Request)
  }

  #start(): Worker {
    const worker = spawn(new URL('./worker', import.meta.url), undefined)
    worker.on('message', (reply: Reply) => this.#settle(reply))
    worker.on('error', (error) => this.#lose(error))
    this.#worker = worker
    return worker
  }

  #settle({ id, progress, result, error }: Reply) {
    const done = this.#current
    if (done?.id !== id) return
    if (progress !== undefined) return done.tell?.(progress)
    clearTimeout(this.#timer)
    this.#current = undefined
    if (error === undefined) done.resolve(result as never)
    else
      done.reject(
        error.isClients
          ? new Unanswerable(error.message)
          : Object.assign(new Error(error.message), { stack: error.stack }),
      )
    this.#next()
  }

  #stop() {
    const worker = this.#worker
    this.#worker = undefined
    void worker?.terminate()
    const stuck = this.#current
    this.#current = undefined
    stuck?.reject(new Unanswerable('the analysis did not end within its time'))
    this.#next()
  }

  #lose(error: Error) {
    clearTimeout(this.#timer)
    this.#worker = undefined
    const waiting = [...(this.#current === undefined ? [] : [this.#current]), ...this.#queue.splice(0)]
    this.#current = undefined
    for (const { reject } of waiting) reject(error)
  }
}
