/** Maps rows of the tables to the store's types, and back. */
import type { FoundVersion, LossName, StoredVersion } from './contract.ts'
import type { Tables } from './tables.ts'

type VersionRow = Tables['lossd_versions']

/** The key columns of a name, which both tables have. */
export function nameOf({ namespace, name }: LossName): { namespace: string; name: string } {
  return { namespace, name }
}

export function toVersion(row: VersionRow): StoredVersion {
  const { namespace, name, version, id, digest, document, created, created_by: createdBy } = row
  return { namespace, name, version, id, digest, document, created, createdBy }
}

export function toRow({ createdBy, ...rest }: StoredVersion): VersionRow {
  const { namespace, name, version, id, digest, document, created } = rest
  return { namespace, name, version, id, digest, document, created, created_by: createdBy }
}

export function toFound(row: VersionRow & { latest: number | null; retired: string | null }): FoundVersion {
  const stored = toVersion(row)
  // The join found a version, so there is a latest one.
  return { stored, loss: { ...nameOf(row), latest: row.latest!, retired: row.retired } }
}
