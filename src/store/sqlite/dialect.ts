/** SQLite on a thread, for kysely: its own dialect calls a database that answers at once. */
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { Connection } from './connection.ts'

export function createDialect(connection: Connection): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new ThreadDriver(connection),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

/** One connection, which is lent to one after the other. */
class ThreadDriver implements Driver {
  readonly #connection: Connection
  /** Resolves when the last one in the queue gives the connection back. */
  #last: Promise<void> = Promise.resolve()
  readonly #release = new WeakMap<DatabaseConnection, () => void>()

  constructor(connection: Connection) {
    this.#connection = connection
  }

  async init() {}

  async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.#last
    const { promise, resolve } = deferred()
    this.#last = promise
    await before
    const lent = new ThreadConnection(this.#connection)
    this.#release.set(lent, resolve)
    return lent
  }

  async releaseConnection(lent: DatabaseConnection) {
    this.#release.get(lent)?.()
  }

  /** Takes the lock for writing at once: a transaction that wants it later may find that another was faster. */
  async beginTransaction(lent: DatabaseConnection) {
    await lent.executeQuery(CompiledQuery.raw('begin immediate'))
  }

  async commitTransaction(lent: DatabaseConnection) {
    await lent.executeQuery(CompiledQuery.raw('commit'))
  }

  async rollbackTransaction(lent: DatabaseConnection) {
    // SQLite has rolled back by itself where the disk is full or broken, and then refuses; the first error is told.
    await lent.executeQuery(CompiledQuery.raw('rollback')).catch(() => {})
  }

  async destroy() {
    await this.#connection.close()
  }
}

class ThreadConnection implements DatabaseConnection {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const { rows, changes } = await this.#connection.execute(sql, parameters)
    return { rows: rows as R[], numAffectedRows: BigInt(changes) }
  }

  // biome-ignore lint/correctness/useYield: nothing here streams, and the interface wants it.
  async *streamQuery<R>(): AsyncGenerator<QueryResult<R>> {
    throw new Error('the thread of the store does not stream')
  }
}

function deferred() {
  let resolve!: () => void
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
