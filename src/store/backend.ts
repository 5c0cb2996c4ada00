/** What the store's operations ask of a database. */
import type { Change } from './contract.ts'
import type { CallOptions } from './lazy-db.ts'
import type { Db, Tx } from './tables.ts'

/** A database that is opened when it is needed. Whatever it does not do is a StoreDown. */
export interface Backend {
  /** Runs on the database, or resolves with `empty` where there is none yet. */
  read<T>(empty: T, run: (db: Db) => Promise<T>): Promise<T>
  /** Runs in a transaction, on a database that is made where there is none yet. */
  write<T>(run: (tx: Tx) => Promise<T>, options?: CallOptions): Promise<T>
  /** Until the end of the transaction nobody else writes to the namespace. */
  lock(tx: Tx, namespace: string): Promise<void>
  /** Lets other processes hear of a change, once the transaction is done. */
  announce(tx: Tx, change: Change): Promise<void>
  /** Takes who is to be told when another process has changed something. */
  listen(heard: (change: Change) => void): void
  readonly hearsChanges: boolean
  close(): Promise<void>
}
