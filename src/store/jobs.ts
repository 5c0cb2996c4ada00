/** The queue of jobs as SQL, for both databases. */
import type { ClaimedJob, JobEnd, JobProgress, JobState, Lease, NewJob, StoredJob } from './contract.ts'
import type { Db, JobRow, Tx } from './tables.ts'

const OPEN: readonly string[] = ['queued', 'running']

/** Whoever adds a job locks this, and whoever takes one where rows cannot be locked, as if it were a namespace. No namespace has a space in its name. */
export const JOB_LOCK = 'lossd jobs'

export async function addJob(tx: Tx, job: NewJob): Promise<{ job: StoredJob; isNew: boolean }> {
  const known = await sameJob(tx, job)
  if (known !== undefined) return { job: toJob(known), isNew: false }
  const now = new Date().toISOString()
  const row: JobRow = {
    id: job.id,
    owner: job.owner,
    idempotency_key: job.idempotencyKey,
    request: job.request,
    state: 'queued',
    created: now,
    updated: now,
    rows_done: 0,
    rows_total: null,
    worker: null,
    leased_until: null,
    checkpoint: null,
    result: null,
    error: null,
  }
  await tx.insertInto('lossd_jobs').values(row).execute()
  return { job: toJob(row), isNew: true }
}

async function sameJob(tx: Tx, { owner, idempotencyKey }: NewJob): Promise<JobRow | undefined> {
  if (idempotencyKey === null) return undefined
  const query = tx.selectFrom('lossd_jobs').selectAll().where('idempotency_key', '=', idempotencyKey)
  return (
    owner === null ? query.where('owner', 'is', null) : query.where('owner', '=', owner)
  ).executeTakeFirst()
}

export async function findJob(db: Db, id: string): Promise<StoredJob | undefined> {
  const row = await db.selectFrom('lossd_jobs').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? undefined : toJob(row)
}

/** Jobs that may be taken. */
export function claimable(db: Db, now: number) {
  return db
    .selectFrom('lossd_jobs')
    .where((eb) =>
      eb.or([
        eb('state', '=', 'queued'),
        eb.and([eb('state', '=', 'running'), eb('leased_until', '<', now)]),
      ]),
    )
}

/** @param skipsLocked whether rows that another process is taking are passed over; otherwise the queue must be locked */
export async function claimJob(
  tx: Tx,
  { worker, now, until }: Lease,
  skipsLocked: boolean,
): Promise<ClaimedJob | undefined> {
  const oldest = claimable(tx, now).selectAll().orderBy('created').limit(1)
  const row = await (skipsLocked ? oldest.forUpdate().skipLocked() : oldest).executeTakeFirst()
  if (row === undefined) return undefined
  const change = { state: 'running', worker, leased_until: until, updated: new Date().toISOString() }
  await tx.updateTable('lossd_jobs').set(change).where('id', '=', row.id).execute()
  return { ...toJob({ ...row, ...change }), checkpoint: row.checkpoint }
}

export async function keepJob(
  tx: Tx,
  id: string,
  { worker, until }: Lease,
  { rows, total, checkpoint }: JobProgress,
): Promise<boolean> {
  return changeOwn(tx, id, worker, {
    rows_done: rows,
    rows_total: total,
    leased_until: until,
    ...(checkpoint === undefined ? {} : { checkpoint }),
  })
}

export async function endJob(tx: Tx, id: string, worker: string, end: JobEnd): Promise<boolean> {
  const over = { state: end.state, worker: null, leased_until: null, checkpoint: null }
  return changeOwn(
    tx,
    id,
    worker,
    end.state === 'done'
      ? { ...over, rows_done: end.rows, result: end.result }
      : { ...over, error: end.error },
  )
}

async function changeOwn(tx: Tx, id: string, worker: string, change: Partial<JobRow>): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('lossd_jobs')
    .set({ ...change, updated: new Date().toISOString() })
    .where('id', '=', id)
    .where('worker', '=', worker)
    .where('state', '=', 'running')
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

export async function cancelJob(tx: Tx, id: string): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('lossd_jobs')
    .set({
      state: 'cancelled',
      worker: null,
      leased_until: null,
      checkpoint: null,
      updated: new Date().toISOString(),
    })
    .where('id', '=', id)
    .where('state', 'in', OPEN)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

function toJob(row: JobRow): StoredJob {
  return {
    id: row.id,
    owner: row.owner,
    request: row.request,
    idempotencyKey: row.idempotency_key,
    state: row.state as JobState,
    created: row.created,
    updated: row.updated,
    rows: Number(row.rows_done),
    total: row.rows_total === null ? null : Number(row.rows_total),
    result: row.result,
    error: row.error,
  }
}
