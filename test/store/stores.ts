/** The stores that tests run on: one of each kind that this machine has. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LossStore } from '../../src/store/contract.ts'
import { openStore } from '../../src/store/index.ts'
import { Cluster, findPostgres } from './cluster.ts'

/** A database, empty at first, to which stores can be opened, also several at once. */
export interface Place {
  readonly url: string
  open(options?: { maxLosses?: number }): LossStore
  /** Runs SQL on it, behind the stores' backs. */
  query(sql: string): Promise<void>
  /** Closes what was opened, and removes it all. */
  remove(): Promise<void>
}

export interface StoreKind {
  readonly title: string
  /** Before the first place. */
  begin(): Promise<void>
  make(): Promise<Place>
  /** After the last one. */
  end(): Promise<void>
}

const DEFAULTS = { maxLosses: 1000 }

/** Opens stores at an address, and closes them at the end. */
function placeAt(url: string, query: Place['query'], removeIt: () => void): Place {
  const opened: LossStore[] = []
  return {
    url,
    query,
    open: (options) => {
      const store = openStore(url, { ...DEFAULTS, ...options })!
      opened.push(store)
      return store
    },
    remove: async () => {
      await Promise.all(opened.map((store) => store.close()))
      removeIt()
    },
  }
}

export const sqlite: StoreKind = {
  title: 'SQLite',
  begin: async () => {},
  make: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lossd-store-'))
    const path = join(folder, 'data', 'lossd.db')
    const query = async (sql: string) => {
      const { default: Database } = await import('libsql')
      const database = new Database(path)
      try {
        database.exec(sql)
      } finally {
        database.close()
      }
    }
    return placeAt(`file:${path}`, query, () => rmSync(folder, { recursive: true }))
  },
  end: async () => {},
}

/** One server for all its places. */
export function postgres(bin: string): StoreKind & { readonly cluster: Cluster } {
  let cluster: Cluster
  return {
    title: 'PostgreSQL',
    get cluster() {
      return cluster
    },
    begin: async () => {
      cluster = new Cluster(bin)
      await cluster.start()
    },
    make: async () => {
      const url = cluster.createDatabase()
      const database = /\/(t\d+)\?/.exec(url)![1]!
      const query = async (sql: string) => void cluster.query(database, sql)
      return placeAt(url, query, () => {})
    },
    end: () => cluster.remove(),
  }
}

export function storeKinds(): StoreKind[] {
  const bin = findPostgres()
  if (bin !== undefined) return [sqlite, postgres(bin)]
  console.log('the store in PostgreSQL is not tested here: there is no PostgreSQL on this machine')
  return [sqlite]
}
