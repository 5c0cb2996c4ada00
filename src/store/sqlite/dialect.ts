/** A kysely dialect for SQLite on a thread, because kysely's own calls the database synchronously. */
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

/** A pool of one connection. Whoever wants it waits in a queue. */
class ThreadDriver implements Driver {
  readonly #connection: Connection
  /** Resolves when the last one in the queue releases the connection. */
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

  /** Takes the write lock at once, because upgrading from a read lock later fails if another transaction was faster. */
  async beginTransaction(lent: DatabaseConnection) {
    await lent.executeQuery(CompiledQuery.raw('begin immediate'))
  }

  async commitTransaction(lent: DatabaseConnection) {
    await lent.executeQuery(CompiledQuery.raw('commit'))
  }

  async rollbackTransaction(lent: DatabaseConnection) {
    // If the disk is full or broken, SQLite has already rolled back and this fails. The first error is the one reported.
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

  // biome-ignore lint/correctness/useYield: nothing here streams, but the interface requires it.
  async *streamQuery<R>(): AsyncGenerator<QueryResult<R>> {
    throw new Error('the SQLite thread does not support streaming')
  }
}

function deferred() {
  let resolve!: () => void
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
