/** The messages between the main thread and the thread that has the file open. */

export interface WorkerOptions {
  /** Absolute. */
  readonly path: string
}

export interface Statement {
  readonly id: number
  readonly sql: string
  readonly parameters: readonly unknown[]
}

/** To the thread: a statement, or the request to close the file and end. */
export type Request = Statement | 'close'

export interface StatementResult {
  readonly rows: Record<string, unknown>[]
  readonly changes: number
}

/** An error of SQLite or of the file system, in a form that can be sent between threads. */
export interface SentError {
  readonly message: string
  /** SQLite's result code, or 0. */
  readonly sqlite: number
  /** The system's error code, such as ENOSPC, or empty. */
  readonly system: string
}

export type Reply =
  | { readonly type: 'done'; readonly id: number; readonly result: StatementResult }
  | { readonly type: 'failed'; readonly id: number; readonly error: SentError }
  /** Another process has written to the file. */
  | { readonly type: 'changed' }
