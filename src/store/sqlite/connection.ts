/** The main thread's end of the SQLite worker thread: sends statements and receives rows. */
import type { Worker } from 'node:worker_threads'
import { spawn } from '../../engines/spawn.ts'
import type { Reply, SentError, Statement, StatementResult, WorkerOptions } from './messages.ts'

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
  #id = 0

  constructor({ path, onChanged }: ConnectionOptions) {
    this.#worker = spawn(new URL('./worker', import.meta.url), { path } satisfies WorkerOptions)
    this.#worker.on('message', (reply: Reply) => {
      if (reply.type === 'changed') onChanged()
      else this.#settle(reply)
    })
    this.#worker.on('error', (error) => this.#fail(error.message))
    this.#worker.on('exit', () => this.#fail('the worker thread of the store has ended'))
    this.#worker.unref()
  }

  execute(sql: string, parameters: readonly unknown[]): Promise<StatementResult> {
    const id = this.#id++
    return new Promise((resolve, reject) => {
      // Keeps the process alive only while it waits for a reply.
      this.#worker.ref()
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ id, sql, parameters } satisfies Statement)
    })
  }

  /** Everything that was committed is on disk, so nothing needs to be flushed. */
  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #settle(reply: Exclude<Reply, { type: 'changed' }>) {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if (this.#waiting.size === 0) this.#worker.unref()
    if (reply.type === 'done') waiting?.resolve(reply.result)
    else waiting?.reject(new SqliteFault(reply.error))
  }

  #fail(message: string) {
    for (const { reject } of this.#waiting.values())
      reject(new SqliteFault({ message, sqlite: 0, system: 'thread' }))
    this.#waiting.clear()
  }
}
