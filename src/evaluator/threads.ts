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
}

/** `take`: the state of all parts since the last time. */
export type ToThread = { readonly evaluate: number } | 'take' | 'end'

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

/**
 * Evaluates parts until none is open.
 *
 * @param open places of parts, from which others may take some, too
 * @throws EvaluationFailed, Problem: of the first part that failed
 */
export async function evaluateOnThreads(
  work: Work,
  open: number[],
  count: number,
  options: StateOptions,
  listener: Listener,
): Promise<void> {
  const workers = Array.from({ length: count }, () => spawn(new URL('./worker', import.meta.url), work))
  const exits = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)))
  // They are never terminated: DuckDB would take the process down if its call returned to a thread that is gone.
  const stop = () => {
    for (const worker of workers) worker.postMessage('end' satisfies ToThread)
  }
  listener.signal?.addEventListener('abort', stop, { once: true })
  try {
    await Promise.all(workers.map((worker) => serve(worker, open, options, listener)))
    listener.signal?.throwIfAborted()
  } finally {
    listener.signal?.removeEventListener('abort', stop)
    stop()
    await Promise.all(exits)
  }
}

/** Gives one thread a part after the other. */
function serve(
  worker: Worker,
  open: number[],
  options: StateOptions,
  { onRows, finish, isDue }: Listener,
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
    worker.on('exit', () => resolve())
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
