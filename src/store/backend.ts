/** The interface of a database backend: transactions, locks, and notification of changes. */
import type { Change } from './contract.ts'
import type { CallOptions } from './lazy-db.ts'
import type { Db, Tx } from './tables.ts'

/** A database that is opened on first use. Every failure of it is a StoreDown. */
export interface Backend {
  /** Runs a query, or resolves with `empty` if the database does not exist yet. */
  read<T>(empty: T, run: (db: Db) => Promise<T>): Promise<T>
  /** Runs a transaction, and creates the database if it does not exist yet. */
  write<T>(run: (tx: Tx) => Promise<T>, options?: CallOptions): Promise<T>
  /** Locks the namespace for writing until the transaction ends. */
  lock(tx: Tx, namespace: string): Promise<void>
  /** Notifies other processes of a change when the transaction commits. */
  announce(tx: Tx, change: Change): Promise<void>
  /** Sets the callback for changes that other processes make. */
  listen(heard: (change: Change) => void): void
  readonly hearsChanges: boolean
  /** Whether `FOR UPDATE SKIP LOCKED` works: several processes take jobs at once, and none waits for another. */
  readonly locksRows: boolean
  close(): Promise<void>
}
