/** A database connection that is opened lazily, dropped when it fails, and reopened with exponential backoff. */
import { Backoff } from './backoff.ts'
import { StoreDown } from './contract.ts'
import { within } from './deadline.ts'
import type { Db } from './tables.ts'

export interface LazyDbOptions {
  /** Opens the database and migrates its schema. */
  readonly open: () => Promise<Db>
  /** Timeout of a call, in ms. */
  readonly callMs: number
  /** @returns undefined for errors that are not failures of the database */
  readonly toStoreDown: (error: Error) => StoreDown | undefined
  /** Whether the connection is unusable after this error and must be reopened. */
  readonly isLasting: (error: Error) => boolean
  readonly onDropped: () => void
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
    await last?.then((db) => db.destroy()).catch(() => {})
  }

  #get(): Promise<Db> {
    if (this.#opened !== undefined) return this.#opened
    this.#backoff.check()
    this.#opened = this.#options.open().then((db) => {
      this.#isOpen = true
      this.#backoff.succeeded()
      return db
    })
    return this.#opened
  }

  /** @returns the error for the caller */
  #judge(error: Error, opened: Promise<Db>): Error {
    const down = error instanceof StoreDown ? error : this.#options.toStoreDown(error)
    if (down === undefined) return error
    // If many calls fail together, only the first one drops the connection.
    if (this.#opened === opened && this.#options.isLasting(error)) {
      this.#backoff.failed(down)
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
