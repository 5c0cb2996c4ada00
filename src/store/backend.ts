/** What the operations of the store require of a database. */
import type { Change } from './contract.ts'
import type { CallOptions } from './lazy-db.ts'
import type { Db, Tx } from './tables.ts'

/** A database that is opened when it is needed. Every failure of the database is a StoreDown. */
export interface Backend {
  /** Runs on the database, or resolves with `empty` if it does not exist yet. */
  read<T>(empty: T, run: (db: Db) => Promise<T>): Promise<T>
  /** Runs in a transaction, and creates the database if it does not exist yet. */
  write<T>(run: (tx: Tx) => Promise<T>, options?: CallOptions): Promise<T>
  /** Until the end of the transaction, nobody else can write to the namespace. */
  lock(tx: Tx, namespace: string): Promise<void>
  /** Notifies other processes of a change when the transaction is committed. */
  announce(tx: Tx, change: Change): Promise<void>
  /** Sets the listener for changes made by other processes. */
  listen(heard: (change: Change) => void): void
  readonly hearsChanges: boolean
  close(): Promise<void>
}
