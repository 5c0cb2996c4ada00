/** The PostgreSQL backend, which several replicas may share: advisory locks, NOTIFY, and settings per transaction. */
import { createHash, randomUUID } from 'node:crypto'
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import type { Backend } from '../backend.ts'
import { type Change, InvalidAddress, StoreDown } from '../contract.ts'
import { LazyDb, type StoreLog } from '../lazy-db.ts'
import { type Db, migrate, type Tables, type Tx } from '../tables.ts'
import { needsReconnect, toStoreDown } from './error-translation.ts'
import { CHANNEL, encodeChange, Listener } from './listener.ts'

/** How long a call may take, in ms. */
const CALL_MS = 5000
/** How long it waits for a lock. Less than CALL_MS, so that the server reports the cause. */
const LOCK_MS = 4000
const CONNECTIONS = 4

/** Set in each transaction, because some poolers lose the settings of a session. */
const SETTINGS = sql`select
  set_config('lock_timeout', ${`${LOCK_MS}`}, true),
  set_config('statement_timeout', ${`${CALL_MS}`}, true),
  -- A replica that loses its network must not keep its locks.
  set_config('idle_in_transaction_session_timeout', ${`${CALL_MS}`}, true),
  -- An acknowledged commit is on disk, whatever the server's default.
  set_config('synchronous_commit', case current_setting('synchronous_commit')
    when 'off' then 'on' else current_setting('synchronous_commit') end, true)`

/** @throws InvalidAddress */
export function createPostgresBackend(url: string, log?: StoreLog): Backend {
  const config = configOf(url)
  const title = titleOf(config)
  let origin = randomUUID()
  let heard: (change: Change) => void = () => {}
  const listener = new Listener({ config, origin: () => origin, heard: (change) => heard(change) })
  const database = new LazyDb({
    log,
    open: () => {
      listener.start()
      return connect(config)
    },
    callMs: CALL_MS,
    toStoreDown: (error) => toStoreDown(error, title),
    isLasting: needsReconnect,
    // A call that was given up may still commit. With a new origin, its notification is not ignored as our own.
    onDropped: () => {
      origin = randomUUID()
    },
  })

  return {
    read: (_empty, run) => database.use(run),
    write: (run, options) => database.use((db) => transact(db, run), options),
    lock: (tx, namespace) => lock(tx, `namespace ${namespace}`),
    announce: async (tx, change) => {
      await sql`select pg_notify(${CHANNEL}, ${encodeChange(origin, change)})`.execute(tx)
    },
    listen: (listener) => {
      heard = listener
    },
    locksRows: true,
    get hearsChanges() {
      return listener.hears
    },
    close: async () => {
      await listener.close()
      await database.close()
    },
  }
}

function configOf(connectionString: string): pg.ClientConfig {
  return {
    connectionString,
    connectionTimeoutMillis: CALL_MS,
    query_timeout: CALL_MS,
    keepAlive: true,
    application_name: 'lossd',
  }
}

/** The database and the server, without user and password. */
function titleOf(config: pg.ClientConfig): string {
  try {
    const { host, port, database } = new pg.Client(config)
    return `${database} at ${host}:${port}`
  } catch {
    // pg's own message repeats the address, and with it a password.
    throw new InvalidAddress('the address of the PostgreSQL server is not valid')
  }
}

async function connect(config: pg.ClientConfig): Promise<Db> {
  const pool = new pg.Pool({ ...config, max: CONNECTIONS })
  // A lost connection fails its query or is replaced on next use. Without a listener the event would end the process.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  try {
    await refuseEncoding(db)
    await migrate(db, { dialect: 'postgres', lock: (tx) => lock(tx, 'schema') })
    return db
  } catch (error) {
    void db.destroy().catch(() => {})
    throw error
  }
}

/** Documents are Unicode, so the database must use UTF-8. */
async function refuseEncoding(db: Db) {
  const { rows } = await sql<{ server_encoding: string }>`show server_encoding`.execute(db)
  const encoding = rows[0]?.server_encoding
  if (encoding !== 'UTF8')
    throw new StoreDown(`the store's database must have the encoding UTF8, but has ${encoding}`)
}

/** Read committed, whatever the server's default: after waiting for a lock, the transaction must see what others committed. */
function transact<T>(db: Db, run: (tx: Tx) => Promise<T>): Promise<T> {
  return db
    .transaction()
    .setIsolationLevel('read committed')
    .execute(async (tx) => {
      await SETTINGS.execute(tx)
      return run(tx)
    })
}

/** An advisory lock until the transaction ends. New names have no row yet that could be locked. */
async function lock(tx: Tx, what: string) {
  const key = createHash('sha256').update(`lossd ${what}`).digest().readBigInt64BE()
  await sql`select pg_advisory_xact_lock(${key.toString()}::bigint)`.execute(tx)
}
