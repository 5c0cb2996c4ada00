/** Lazy connection with reconnect: a database is opened on first use, dropped when it fails, and reopened after a backoff. */
import { CircuitBreaker } from './circuit-breaker.ts'
import { StoreDown } from './contract.ts'
import { within } from './deadline.ts'
import type { Db } from './tables.ts'

/** Logs that the database is lost, and that it is back. */
export interface StoreLog {
  warn(message: string): void
  info(message: string): void
}

export interface LazyDbOptions {
  readonly log?: StoreLog | undefined
  /** Opens the database and brings its schema up to date. */
  readonly open: () => Promise<Db>
  /** How long a call may take, in ms. */
  readonly callMs: number
  /** @returns undefined if the error is not a failure of the database */
  readonly toStoreDown: (error: Error) => StoreDown | undefined
  /** Whether the database has to be reopened after this error. */
  readonly isLasting: (error: Error) => boolean
  readonly onDropped: () => void
  /** Called before a working database is closed. */
  readonly beforeClose?: (db: Db) => Promise<unknown>
}

export interface CallOptions {
  /** No time limit, for work that takes as long as its input is. */
  readonly isPatient?: boolean
}

export class LazyDb {
  readonly #options: LazyDbOptions
  readonly #breaker = new CircuitBreaker()
  #opened: Promise<Db> | undefined
  #isOpen = false
  #isLost = false

  constructor(options: LazyDbOptions) {
    this.#options = options
  }

  /** Whether the database was opened and has not failed since. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** @throws StoreDown if the database cannot be opened, fails, or takes too long */
  async use<T>(run: (db: Db) => Promise<T>, { isPatient = false }: CallOptions = {}): Promise<T> {
    const opened = this.#get()
    try {
      const result = opened.then(run)
      return await (isPatient ? result : within(this.#options.callMs, result))
    } catch (error) {
      throw this.#judge(error as Error, opened)
    }
  }

  async close(): Promise<void> {
    const last = this.#opened
    this.#opened = undefined
    this.#isOpen = false
    const end = async (db: Db) => {
      await this.#options.beforeClose?.(db).catch(() => {})
      await db.destroy()
    }
    await last?.then(end).catch(() => {})
  }

  #get(): Promise<Db> {
    if (this.#opened !== undefined) return this.#opened
    this.#breaker.check()
    const opened = this.#options.open().then((db) => {
      // It may have taken so long that it was given up.
      if (this.#opened === opened) this.#succeeded()
      return db
    })
    this.#opened = opened
    return opened
  }

  #succeeded() {
    this.#isOpen = true
    this.#breaker.succeeded()
    if (this.#isLost) this.#options.log?.info('the store is available again')
    this.#isLost = false
  }

  /** @returns the error that the caller receives */
  #judge(error: Error, opened: Promise<Db>): Error {
    const down = error instanceof StoreDown ? error : this.#options.toStoreDown(error)
    if (down === undefined) return error
    // If many calls fail together, the first one drops the database.
    if (this.#opened === opened && this.#options.isLasting(error)) {
      this.#breaker.failed(down)
      if (!this.#isLost) this.#options.log?.warn(down.message)
      this.#isLost = true
      this.#drop(opened)
    }
    return down
  }

  #drop(opened: Promise<Db>) {
    this.#opened = undefined
    this.#isOpen = false
    this.#options.onDropped()
    void opened.then((db) => db.destroy()).catch(() => {})
  }
}
