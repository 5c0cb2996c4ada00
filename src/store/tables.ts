/** The tables of both databases, and the schema migrations that create them. */
import { type Kysely, sql, type Transaction } from 'kysely'
import { StoreDown } from './contract.ts'

export interface Tables {
  readonly lossd_losses: {
    namespace: string
    name: string
    /** Null if all versions were purged and only the last number is kept. */
    latest: number | null
    /** The highest version number that was ever used. */
    numbered: number
    retired: string | null
  }
  readonly lossd_versions: {
    namespace: string
    name: string
    version: number
    id: string
    digest: string
    document: string
    created: string
    created_by: string | null
  }
  /** API keys, as access/ writes them. */
  readonly lossd_keys: { id: string; record: string }
  /** Evaluations, as evaluator/ writes them. */
  readonly lossd_jobs: JobRow
  readonly lossd_schema: { version: number }
}

export interface JobRow {
  id: string
  owner: string | null
  idempotency_key: string | null
  request: string
  state: string
  created: string
  updated: string
  rows_done: number
  rows_total: number | null
  worker: string | null
  /** Milliseconds since 1970. */
  leased_until: number | null
  checkpoint: string | null
  result: string | null
  error: string | null
}

export type Db = Kysely<Tables>
export type Tx = Transaction<Tables>
export type Dialect = 'sqlite' | 'postgres'

/** Names are ordered by their bytes, which is SQLite's default. */
const NAME = { sqlite: sql`text`, postgres: sql`text collate "C"` }

/** Triggers that make an UPDATE of a version fail. */
const IMMUTABLE = {
  sqlite: [
    sql`create trigger lossd_versions_immutable before update on lossd_versions
        begin select raise(abort, 'versions are immutable'); end`,
  ],
  postgres: [
    sql`create function lossd_refuse_update() returns trigger language plpgsql as
        $$ begin raise exception 'versions are immutable'; end $$`,
    sql`create trigger lossd_versions_immutable before update on lossd_versions
        for each row execute function lossd_refuse_update()`,
  ],
}

/** Entry i migrates the schema from version i to i + 1. Only append to this list. */
const MIGRATIONS: readonly ((tx: Tx, dialect: Dialect) => Promise<void>)[] = [
  createTables,
  createKeys,
  createJobs,
]

async function createTables(tx: Tx, dialect: Dialect) {
  const name = NAME[dialect]
  await tx.schema
    .createTable('lossd_losses')
    .addColumn('namespace', name, (column) => column.notNull())
    .addColumn('name', name, (column) => column.notNull())
    .addColumn('latest', 'integer')
    .addColumn('numbered', 'integer', (column) => column.notNull())
    .addColumn('retired', 'text')
    .addPrimaryKeyConstraint('lossd_losses_key', ['namespace', 'name'])
    .execute()
  await tx.schema
    .createTable('lossd_versions')
    .addColumn('namespace', name, (column) => column.notNull())
    .addColumn('name', name, (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('document', 'text', (column) => column.notNull())
    .addColumn('created', 'text', (column) => column.notNull())
    .addColumn('created_by', 'text')
    .addPrimaryKeyConstraint('lossd_versions_key', ['namespace', 'name', 'version'])
    .addForeignKeyConstraint('lossd_versions_of', ['namespace', 'name'], 'lossd_losses', [
      'namespace',
      'name',
    ])
    .execute()
  for (const statement of IMMUTABLE[dialect]) await statement.execute(tx)
}

async function createKeys(tx: Tx, dialect: Dialect) {
  await tx.schema
    .createTable('lossd_keys')
    // Restoring the other tables from an older backup leaves it behind.
    .ifNotExists()
    .addColumn('id', NAME[dialect], (column) => column.primaryKey())
    .addColumn('record', 'text', (column) => column.notNull())
    .execute()
}

async function createJobs(tx: Tx, dialect: Dialect) {
  await tx.schema
    .createTable('lossd_jobs')
    .ifNotExists()
    .addColumn('id', NAME[dialect], (column) => column.primaryKey())
    .addColumn('owner', 'text')
    .addColumn('idempotency_key', 'text')
    .addColumn('request', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('created', NAME[dialect], (column) => column.notNull())
    .addColumn('updated', 'text', (column) => column.notNull())
    .addColumn('rows_done', 'double precision', (column) => column.notNull())
    .addColumn('rows_total', 'double precision')
    .addColumn('worker', 'text')
    .addColumn('leased_until', 'double precision')
    .addColumn('checkpoint', 'text')
    .addColumn('result', 'text')
    .addColumn('error', 'text')
    .execute()
  await tx.schema
    .createIndex('lossd_jobs_open')
    .ifNotExists()
    .on('lossd_jobs')
    .columns(['state', 'created'])
    .execute()
}

export interface MigrateOptions {
  readonly dialect: Dialect
  /** Waits until no other process migrates. */
  readonly lock: (tx: Tx) => Promise<void>
}

/**
 * Brings the schema up to date. Several processes may call this at the same time.
 *
 * @throws StoreDown if the schema is newer than this code
 */
export async function migrate(db: Db, { dialect, lock }: MigrateOptions): Promise<void> {
  if ((await schemaVersion(db, dialect)) === MIGRATIONS.length) return
  await db
    .transaction()
    .setIsolationLevel('read committed')
    .execute(async (tx) => {
      await lock(tx)
      const version = await schemaVersion(tx, dialect)
      for (const step of MIGRATIONS.slice(version)) await step(tx, dialect)
      if (version < MIGRATIONS.length) await writeVersion(tx, MIGRATIONS.length)
    })
}

async function schemaVersion(db: Db, dialect: Dialect): Promise<number> {
  if (!(await hasSchema(db, dialect))) return 0
  const row = await db.selectFrom('lossd_schema').select('version').executeTakeFirst()
  const version = row?.version ?? 0
  if (version <= MIGRATIONS.length) return version
  throw new StoreDown(
    `the store has schema version ${version}, but this lossd supports only up to ${MIGRATIONS.length}: a newer lossd has used it`,
  )
}

const HAS_SCHEMA = {
  sqlite: sql`select 1 from sqlite_master where name = 'lossd_schema'`,
  // Not to_regclass: if it has not found a table once, it may not find it later in the same session either.
  postgres: sql`select 1 from pg_class where relname = 'lossd_schema' and pg_table_is_visible(oid)`,
}

async function hasSchema(db: Db, dialect: Dialect): Promise<boolean> {
  const { rows } = await HAS_SCHEMA[dialect].execute(db)
  return rows.length > 0
}

async function writeVersion(tx: Tx, version: number) {
  await tx.schema
    .createTable('lossd_schema')
    .ifNotExists()
    .addColumn('version', 'integer', (column) => column.notNull())
    .execute()
  await tx.deleteFrom('lossd_schema').execute()
  await tx.insertInto('lossd_schema').values({ version }).execute()
}
