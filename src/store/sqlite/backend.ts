/** The SQLite backend: one file, created on the first registration, in WAL mode. Until then reads return nothing. */
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

/** How long a call may take, in ms, including the time in the queue. */
const CALL_MS = 10_000

/** @param file the path in the setting, relative to the working directory */
export function createSqliteBackend(
  file: string,
  {
    log,
    callMs = CALL_MS,
  }: { readonly log?: StoreLog | undefined; readonly callMs?: number | undefined } = {},
): Backend {
  const path = resolve(file)
  let heard: (change: Change) => void = () => {}
  let connection: Connection | undefined
  const database = new LazyDb({
    log,
    open: async () => {
      // Otherwise a disk that hangs would soon leave many hanging threads.
      await connection?.ended
      return connect(path, () => {
        connection = new Connection({ path, onChanged: () => heard('all') })
        return connection
      })
    },
    callMs,
    toStoreDown: (error) => toStoreDown(error, file),
    isLasting: needsReconnect,
    onDropped: () => heard('all'),
    // Moves the content of the write-ahead log into the file, which can then be copied by itself.
    beforeClose: (db) => sql`pragma wal_checkpoint(truncate)`.execute(db),
  })
  const commits = new GroupCommit(database)

  return {
    read: async (empty, run) => (database.isOpen || (await exists(path)) ? database.use(run) : empty),
    write: (run, options) => {
      const isAlone = options?.isPatient === true
      return isAlone ? database.use((db) => db.transaction().execute(run), options) : commits.write(run)
    },
    // A transaction locks the whole file.
    lock: async () => {},
    // The threads of other processes notice it in the file.
    announce: async () => {},
    listen: (listener) => {
      heard = listener
    },
    locksRows: false,
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

/** Whether anything is at the path. If it is not a usable file, opening it reports why. */
async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

/** Fsyncs the folders: after a power cut, a new file exists only if its folder is on disk, and likewise a new folder. */
async function syncFolders(folder: string, made: string | undefined) {
  const outermost = made === undefined ? folder : dirname(made)
  for (let path = folder; ; path = dirname(path)) {
    await syncFolder(path)
    if (path === outermost || path === dirname(path)) return
  }
}

/** Some systems cannot open folders. A folder that may be written but not listed cannot be opened either. */
const UNOPENED = ['EACCES', 'EPERM', 'EISDIR', 'EINVAL']

async function syncFolder(path: string) {
  try {
    const handle = await open(path)
    await handle.sync().finally(() => handle.close())
  } catch (error) {
    if (!UNOPENED.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
