/** The stores that the tests run on: one of each kind that this machine has. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LossStore } from '../../src/store/contract.ts'
import { openStore } from '../../src/store/index.ts'
import { Cluster, findPostgres } from './cluster.ts'

/** A new, empty database on which one or several stores can be opened. */
export interface Place {
  readonly url: string
  open(options?: { maxLosses?: number }): LossStore
  /** Runs SQL directly on the database. */
  query(sql: string): Promise<void>
  /** Closes the stores and deletes the database. */
  remove(): Promise<void>
}

export interface StoreKind {
  readonly title: string
  /** Called before the first place. */
  begin(): Promise<void>
  make(): Promise<Place>
  /** Called after the last place. */
  end(): Promise<void>
}

const DEFAULTS = { maxLosses: 1000 }

/** Opens stores at an address and closes them at the end. */
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

/** One server with a database per place. */
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
