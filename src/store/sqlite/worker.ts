/**
 * The thread that has the file open. SQLite waits for the disk and for other processes, and this is where it may: a commit
 * on a slow disk must not stop the loop that answers requests.
 */
import { statSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import Database from 'libsql'
import type { Reply, Request, SentError, Statement, StatementResult, WorkerOptions } from './messages.ts'

/** How long a transaction waits for one of another process, in ms. */
const BUSY_MS = 4000
/** How often the file is looked at for what other processes have written, in ms. */
const LOOK_MS = 500

/** FULL: a commit is on disk when it returns, also in a WAL. */
const PRAGMAS = ['journal_mode = WAL', 'synchronous = FULL', 'foreign_keys = ON']

/** What begins and ends a transaction, and a part of one. */
const CONTROL = /^(begin|commit|rollback|savepoint|release)\b/

const port = parentPort!
const { path } = workerData as WorkerOptions

interface Opened {
  readonly database: Database.Database
  readonly file: string
  seen: number
}

let opened: Opened | undefined

port.on('message', (request: Request) => {
  if (request === 'close') close()
  else reply(answer(request))
})
setInterval(look, LOOK_MS).unref()

/** The thread ends by itself, for nothing is left to wait for. */
function close() {
  opened?.database.close()
  port.close()
}

function reply(message: Reply) {
  port.postMessage(message)
}

function answer({ id, sql, parameters }: Statement): Reply {
  try {
    opened ??= open()
    if (sql.startsWith('begin')) refuseMoved(opened)
    return { type: 'done', id, result: execute(opened.database, sql, parameters) }
  } catch (error) {
    return { type: 'failed', id, error: toSent(error) }
  }
}

function open(): Opened {
  const database = new Database(path, { timeout: BUSY_MS })
  for (const pragma of PRAGMAS) execute(database, `pragma ${pragma}`, [])
  return { database, file: identityOf(path), seen: dataVersion(database) }
}

function execute(database: Database.Database, sql: string, parameters: readonly unknown[]): StatementResult {
  // A prepared one that finds the file locked counts as running until it is collected, and lets no other commit.
  if (CONTROL.test(sql)) {
    database.exec(sql)
    return { rows: [], changes: 0 }
  }
  const statement = database.prepare(sql)
  if (statement.reader) return { rows: statement.all(parameters) as StatementResult['rows'], changes: 0 }
  return { rows: [], changes: statement.run(parameters).changes }
}

/** Who removes or replaces the file leaves us with one that nobody will find again: nothing may be promised about it. */
function refuseMoved({ file }: Opened) {
  if (identityOf(path) !== file) throw Object.assign(new Error('the file was replaced'), { code: 'ESTALE' })
}

function identityOf(path: string): string {
  const { dev, ino } = statSync(path)
  return `${dev}:${ino}`
}

/** Tells when another connection has written. */
function look() {
  if (opened === undefined) return
  try {
    const version = dataVersion(opened.database)
    if (version !== opened.seen) reply({ type: 'changed' })
    opened.seen = version
  } catch {
    // The next statement fails in the same way, and has somebody to tell.
  }
}

function dataVersion(database: Database.Database): number {
  return execute(database, 'pragma data_version', []).rows[0]!.data_version as number
}

function toSent(error: unknown): SentError {
  const { message, code, rawCode } = error as Error & { code?: string; rawCode?: number }
  // libsql names no code when a file cannot be opened, but ends with it.
  const sqlite = rawCode ?? Number(/: (\d+)"\)$/.exec(message)?.[1] ?? 0)
  return { message, sqlite, system: rawCode === undefined ? (code ?? '') : '' }
}
