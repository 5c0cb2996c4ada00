/** A database connection that is opened lazily, dropped when it fails, and reopened with exponential backoff. */
import { Backoff } from './backoff.ts'
import { StoreDown } from './contract.ts'
import { within } from './deadline.ts'
import type { Db } from './tables.ts'

/** Where it is told that the database is lost, and that it is back. */
export interface StoreLog {
  warn(message: string): void
  info(message: string): void
}

export interface LazyDbOptions {
  readonly log?: StoreLog | undefined
  /** Opens the database, its schema up to date. */
  readonly open: () => Promise<Db>
  /** Timeout of a call, in ms. */
  readonly callMs: number
  /** @returns undefined for errors that are not failures of the database */
  readonly toStoreDown: (error: Error) => StoreDown | undefined
  /** Whether the connection is unusable after this error and must be reopened. */
  readonly isLasting: (error: Error) => boolean
  readonly onDropped: () => void
  /** What is to be done with a sound database before it is closed. */
  readonly beforeClose?: (db: Db) => Promise<unknown>
}

export interface CallOptions {
  /** No timeout: for work whose duration depends on its input. */
  readonly isPatient?: boolean
}

export class LazyDb {
  readonly #options: LazyDbOptions
  readonly #backoff = new Backoff()
  #opened: Promise<Db> | undefined
  #isOpen = false
  #isLost = false

  constructor(options: LazyDbOptions) {
    this.#options = options
  }

  /** Whether it has been opened and has not failed since. */
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
    this.#backoff.check()
    const opened = this.#options.open().then((db) => {
      // It may have taken too long, and be given up.
      if (this.#opened === opened) this.#succeeded()
      return db
    })
    this.#opened = opened
    return opened
  }

  #succeeded() {
    this.#isOpen = true
    this.#backoff.succeeded()
    if (this.#isLost) this.#options.log?.info('the store answers again')
    this.#isLost = false
  }

  /** @returns the error for the caller */
  #judge(error: Error, opened: Promise<Db>): Error {
    const down = error instanceof StoreDown ? error : this.#options.toStoreDown(error)
    if (down === undefined) return error
    // If many calls fail together, only the first one drops the connection.
    if (this.#opened === opened && this.#options.isLasting(error)) {
      this.#backoff.failed(down)
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
