/** Opens the store that the configuration names. */
import type { LossStore } from './contract.ts'
import { createPostgresBackend } from './postgres/backend.ts'
import { createSqlStore } from './sql-store.ts'
import { createSqliteBackend } from './sqlite/backend.ts'

export interface StoreOptions {
  /** Maximum number of names in a namespace. */
  readonly maxLosses: number
}

/**
 * Lazy: nothing is opened or created before it is needed.
 *
 * @param url `file:path`, `postgres://...`, or `none`
 * @returns undefined for `none`
 * @example
 * const store = openStore('file:data/lossd.db', { maxLosses: 1000 })
 */
export function openStore(url: string, { maxLosses }: StoreOptions): LossStore | undefined {
  if (url === 'none') return undefined
  if (url.startsWith('file:')) return createSqlStore(createSqliteBackend(pathOf(url)), { maxLosses })
  if (/^postgres(ql)?:/.test(url)) return createSqlStore(createPostgresBackend(url), { maxLosses })
  throw new Error('a store must be file:path, postgres://user@host/database or none')
}

/** `file:data/x.db`, `file:/data/x.db` and `file:///data/x.db`. */
function pathOf(url: string): string {
  return url.slice('file:'.length).replace(/^\/\/(?=\/)/, '')
}
