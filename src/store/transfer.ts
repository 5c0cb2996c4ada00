/** Export and import: copies everything from one store to another, version numbers included (keyset pagination). */
import type { Backend } from './backend.ts'
import {
  type ExportRecord,
  ImportRefused,
  type LossName,
  type LossRecord,
  type StoredVersion,
  type VersionRecord,
} from './contract.ts'
import { nameOf, toRow, toVersion } from './rows.ts'
import type { Tables, Tx } from './tables.ts'

/** How many rows are read at once. A document has up to 64 KiB. */
const ROWS = 100

type LossRow = Tables['lossd_losses']

/** Each name with its versions, oldest first. Whether it includes what is registered meanwhile is not defined. */
export async function* exportAll(read: Backend['read']): AsyncGenerator<ExportRecord> {
  let losses = await readLosses(read)
  while (losses.length > 0) {
    for (const loss of losses) {
      yield { kind: 'loss', ...loss }
      yield* exportVersions(read, loss)
    }
    losses = await readLosses(read, losses.at(-1))
  }
}

async function* exportVersions(read: Backend['read'], loss: LossRow): AsyncGenerator<ExportRecord> {
  let rows = await readVersions(read, loss, 0)
  while (rows.length > 0) {
    for (const row of rows) yield { kind: 'version', ...toVersion(row) }
    rows = await readVersions(read, loss, rows.at(-1)!.version)
  }
}

function readLosses(read: Backend['read'], after?: LossName): Promise<LossRow[]> {
  return read([], (db) => {
    const all = db.selectFrom('lossd_losses').selectAll()
    const query =
      after === undefined
        ? all
        : all.where(({ eb, refTuple, tuple }) =>
            eb(refTuple('namespace', 'name'), '>', tuple(after.namespace, after.name)),
          )
    return query.orderBy('namespace').orderBy('name').limit(ROWS).execute()
  })
}

/** Only up to the version that was the highest when the name was read, so that the two records agree. */
function readVersions(read: Backend['read'], loss: LossRow, after: number) {
  return read([], (db) =>
    db
      .selectFrom('lossd_versions')
      .selectAll()
      .where((eb) => eb.and(nameOf(loss)))
      .where('version', '>', after)
      .where('version', '<=', loss.numbered)
      .orderBy('version')
      .limit(ROWS)
      .execute(),
  )
}

/** @returns how many versions are new */
export async function importAll(backend: Backend, tx: Tx, records: Iterable<ExportRecord>): Promise<number> {
  const locked = new Set<string>()
  let [index, added] = [0, 0]
  for (const record of records) {
    if (!locked.has(record.namespace)) await backend.lock(tx, record.namespace)
    locked.add(record.namespace)
    if (record.kind === 'loss') await importLoss(tx, record)
    else if (await importVersion(tx, record, index)) added++
    index++
  }
  await backend.announce(tx, 'all')
  return added
}

/** The newer of the two states wins. If both have the same latest version, a retirement is kept. */
async function importLoss(tx: Tx, { namespace, name, latest, numbered, retired }: LossRecord) {
  const known = await lossRow(tx, { namespace, name })
  if (known === undefined) {
    // The records of its versions set `latest`.
    await tx.insertInto('lossd_losses').values({ namespace, name, latest: null, numbered, retired }).execute()
    return
  }
  const [ours, theirs] = [known.latest ?? 0, latest ?? 0]
  const merged = ours > theirs ? known.retired : ours < theirs ? retired : (known.retired ?? retired)
  await update(tx, known, { numbered: Math.max(known.numbered, numbered), retired: merged })
}

async function importVersion(tx: Tx, record: VersionRecord, index: number): Promise<boolean> {
  const { kind: _, ...stored } = record
  const known = await tx
    .selectFrom('lossd_versions')
    .selectAll()
    .where((eb) => eb.and({ ...nameOf(stored), version: stored.version }))
    .executeTakeFirst()
  if (known !== undefined) refuseAnother(toVersion(known), stored, index)
  else await addVersion(tx, stored, index)
  return known === undefined
}

async function addVersion(tx: Tx, stored: StoredVersion, index: number) {
  const loss = await lossRow(tx, stored)
  if (loss === undefined)
    throw new ImportRefused(`${title(stored)} comes before the record of its name`, index)
  await tx.insertInto('lossd_versions').values(toRow(stored)).execute()
  const latest = Math.max(loss.latest ?? 0, stored.version)
  await update(tx, loss, { latest, numbered: Math.max(loss.numbered, latest) })
}

function refuseAnother(known: StoredVersion, stored: StoredVersion, index: number) {
  if (known.document === stored.document && known.id === stored.id && known.digest === stored.digest) return
  throw new ImportRefused(`${title(stored)} is already stored with a different document`, index)
}

function title({ namespace, name, version }: StoredVersion): string {
  return `${namespace}/${name}@${version}`
}

function lossRow(tx: Tx, loss: LossName): Promise<LossRow | undefined> {
  return tx
    .selectFrom('lossd_losses')
    .selectAll()
    .where((eb) => eb.and(nameOf(loss)))
    .executeTakeFirst()
}

async function update(tx: Tx, loss: LossName, state: Partial<Omit<LossRow, keyof LossName>>) {
  await tx
    .updateTable('lossd_losses')
    .set(state)
    .where((eb) => eb.and(nameOf(loss)))
    .execute()
}
