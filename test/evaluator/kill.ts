/**
 * `npm run test:evaluations [-- --times 100]`: evaluations survive SIGKILL, with SQLite, and with PostgreSQL where it is
 * installed. A process that works on a job is killed at random moments, sometimes while another one waits for its jobs.
 * However often that happens, the answer is that of an evaluation that nobody disturbed, bit for bit.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { StoreDown, type StoredJob } from '../../src/store/contract.ts'
import { openStore } from '../../src/store/index.ts'
import { Cluster, findPostgres } from '../store/cluster.ts'

const FILES = 16
const ROWS_A_FILE = 20_000
const LEASE_MS = 1500
const REQUEST = {
  source: { path: 'parts/*.parquet' },
  losses: [{ loss: 'huber' }, { loss: 'log_cosh' }],
  columns: { targets: ['y'] },
  compare: [['a'], ['b']],
  weight: 'w',
  by: ['k'],
  bootstrap: 100,
  quantiles: [0.5, 0.9],
  worst: 10,
}

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))
const { values } = parseArgs({ options: { times: { type: 'string', default: '20' } } })
const folder = mkdtempSync(join(tmpdir(), 'lossd-killed-jobs-'))
let url = `file:${folder}/lossd.db`
let store = openStore(url, { maxLosses: 10 })!
const build = join(
  here('../../dist'),
  /'\.\/(\w+)\/server\.js'/.exec(readFileSync(here('../../dist/server.js'), 'utf8'))![1]!,
)

/** They are not left behind when this ends, however it ends. */
const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

await writeParts()
const { result: expected, ms } = await undisturbed()
console.log(`an evaluation takes ${Math.round(ms)} ms if nobody disturbs it`)
let kills = 0
let midway = 0
await manyTimes('SQLite')
const bin = findPostgres()
if (bin === undefined) console.log('PostgreSQL is not on this machine: its queue is not tried')
else await withPostgres(bin)

async function withPostgres(path: string) {
  const cluster = new Cluster(path)
  await cluster.start()
  url = cluster.createDatabase()
  store = openStore(url, { maxLosses: 10 })!
  await manyTimes('PostgreSQL')
  await cluster.remove()
}

async function manyTimes(database: string) {
  kills = 0
  midway = 0
  for (let run = 1; run <= Number(values.times); run++) {
    const job = await disturbed(ms)
    if (job.result !== expected) throw new Error(`run ${run}: the answer differs: ${job.error ?? job.result}`)
  }
  console.log(
    `${database}: ${values.times} evaluations were killed ${kills} times, ${midway} of them midway; all answers are the same`,
  )
  await store.close()
}

async function writeParts() {
  mkdirSync(join(folder, 'parts'))
  const database = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await database.connect()
  for (let file = 0; file < FILES; file++) {
    const random = (salt: number) => `((hash(i * 16 + ${file} + ${salt} * 1000003) % 1000003) / 1000003.0)`
    await connection.run(`COPY (SELECT ${random(1)} * 4 AS y, ${random(2)} * 4 AS a, ${random(3)} * 4 AS b,
      ${random(4)} AS w, (i % 9)::INTEGER AS k FROM range(${ROWS_A_FILE}) r(i))
      TO '${folder}/parts/${String(file).padStart(2, '0')}.parquet' (FORMAT parquet)`)
  }
  connection.closeSync()
  database.closeSync()
}

async function add(): Promise<string> {
  const id = randomUUID()
  await store.addJob({ id, owner: null, request: JSON.stringify(REQUEST), idempotencyKey: null })
  return id
}

async function undisturbed(): Promise<{ result: string; ms: number }> {
  const id = await add()
  const worker = await start()
  const started = performance.now()
  const job = await over(id)
  const ms = performance.now() - started
  await kill(worker)
  if (job.result === null) throw new Error(`the evaluation failed: ${job.error}`)
  return { result: job.result, ms }
}

/** Kills up to three workers, then lets one finish. */
async function disturbed(ms: number): Promise<StoredJob> {
  const id = await add()
  const times = 1 + Math.floor(Math.random() * 3)
  for (let i = 0; i < times; i++) {
    const workers = [await start(), ...(Math.random() < 0.3 ? [await start()] : [])]
    await sleep(Math.random() * ms)
    const { state, rows } = await find(id)
    await Promise.all(workers.map(kill))
    kills += workers.length
    if (state === 'running' && rows > 0) midway++
  }
  const last = await start()
  const job = await over(id)
  await kill(last)
  return job
}

async function over(id: string): Promise<StoredJob> {
  for (;;) {
    const job = await find(id)
    if (job.state !== 'queued' && job.state !== 'running') return job
    await sleep(20)
  }
}

/** On a machine that is busy, a store may be late. Only the answer counts here. */
async function find(id: string): Promise<StoredJob> {
  for (;;) {
    try {
      return (await store.findJob(id))!
    } catch (error) {
      if (!(error instanceof StoreDown)) throw error
      await sleep(100)
    }
  }
}

async function start(): Promise<ChildProcess> {
  const args = [here('work-on-jobs.js'), build, url, folder, String(LEASE_MS)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.add(child)
  await once(child.stdout!, 'data')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) throw new Error('a worker has ended by itself')
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
  children.delete(child)
}
