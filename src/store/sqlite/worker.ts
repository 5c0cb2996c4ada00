/**
 * The worker thread that has the SQLite file open. SQLite blocks while it waits for the disk and for other processes, and
 * a commit on a slow disk must not block the event loop.
 */
import { statSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import Database from 'libsql'
import type { Reply, Request, SentError, Statement, StatementResult, WorkerOptions } from './messages.ts'

/** How long a transaction waits for one of another process, in ms (SQLite's busy timeout). */
const BUSY_MS = 4000
/** How often the file is polled for writes of other processes, in ms. */
const LOOK_MS = 500

/** FULL: a commit is on disk when it returns, in WAL mode too. */
const PRAGMAS = ['journal_mode = WAL', 'synchronous = FULL', 'foreign_keys = ON']

/** Statements that begin or end a transaction, or a part of one. */
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

/** The thread then ends by itself, because it has nothing left to wait for. */
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
  // Not prepared: a prepared statement that finds the file locked counts as running until it is garbage-collected, and
  // no transaction can commit until then.
  if (CONTROL.test(sql)) {
    database.exec(sql)
    return { rows: [], changes: 0 }
  }
  const statement = database.prepare(sql)
  if (statement.reader) return { rows: statement.all(parameters) as StatementResult['rows'], changes: 0 }
  return { rows: [], changes: statement.run(parameters).changes }
}

/** If the file was removed or replaced, the one that is open is lost: nothing written to it would be found again. */
function refuseMoved({ file }: Opened) {
  if (identityOf(path) !== file) throw Object.assign(new Error('the file was replaced'), { code: 'ESTALE' })
}

function identityOf(path: string): string {
  const { dev, ino } = statSync(path)
  return `${dev}:${ino}`
}

/** Reports writes of other connections. */
function look() {
  if (opened === undefined) return
  try {
    const version = dataVersion(opened.database)
    if (version !== opened.seen) reply({ type: 'changed' })
    opened.seen = version
  } catch {
    // The next statement fails in the same way and reports it to its caller.
  }
}

function dataVersion(database: Database.Database): number {
  return execute(database, 'pragma data_version', []).rows[0]!.data_version as number
}

function toSent(error: unknown): SentError {
  const { message, code, rawCode } = error as Error & { code?: string; rawCode?: number }
  // If a file cannot be opened, libsql sets no code, but its message ends with it.
  const sqlite = rawCode ?? Number(/: (\d+)"\)$/.exec(message)?.[1] ?? 0)
  return { message, sqlite, system: rawCode === undefined ? (code ?? '') : '' }
}
