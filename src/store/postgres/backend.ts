/** A PostgreSQL server, which several replicas may share. */
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
/** How long it waits for another transaction: less, so that the server says what the matter is. */
const LOCK_MS = 4000
const CONNECTIONS = 4

/** What a transaction sets for itself. A session's settings would be lost behind some poolers. */
const SETTINGS = sql`select
  set_config('lock_timeout', ${`${LOCK_MS}`}, true),
  set_config('statement_timeout', ${`${CALL_MS}`}, true),
  -- A replica that has lost its network must not keep its locks.
  set_config('idle_in_transaction_session_timeout', ${`${CALL_MS}`}, true),
  -- What was acknowledged is on disk, whatever the server's default.
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
    // What was given up may still be done: its notice is then another's, and heard.
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

/** The server and the database, without user and password. */
function titleOf(config: pg.ClientConfig): string {
  try {
    const { host, port, database } = new pg.Client(config)
    return `${database} at ${host}:${port}`
  } catch {
    // What pg says repeats the address, and with it a password.
    throw new InvalidAddress('the address of the PostgreSQL server cannot be read')
  }
}

async function connect(config: pg.ClientConfig): Promise<Db> {
  const pool = new pg.Pool({ ...config, max: CONNECTIONS })
  // A connection that is lost fails its query, or is replaced when the next one is needed; the event would end the process.
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

/** Documents are Unicode. */
async function refuseEncoding(db: Db) {
  const { rows } = await sql<{ server_encoding: string }>`show server_encoding`.execute(db)
  const encoding = rows[0]?.server_encoding
  if (encoding !== 'UTF8') throw new StoreDown(`the store's database must be in UTF8, and is in ${encoding}`)
}

/** At the end of a lock's wait the transaction must see what was committed meanwhile, whatever the server's default. */
function transact<T>(db: Db, run: (tx: Tx) => Promise<T>): Promise<T> {
  return db
    .transaction()
    .setIsolationLevel('read committed')
    .execute(async (tx) => {
      await SETTINGS.execute(tx)
      return run(tx)
    })
}

/** Until the end of the transaction nobody else holds the same. Names that are new have no row that could be locked. */
async function lock(tx: Tx, what: string) {
  const key = createHash('sha256').update(`lossd ${what}`).digest().readBigInt64BE()
  await sql`select pg_advisory_xact_lock(${key.toString()}::bigint)`.execute(tx)
}
