/** Evaluates parts on several threads. */
import type { Worker } from 'node:worker_threads'
import { spawn } from '../engines/spawn-worker-thread.ts'
import { State, type StateOptions, type StateRecord } from '../evaluation/state.ts'
import type { DataFile } from './database.ts'
import { errorOf, type ThreadFailure } from './failure.ts'
import type { Part } from './kernel-road.ts'
import type { EvaluationRequest } from './request.ts'

/** What every thread needs to know. */
export interface Work {
  readonly request: EvaluationRequest
  /** Losses of the catalog that it names. */
  readonly losses: readonly string[]
  /** The file that the plan is made from. */
  readonly file: DataFile
  readonly road: 'sql' | 'kernels'
  readonly parts: readonly Part[]
  /** Of all files, if they say how many they have. */
  readonly rows: number | undefined
}

/** `take`: the state of all parts since the last time. */
export type ToThread = { readonly begin: Work } | { readonly evaluate: number } | 'take' | 'end'

export type FromThread =
  | { readonly rows: number }
  | { readonly added: number }
  | { readonly done: readonly number[]; readonly record: StateRecord }
  | { readonly failed: ThreadFailure }

interface Listener {
  readonly onRows: (rows: number) => void
  readonly finish: (places: readonly number[], state: State) => void
  readonly isDue: () => boolean
  readonly signal: AbortSignal | undefined
}

/** Threads that evaluate parts. They may be started before it is known what: loading takes them a while. */
export class Threads {
  readonly #workers: readonly Worker[]
  readonly #exits: readonly Promise<unknown>[]

  /** @param start starts one */
  constructor(count: number, start = () => spawn(new URL('./worker', import.meta.url), undefined)) {
    this.#workers = Array.from({ length: count }, start)
    this.#exits = this.#workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)))
    // As long as they have nothing to do, they do not keep the process alive.
    for (const worker of this.#workers) worker.unref()
  }

  /**
   * Evaluates parts until none is open, and ends the threads.
   *
   * @param open places of parts, from which others may take some, too
   * @throws EvaluationFailed, Problem: of the first part that failed
   */
  async evaluate(work: Work, open: number[], options: StateOptions, listener: Listener): Promise<void> {
    const stop = () => this.#stop()
    listener.signal?.addEventListener('abort', stop, { once: true })
    try {
      for (const worker of this.#workers) {
        worker.ref()
        worker.postMessage({ begin: work } satisfies ToThread)
      }
      await Promise.all(this.#workers.map((worker) => serve(worker, open, options, listener)))
      listener.signal?.throwIfAborted()
    } finally {
      listener.signal?.removeEventListener('abort', stop)
      this.#stop()
      await Promise.all(this.#exits)
    }
  }

  /** They are never terminated: DuckDB would take the process down if its call returned to a thread that is gone. */
  #stop() {
    for (const worker of this.#workers) worker.postMessage('end' satisfies ToThread)
  }
}

/** Gives one thread a part after the other. */
function serve(
  worker: Worker,
  open: number[],
  options: StateOptions,
  { onRows, finish, isDue, signal }: Listener,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const tell = (message: ToThread) => worker.postMessage(message)
    let isLast = false
    const next = () => {
      const place = open.shift()
      isLast = place === undefined
      if (place === undefined) tell('take')
      else tell({ evaluate: place })
    }
    worker.on('error', reject)
    // After its last part this changes nothing.
    worker.on('exit', () => reject(signal?.reason ?? new Error('a thread ended before its parts were done')))
    worker.on('message', (message: FromThread) => {
      try {
        if ('rows' in message) return onRows(message.rows)
        if ('failed' in message) return reject(errorOf(message.failed))
        if ('added' in message) {
          if (isDue()) tell('take')
          return next()
        }
        if (message.done.length > 0) finish(message.done, State.restore(message.record, options))
        if (isLast) resolve()
      } catch (error) {
        reject(error)
      }
    })
    next()
  })
}
