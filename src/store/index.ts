/** Opens the store that the setting `LOSSD_STORE` names: SQLite, PostgreSQL or none. */
import { InvalidAddress, type LossStore } from './contract.ts'
import type { StoreLog } from './lazy-db.ts'
import { createPostgresBackend } from './postgres/backend.ts'
import { SqlStore } from './sql-store.ts'
import { createSqliteBackend } from './sqlite/backend.ts'

export interface StoreOptions {
  /** Maximum number of names in a namespace. */
  readonly maxLosses: number
  readonly log?: StoreLog
  /** How long a call to a file may take, in ms, including the time in the queue. */
  readonly fileCallMs?: number
}

/**
 * Creates the store. The database is opened, or created, on first use.
 *
 * @param url `file:path`, `postgres://...`, or `none`
 * @returns undefined for `none`
 * @throws InvalidAddress
 * @example
 * const store = openStore('file:data/lossd.db', { maxLosses: 1000 })
 */
export function openStore(url: string, { maxLosses, log, fileCallMs }: StoreOptions): LossStore | undefined {
  if (url === 'none') return undefined
  if (url.startsWith('file:'))
    return new SqlStore(createSqliteBackend(pathOf(url), { log, callMs: fileCallMs }), maxLosses)
  if (/^postgres(ql)?:/.test(url)) return new SqlStore(createPostgresBackend(url, log), maxLosses)
  throw new InvalidAddress('a store is file:path, postgres://user@host/database or none')
}

/** `file:data/x.db`, `file:/data/x.db` and `file:///data/x.db`. */
function pathOf(url: string): string {
  return url.slice('file:'.length).replace(/^\/\/(?=\/)/, '')
}
