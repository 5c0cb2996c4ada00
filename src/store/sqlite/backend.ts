/** A file, by SQLite. It is made on the first registration; until then there is nothing to be read. */
import { existsSync } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Kysely } from 'kysely'
import type { Backend } from '../backend.ts'
import { Backoff } from '../backoff.ts'
import { type Change, StoreDown } from '../contract.ts'
import { within } from '../deadline.ts'
import { type Db, migrate, type Tables } from '../tables.ts'
import { Connection } from './connection.ts'
import { createDialect } from './dialect.ts'
import { isLasting, toStoreDown } from './faults.ts'

/** How long a call may take, the wait for its turn included, in ms. */
const CALL_MS = 10_000

/** @param file as in the setting, relative to the working directory */
export function createSqliteBackend(file: string): Backend {
  const path = resolve(file)
  const backoff = new Backoff()
  let heard: (change: Change) => void = () => {}
  let opened: Promise<Db> | undefined
  let isOpen = false

  const get = (): Promise<Db> => {
    if (opened !== undefined) return opened
    backoff.check()
    const opening = connect(path, () => heard('all')).then((db) => {
      isOpen = true
      backoff.succeeded()
      return db
    })
    opened = opening
    return opening
  }

  /** Lets the next call open the file again. */
  const drop = (lost: Promise<Db>) => {
    if (opened !== lost) return
    opened = undefined
    isOpen = false
    heard('all')
    void lost.then((db) => db.destroy()).catch(() => {})
  }

  const use = async <T>(run: (db: Db) => Promise<T>): Promise<T> => {
    const db = get()
    try {
      return await within(CALL_MS, db.then(run))
    } catch (error) {
      const down = error instanceof StoreDown ? error : toStoreDown(error, file)
      if (down === undefined) throw error
      if (isLasting(error)) {
        backoff.failed(down)
        drop(db)
      }
      throw down
    }
  }

  return {
    read: async (empty, run) => (opened === undefined && !existsSync(path) ? empty : use(run)),
    write: (run) => use((db) => db.transaction().execute(run)),
    // A transaction has the file to itself.
    lock: async () => {},
    // The threads of other processes see it in the file.
    announce: async () => {},
    listen: (listener) => {
      heard = listener
    },
    get hearsChanges() {
      return isOpen
    },
    close: async () => {
      const last = opened
      opened = undefined
      isOpen = false
      await last?.then((db) => db.destroy()).catch(() => {})
    },
  }
}

async function connect(path: string, onChanged: () => void): Promise<Db> {
  const made = existsSync(path) ? undefined : await mkdir(dirname(path), { recursive: true })
  const isNew = !existsSync(path)
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

/** A file is found after a power cut if its folder is on disk, too, and a folder that was made if the one around it is. */
async function syncFolders(folder: string, made: string | undefined) {
  const outermost = made === undefined ? folder : dirname(made)
  for (let path = folder; ; path = dirname(path)) {
    const handle = await open(path)
    await handle.sync().finally(() => handle.close())
    if (path === outermost || path === dirname(path)) return
  }
}
