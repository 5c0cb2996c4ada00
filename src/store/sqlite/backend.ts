/** A file, by SQLite. It is made on the first registration; until then there is nothing to be read. */
import { lstat, mkdir, open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Kysely, sql } from 'kysely'
import type { Backend } from '../backend.ts'
import type { Change } from '../contract.ts'
import { LazyDb, type StoreLog } from '../lazy-db.ts'
import { type Db, migrate, type Tables } from '../tables.ts'
import { Connection } from './connection.ts'
import { createDialect } from './dialect.ts'
import { needsReconnect, toStoreDown } from './error-translation.ts'
import { GroupCommit } from './group-commit.ts'

/** How long a call may take, the wait for its turn included, in ms. */
const CALL_MS = 10_000

/** @param file as in the setting, relative to the working directory */
export function createSqliteBackend(file: string, log?: StoreLog): Backend {
  const path = resolve(file)
  let heard: (change: Change) => void = () => {}
  let connection: Connection | undefined
  const database = new LazyDb({
    log,
    open: async () => {
      // On a disk that hangs there would soon be many threads that hang.
      await connection?.ended
      return connect(path, () => {
        connection = new Connection({ path, onChanged: () => heard('all') })
        return connection
      })
    },
    callMs: CALL_MS,
    toStoreDown: (error) => toStoreDown(error, file),
    isLasting: needsReconnect,
    onDropped: () => heard('all'),
    // What is in the log goes into the file, which may then be copied alone.
    beforeClose: (db) => sql`pragma wal_checkpoint(truncate)`.execute(db),
  })
  const commits = new GroupCommit(database)

  return {
    read: async (empty, run) => (database.isOpen || (await exists(path)) ? database.use(run) : empty),
    write: (run, options) => {
      const isAlone = options?.isPatient === true
      return isAlone ? database.use((db) => db.transaction().execute(run), options) : commits.write(run)
    },
    // A transaction has the file to itself.
    lock: async () => {},
    // The threads of other processes see it in the file.
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

async function connect(path: string, start: () => Connection): Promise<Db> {
  const isNew = !(await exists(path))
  const made = isNew ? await mkdir(dirname(path), { recursive: true }) : undefined
  const db = new Kysely<Tables>({ dialect: createDialect(start()) })
  try {
    await migrate(db, { dialect: 'sqlite', lock: async () => {} })
    if (isNew) await syncFolders(dirname(path), made)
    return db
  } catch (error) {
    await db.destroy()
    throw error
  }
}

/** Whatever is there: what is wrong with it, opening it will tell. */
async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

/** A file is found after a power cut if its folder is on disk, too, and a folder that was made if the one around it is. */
async function syncFolders(folder: string, made: string | undefined) {
  const outermost = made === undefined ? folder : dirname(made)
  for (let path = folder; ; path = dirname(path)) {
    await syncFolder(path)
    if (path === outermost || path === dirname(path)) return
  }
}

/** Not every system opens folders, nor does one that may be written but not listed. */
const UNOPENED = ['EACCES', 'EPERM', 'EISDIR', 'EINVAL']

async function syncFolder(path: string) {
  try {
    const handle = await open(path)
    await handle.sync().finally(() => handle.close())
  } catch (error) {
    if (!UNOPENED.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
