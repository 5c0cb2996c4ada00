/**
 * Group commit: transactions that wait while the disk syncs another commit share the next one. Each is applied or
 * refused by itself, and none is reported before the commit that it is part of is on disk.
 */
import { sql } from 'kysely'
import type { LazyDb } from '../lazy-db.ts'
import type { Tx } from '../tables.ts'
import { SqliteFault } from './connection.ts'

/** Maximum number of transactions that share a commit. */
const MAX_SHARED = 64

interface Member {
  readonly run: (tx: Tx) => Promise<unknown>
  readonly resolve: (value: never) => void
  readonly reject: (error: unknown) => void
}

/** Reports the outcome of a member, once that is on disk. */
type Report = () => void

export class GroupCommit {
  readonly #database: LazyDb
  readonly #waiting: Member[] = []
  #isCommitting = false

  constructor(database: LazyDb) {
    this.#database = database
  }

  /** @throws StoreDown (rejects) when the commit fails; what the transaction itself throws */
  write<T>(run: (tx: Tx) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ run, resolve, reject })
      if (!this.#isCommitting) void this.#commitAll()
    })
  }

  async #commitAll() {
    this.#isCommitting = true
    while (this.#waiting.length > 0) await this.#commit(this.#waiting.splice(0, MAX_SHARED))
    this.#isCommitting = false
  }

  async #commit(members: readonly Member[]) {
    try {
      const transaction = (tx: Tx) => (members.length === 1 ? runAlone(tx, members[0]) : runAll(tx, members))
      const reports = await this.#database.use((db) => db.transaction().execute(transaction))
      for (const report of reports) report()
    } catch (error) {
      for (const { reject } of members) reject(error)
    }
  }
}

async function runAlone(tx: Tx, { run, resolve }: Member): Promise<Report[]> {
  const value = await run(tx)
  return [() => resolve(value as never)]
}

async function runAll(tx: Tx, members: readonly Member[]): Promise<Report[]> {
  const reports: Report[] = []
  for (const member of members) reports.push(await attempt(tx, member))
  return reports
}

/** @throws SqliteFault when the database fails: then nothing of the group is committed */
async function attempt(tx: Tx, member: Member): Promise<Report> {
  await sql`savepoint member`.execute(tx)
  const report = await runAlone(tx, member).then(
    ([done]) => done,
    async (error: unknown) => {
      if (error instanceof SqliteFault) throw error
      await sql`rollback to member`.execute(tx)
      return () => member.reject(error)
    },
  )
  await sql`release member`.execute(tx)
  return report
}
