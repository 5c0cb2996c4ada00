/** The store's operations as SQL, written once for both databases with the query builder kysely. */
import type { Backend } from './backend.ts'
import type {
  Change,
  ClaimedJob,
  Condition,
  Draft,
  ExportRecord,
  FoundVersion,
  JobEnd,
  JobProgress,
  Lease,
  LossName,
  LossPage,
  LossStore,
  NewJob,
  Registered,
  StoredJob,
  StoredKey,
  StoredVersion,
  VersionPage,
} from './contract.ts'
import { NamespaceFull, PreconditionFailed, StoreDown } from './contract.ts'
import { addJob, cancelJob, claimable, claimJob, endJob, findJob, JOB_LOCK, keepJob } from './jobs.ts'
import type { CallOptions } from './lazy-db.ts'
import { nameOf, toFound, toRow, toVersion } from './rows.ts'
import type { Db, Tx } from './tables.ts'
import { exportAll, importAll } from './transfer.ts'

export class SqlStore implements LossStore {
  readonly #backend: Backend
  readonly #maxLosses: number
  readonly #listeners = new Set<(change: Change) => void>()
  /** Pending calls, which `close` waits for. */
  readonly #calls = new Set<Promise<unknown>>()

  constructor(backend: Backend, maxLosses: number) {
    this.#backend = backend
    this.#maxLosses = maxLosses
    backend.listen((change) => this.#tell(change))
  }

  get hearsChanges(): boolean {
    return this.#backend.hearsChanges
  }

  register(draft: Draft, condition?: Condition): Promise<Registered> {
    const run = (tx: Tx) => register(tx, draft, condition, this.#maxLosses)
    return this.#change(draft, run, ({ isNew }) => isNew)
  }

  find(namespace: string, name: string, version?: number): Promise<FoundVersion | undefined> {
    return this.#read(undefined, (db) => find(db, { namespace, name }, version))
  }

  versions(namespace: string, name: string, page: VersionPage): Promise<readonly StoredVersion[]> {
    return this.#read([], (db) => versions(db, { namespace, name }, page))
  }

  list(namespace: string | undefined, page: LossPage): Promise<readonly FoundVersion[]> {
    return this.#read([], (db) => list(db, namespace, page))
  }

  retire(namespace: string, name: string): Promise<boolean> {
    return this.#changeStored({ namespace, name }, retire)
  }

  purge(namespace: string, name: string): Promise<boolean> {
    return this.#changeStored({ namespace, name }, purge)
  }

  keys(): Promise<readonly StoredKey[]> {
    return this.#read([], (db) => db.selectFrom('lossd_keys').selectAll().orderBy('id').execute())
  }

  async putKey({ id, record }: StoredKey): Promise<void> {
    await this.#counted(
      this.#backend.write((tx) =>
        tx
          .insertInto('lossd_keys')
          .values({ id, record })
          .onConflict((conflict) => conflict.column('id').doUpdateSet({ record }))
          .execute(),
      ),
    )
  }

  addJob(job: NewJob): Promise<{ job: StoredJob; isNew: boolean }> {
    return this.#queue((tx) => addJob(tx, job))
  }

  findJob(id: string): Promise<StoredJob | undefined> {
    return this.#read(undefined, (db) => findJob(db, id))
  }

  /** Reads first, because most of the time there is nothing to do. */
  async claimJob(lease: Lease): Promise<ClaimedJob | undefined> {
    const open = await this.#read([], (db) => claimable(db, lease.now).select('id').limit(1).execute())
    if (open.length === 0) return undefined
    const { locksRows } = this.#backend
    if (!locksRows) return this.#queue((tx) => claimJob(tx, lease, false))
    return this.#counted(this.#backend.write((tx) => claimJob(tx, lease, true)))
  }

  keepJob(id: string, lease: Lease, progress: JobProgress): Promise<boolean> {
    return this.#counted(this.#backend.write((tx) => keepJob(tx, id, lease, progress)))
  }

  endJob(id: string, worker: string, end: JobEnd): Promise<boolean> {
    return this.#counted(this.#backend.write((tx) => endJob(tx, id, worker, end)))
  }

  async cancelJob(id: string): Promise<boolean> {
    const known = await this.findJob(id)
    return known !== undefined && this.#counted(this.#backend.write((tx) => cancelJob(tx, id)))
  }

  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async health(): Promise<void> {
    await this.#read([], (db) => db.selectFrom('lossd_schema').selectAll().execute())
  }

  export(): AsyncIterable<ExportRecord> {
    return exportAll((empty, run) => this.#read(empty, run))
  }

  async import(records: Iterable<ExportRecord>): Promise<number> {
    const run = (tx: Tx) => importAll(this.#backend, tx, records)
    const added = await this.#write('all', run, { isPatient: true })
    this.#tell('all')
    return added
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#calls)
    await this.#backend.close()
  }

  /** Runs with the lock of the queue. */
  #queue<T>(run: (tx: Tx) => Promise<T>): Promise<T> {
    const locked = async (tx: Tx) => {
      await this.#backend.lock(tx, JOB_LOCK)
      return run(tx)
    }
    return this.#counted(this.#backend.write(locked))
  }

  #tell(change: Change) {
    for (const listener of this.#listeners) listener(change)
  }

  #read<T>(empty: T, run: (db: Db) => Promise<T>): Promise<T> {
    return this.#counted(this.#backend.read(empty, run))
  }

  /** @param change what the call may change. If it fails midway, nobody knows whether it was committed. */
  async #write<T>(change: Change, run: (tx: Tx) => Promise<T>, options?: CallOptions): Promise<T> {
    try {
      return await this.#counted(this.#backend.write(run, options))
    } catch (error) {
      if (error instanceof StoreDown) this.#tell(change)
      throw error
    }
  }

  async #counted<T>(call: Promise<T>): Promise<T> {
    this.#calls.add(call)
    try {
      return await call
    } finally {
      this.#calls.delete(call)
    }
  }

  /** Runs with the lock of the namespace and reports what has changed. */
  async #change<T>(
    loss: LossName,
    run: (tx: Tx) => Promise<T>,
    hasChanged: (result: T) => boolean,
  ): Promise<T> {
    const change = nameOf(loss)
    const result = await this.#write(change, async (tx) => {
      await this.#backend.lock(tx, loss.namespace)
      const result = await run(tx)
      if (hasChanged(result)) await this.#backend.announce(tx, change)
      return result
    })
    if (hasChanged(result)) this.#tell(change)
    return result
  }

  /** Without a database nothing is stored, so this does not create one. */
  async #changeStored(loss: LossName, run: (tx: Tx, loss: LossName) => Promise<boolean>): Promise<boolean> {
    const isThere = await this.#read(false, async () => true)
    return isThere && this.#change(loss, (tx) => run(tx, loss), Boolean)
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

/** Versions with the state of their names, in one query, so that the two belong together. */
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
