/** The main thread's side of the SQLite thread: sends statements, receives rows. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { spawn } from '../../engines/spawn-worker-thread.ts'
import type { Reply, Request, SentError, StatementResult, WorkerOptions } from './messages.ts'

/** How long to wait for the thread to end, in ms. */
const CLOSE_MS = 3000

interface Waiting {
  resolve(result: StatementResult): void
  reject(error: Error): void
}

/** An error of SQLite or of the file system. */
export class SqliteFault extends Error {
  override readonly name = 'SqliteFault'
  readonly sent: SentError

  constructor(sent: SentError) {
    super(sent.message)
    this.sent = sent
  }
}

export interface ConnectionOptions {
  readonly path: string
  /** Another process has written to the file. */
  readonly onChanged: () => void
}

export class Connection {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  /** Resolves when the thread has released the file. */
  readonly ended: Promise<void>
  #id = 0
  #hasEnded = false

  constructor({ path, onChanged }: ConnectionOptions) {
    this.#worker = spawn(new URL('./worker', import.meta.url), { path } satisfies WorkerOptions)
    this.#worker.on('message', (reply: Reply) => {
      if (reply.type === 'changed') onChanged()
      else this.#settle(reply)
    })
    this.#worker.on('error', (error) => this.#fail(`its thread has failed: ${error.message}`))
    this.ended = new Promise((resolve) => this.#worker.on('exit', () => resolve()))
    void this.ended.then(() => {
      this.#hasEnded = true
      this.#fail()
    })
    this.#worker.unref()
  }

  execute(sql: string, parameters: readonly unknown[]): Promise<StatementResult> {
    const id = this.#id++
    return new Promise((resolve, reject) => {
      if (this.#hasEnded) return reject(ended())
      // An open call keeps the process alive; the idle thread does not.
      this.#worker.ref()
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ id, sql, parameters } satisfies Request)
    })
  }

  /**
   * Asks the thread to end and waits for it, though not for long, because it may hang in a call to the disk. It is never
   * terminated: if that happens during one of its calls, libsql aborts the whole process.
   */
  async close(): Promise<void> {
    if (this.#hasEnded) return
    this.#worker.ref()
    this.#worker.postMessage('close' satisfies Request)
    await Promise.race([this.ended, sleep(CLOSE_MS, undefined, { ref: false })])
    this.#worker.unref()
  }

  #settle(reply: Exclude<Reply, { type: 'changed' }>) {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if (this.#waiting.size === 0) this.#worker.unref()
    if (reply.type === 'done') waiting?.resolve(reply.result)
    else waiting?.reject(new SqliteFault(reply.error))
  }

  #fail(message?: string) {
    for (const { reject } of this.#waiting.values()) reject(ended(message))
    this.#waiting.clear()
  }
}

function ended(message = 'its thread has ended'): SqliteFault {
  return new SqliteFault({ message, sqlite: 0, system: 'thread' })
}
