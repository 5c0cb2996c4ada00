/** SQLite backend: a file. It is created at the first registration; until then there is nothing to read. */
import { existsSync } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Kysely } from 'kysely'
import type { Backend } from '../backend.ts'
import type { Change } from '../contract.ts'
import { LazyDb } from '../lazy-db.ts'
import { type Db, migrate, type Tables } from '../tables.ts'
import { Connection } from './connection.ts'
import { createDialect } from './dialect.ts'
import { isLasting, toStoreDown } from './faults.ts'

/** Timeout of a call, including the time in the queue, in ms. */
const CALL_MS = 10_000

/** @param file as in the setting, relative to the working directory */
export function createSqliteBackend(file: string): Backend {
  const path = resolve(file)
  let heard: (change: Change) => void = () => {}
  const database = new LazyDb({
    open: () => connect(path, () => heard('all')),
    callMs: CALL_MS,
    toStoreDown: (error) => toStoreDown(error, file),
    isLasting,
    onDropped: () => heard('all'),
  })

  return {
    read: async (empty, run) => (database.isOpen || existsSync(path) ? database.use(run) : empty),
    write: (run, options) => database.use((db) => db.transaction().execute(run), options),
    // A transaction locks the whole file anyway.
    lock: async () => {},
    // The worker threads of other processes notice it in the file.
    announce: async () => {},
    listen: (listener) => {
      heard = listener
    },
    get hearsChanges() {
      return database.isOpen
    },
    close: () => database.close(),
  }
}

async function connect(path: string, onChanged: () => void): Promise<Db> {
  const isNew = !existsSync(path)
  const made = isNew ? await mkdir(dirname(path), { recursive: true }) : undefined
  const db = new Kysely<Tables>({ dialect: createDialect(new Connection({ path, onChanged })) })
  try {
    await migrate(db, { dialect: 'sqlite', lock: async () => {} })
    if (isNew) await syncFolders(dirname(path), made)
    return db
  } catch (error) {
    await db.destroy()
    throw error
  }
}

/** After a power failure, a file exists only if its folder was synced too, and a new folder only if its parent was. */
async function syncFolders(folder: string, made: string | undefined) {
  const outermost = made === undefined ? folder : dirname(made)
  for (let path = folder; ; path = dirname(path)) {
    const handle = await open(path)
    await handle.sync().finally(() => handle.close())
    if (path === outermost || path === dirname(path)) return
  }
}
