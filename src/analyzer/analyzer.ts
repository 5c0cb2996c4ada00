/**
 * Runs proofs on a thread of their own, one after the other, so that requests do not wait for them. Equal questions
 * are answered from memory.
 */
import type { Worker } from 'node:worker_threads'
import type { Progress } from '../analysis/analyze.ts'
import { FairQueue, type Sender } from '../batching/fair-queue.ts'
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
  /** Seconds until there is probably room. */
  readonly retryAfter: number

  constructor(message: string, retryAfter: number) {
    super(message)
    this.retryAfter = retryAfter
  }
}

/** Nobody waits for the answer any more, and the question had not been begun. */
export class Abandoned extends Error {
  override readonly name = 'Abandoned'
}

/** Who asks. */
export interface Asking {
  /** Is called with each verdict of an analysis, unless the answer is known or on its way already. */
  readonly tell?: Tell | undefined
  /** Aborts when nobody waits for the answer any more. */
  readonly signal?: AbortSignal
  /** Whose turn it is. */
  readonly sender?: Sender
}

interface Waiting {
  readonly id: number
  /** How many wait for the answer. */
  askers: number
  readonly task: Task
  readonly tell: Tell | undefined
  readonly resolve: (result: never) => void
  readonly reject: (error: Error) => void
}

type Tell = (progress: Progress) => void

interface Asked {
  readonly waiting: Waiting
  readonly answer: Promise<unknown>
}

/** Tasks whose answers are kept: they are small, and their questions recur. */
const KEPT: ReadonlySet<Task['kind']> = new Set(['analyze', 'explain'])
/** Answers that are kept (LRU). */
const MAX_KEPT = 512
/** Questions that wait, at most. */
const MAX_WAITING = 64
/** Those of one caller, so that the others find room. */
const MAX_OF_CALLER = MAX_WAITING / 2
/** What a question without a budget takes, in ms. */
const USUAL_MS = 200
/** A task that takes this much longer than it may is stuck. */
const GRACE_MS = 20_000

export interface Analyzer {
  /**
   * Callers take turns.
   *
   * @throws Unanswerable, AnalyzerBusy, Abandoned
   */
  ask<K extends Task['kind']>(task: Task & { readonly kind: K }, asking?: Asking): Promise<Results[K]>
  close(): Promise<void>
}

/** The thread starts with the first question. */
export function createAnalyzer(): Analyzer {
  return new Thread()
}

class Thread implements Analyzer {
  readonly #kept = new LruCache<string, Asked>({ entries: MAX_KEPT })
  readonly #queue = new FairQueue<Waiting>()
  #worker: Worker | undefined
  #current: Waiting | undefined
  #timer: NodeJS.Timeout | undefined
  #id = 0

  async ask<K extends Task['kind']>(
    task: Task & { readonly kind: K },
    asking: Asking = {},
  ): Promise<Results[K]> {
    const { waiting, answer } = KEPT.has(task.kind) ? this.#keep(task, asking) : this.#submit(task, asking)
    this.#watch(waiting, asking.signal)
    return answer as Promise<Results[K]>
  }

  /** Whoever asks the same waits for the same answer. */
  #keep(task: Task, asking: Asking): Asked {
    const key = JSON.stringify(task)
    const known = this.#kept.get(key)
    if (known !== undefined) return known
    const asked = this.#submit(task, asking)
    const forget = () => {
      if (this.#kept.get(key) === asked) this.#kept.delete(key)
    }
    asked.answer.catch(forget)
    return this.#kept.set(key, asked)
  }

  /** A question that nobody waits for any more leaves the queue. */
  #watch(waiting: Waiting, signal: AbortSignal | undefined) {
    waiting.askers++
    const leave = () => {
      waiting.askers--
      if (waiting.askers === 0 && this.#queue.remove(waiting))
        waiting.reject(new Abandoned('nobody waits for the analysis any more'))
    }
    if (signal?.aborted) leave()
    else signal?.addEventListener('abort', leave, { once: true })
  }

  async close(): Promise<void> {
    const worker = this.#worker
    this.#lose(new Error('the service is shutting down'))
    await worker?.terminate()
  }

  /** @throws AnalyzerBusy */
  #submit(task: Task, { tell, sender }: Asking): Asked {
    this.#admit(sender)
    const { promise: answer, resolve, reject } = withResolvers()
    const waiting: Waiting = { id: this.#id++, askers: 0, task, tell, resolve, reject }
    this.#queue.push(waiting, costOf(task), sender)
    this.#next()
    return { waiting, answer }
  }

  #admit(sender: Sender | undefined) {
    const own = sender?.isKnown ? this.#queue.countOf(sender.caller) : 0
    if (this.#queue.size < MAX_WAITING && own < MAX_OF_CALLER) return
    const whose = own < MAX_OF_CALLER ? 'analyses' : 'analyses of this caller'
    throw new AnalyzerBusy(`too many ${whose} are waiting`, Math.max(1, Math.ceil(this.#nextMs / 1000)))
  }

  /** When the next question will have left the queue, at the latest. */
  get #nextMs(): number {
    return this.#current === undefined ? 0 : costOf(this.#current.task)
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
    const lost = [...(this.#current === undefined ? [] : [this.#current]), ...this.#queue]
    this.#current = undefined
    for (const waiting of lost) {
      this.#queue.remove(waiting)
      waiting.reject(error)
    }
  }
}

/** Milliseconds of the thread. */
function costOf(task: Task): number {
  return 'budgetMs' in task ? task.budgetMs : USUAL_MS
}

/** Promise.withResolvers, which the oldest supported Node does not have. */
function withResolvers() {
  let resolve: Waiting['resolve'] = () => {}
  let reject: Waiting['reject'] = () => {}
  const promise = new Promise<unknown>((fulfil, refuse) => {
    resolve = fulfil as Waiting['resolve']
    reject = refuse
  })
  return { promise, resolve, reject }
}
