/** The operations of the store, in SQL that both databases support. */
import type { Backend } from './backend.ts'
import type {
  Change,
  Condition,
  Draft,
  ExportRecord,
  LossName,
  LossPage,
  LossStore,
  Registered,
  StoredVersion,
  VersionPage,
} from './contract.ts'
import { NamespaceFull, PreconditionFailed } from './contract.ts'
import type { CallOptions } from './lazy-db.ts'
import { nameOf, toFound, toRow, toVersion } from './rows.ts'
import type { Db, Tx } from './tables.ts'
import { exportAll, importAll } from './transfer.ts'

export interface SqlStoreOptions {
  readonly maxLosses: number
}

export function createSqlStore(backend: Backend, { maxLosses }: SqlStoreOptions): LossStore {
  const listeners = new Set<(change: Change) => void>()
  const tell = (change: Change) => {
    for (const listener of listeners) listener(change)
  }
  backend.listen(tell)

  const calls = new Set<Promise<unknown>>()
  const counted = <T>(call: Promise<T>): Promise<T> => {
    calls.add(call)
    const end = () => calls.delete(call)
    call.then(end, end)
    return call
  }
  const read = <T>(empty: T, run: (db: Db) => Promise<T>) => counted(backend.read(empty, run))
  const write = <T>(run: (tx: Tx) => Promise<T>, options?: CallOptions) =>
    counted(backend.write(run, options))

  /** Runs with the lock on the name's namespace, and reports the name if something changed. */
  const change = async <T>(
    { namespace, name }: LossName,
    run: (tx: Tx) => Promise<T>,
    hasChanged: (result: T) => boolean,
  ): Promise<T> => {
    const result = await write(async (tx) => {
      await backend.lock(tx, namespace)
      const result = await run(tx)
      if (hasChanged(result)) await backend.announce(tx, { namespace, name })
      return result
    })
    if (hasChanged(result)) tell({ namespace, name })
    return result
  }

  return {
    register: (draft, condition) =>
      change(
        draft,
        (tx) => register(tx, draft, condition, maxLosses),
        ({ isNew }) => isNew,
      ),
    find: (namespace, name, version) => read(undefined, (db) => find(db, { namespace, name }, version)),
    versions: (namespace, name, page) => read([], (db) => versions(db, { namespace, name }, page)),
    list: (namespace, page) => read([], (db) => list(db, namespace, page)),
    retire: (namespace, name) =>
      change({ namespace, name }, (tx) => retire(tx, { namespace, name }), Boolean),
    purge: (namespace, name) => change({ namespace, name }, (tx) => purge(tx, { namespace, name }), Boolean),
    onChange: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    get hearsChanges() {
      return backend.hearsChanges
    },
    health: () =>
      read(undefined, async (db) => {
        await db.selectFrom('lossd_schema').select('version').execute()
      }),
    export: () => exportAll(backend),
    import: async (records: Iterable<ExportRecord>) => {
      const added = await write((tx) => importAll(backend, tx, records), { isPatient: true })
      tell('all')
      return added
    },
    close: async () => {
      await Promise.allSettled(calls)
      await backend.close()
    },
  }
}

async function register(
  tx: Tx,
  draft: Draft,
  condition: Condition | undefined,
  maxLosses: number,
): Promise<Registered> {
  const known = await tx
    .selectFrom('lossd_losses')
    .selectAll()
    .where((eb) => eb.and(nameOf(draft)))
    .executeTakeFirst()
  const current = known?.retired === null ? (known.latest ?? undefined) : undefined
  hold(condition, current, `${draft.namespace}/${draft.name}`)
  if (current !== undefined) {
    const before = await versionOf(tx, draft, current)
    if (before.digest === draft.digest) return { stored: before, isNew: false }
  }
  if ((known?.latest ?? null) === null) await refuseWhenFull(tx, draft.namespace, maxLosses)
  return { stored: await append(tx, draft, (known?.numbered ?? 0) + 1), isNew: true }
}

function hold(condition: Condition | undefined, latest: number | undefined, name: string) {
  if (condition === undefined) return
  if ('onlyCreate' in condition) {
    if (latest !== undefined) throw new PreconditionFailed(`${name} already exists: @${latest}`, latest)
  } else if (latest !== condition.follows) {
    const found = latest === undefined ? 'there is none' : `it is @${latest}`
    throw new PreconditionFailed(
      `the latest version of ${name} must be @${condition.follows}, but ${found}`,
      latest,
    )
  }
}

async function refuseWhenFull(tx: Tx, namespace: string, maxLosses: number) {
  const { count } = await tx
    .selectFrom('lossd_losses')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('namespace', '=', namespace)
    .where('latest', 'is not', null)
    .executeTakeFirstOrThrow()
  if (Number(count) >= maxLosses) throw new NamespaceFull(namespace, maxLosses)
}

async function append(tx: Tx, draft: Draft, version: number): Promise<StoredVersion> {
  const stored = { ...draft, version, created: new Date().toISOString() }
  const state = { latest: version, numbered: version, retired: null }
  await tx
    .insertInto('lossd_losses')
    .values({ ...nameOf(draft), ...state })
    .onConflict((conflict) => conflict.columns(['namespace', 'name']).doUpdateSet(state))
    .execute()
  await tx.insertInto('lossd_versions').values(toRow(stored)).execute()
  return stored
}

async function versionOf(db: Db, loss: LossName, version: number): Promise<StoredVersion> {
  const row = await db
    .selectFrom('lossd_versions')
    .selectAll()
    .where((eb) => eb.and({ ...nameOf(loss), version }))
    .executeTakeFirstOrThrow()
  return toVersion(row)
}

/** Versions with the state of their names, in one query, so that they are consistent. */
function withState(db: Db) {
  return db
    .selectFrom('lossd_versions as v')
    .innerJoin('lossd_losses as l', (join) =>
      join.onRef('l.namespace', '=', 'v.namespace').onRef('l.name', '=', 'v.name'),
    )
    .selectAll('v')
    .select(['l.latest', 'l.retired'])
}

async function find(db: Db, { namespace, name }: LossName, version?: number) {
  const query = withState(db).where('v.namespace', '=', namespace).where('v.name', '=', name)
  const row = await (version === undefined
    ? query.whereRef('v.version', '=', 'l.latest')
    : query.where('v.version', '=', version)
  ).executeTakeFirst()
  return row === undefined ? undefined : toFound(row)
}

async function versions(db: Db, loss: LossName, { limit, before }: VersionPage): Promise<StoredVersion[]> {
  const query = db
    .selectFrom('lossd_versions')
    .selectAll()
    .where((eb) => eb.and(nameOf(loss)))
  const rows = await (before === undefined ? query : query.where('version', '<', before))
    .orderBy('version', 'desc')
    .limit(limit)
    .execute()
  return rows.map(toVersion)
}

async function list(db: Db, namespace: string | undefined, { limit, after, withRetired }: LossPage) {
  let query = withState(db).whereRef('v.version', '=', 'l.latest')
  if (namespace !== undefined) query = query.where('l.namespace', '=', namespace)
  if (withRetired !== true) query = query.where('l.retired', 'is', null)
  if (after !== undefined)
    query = query.where(({ eb, refTuple, tuple }) =>
      eb(refTuple('l.namespace', 'l.name'), '>', tuple(after.namespace, after.name)),
    )
  const rows = await query.orderBy('l.namespace').orderBy('l.name').limit(limit).execute()
  return rows.map(toFound)
}

async function retire(tx: Tx, loss: LossName): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('lossd_losses')
    .set({ retired: new Date().toISOString() })
    .where((eb) => eb.and(nameOf(loss)))
    .where('latest', 'is not', null)
    .where('retired', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

async function purge(tx: Tx, loss: LossName): Promise<boolean> {
  await tx
    .deleteFrom('lossd_versions')
    .where((eb) => eb.and(nameOf(loss)))
    .execute()
  const { numUpdatedRows } = await tx
    .updateTable('lossd_losses')
    .set({ latest: null, retired: null })
    .where((eb) => eb.and(nameOf(loss)))
    .where('latest', 'is not', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}
