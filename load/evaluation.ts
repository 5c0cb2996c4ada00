/**
 * `npm run load:evaluation [-- --rows 50000000]`: the marks of evaluations. Beside `lossd evaluate`, in the same run: the SQL
 * that a person would write by hand in DuckDB, and Polars (lazy, and with NumPy) and pandas with PyTorch if Python has them.
 * The data is made in a temporary folder. Each side runs a few times in turn, and its fastest time counts.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { startService } from './processes.ts'
import { markdown } from './table.ts'

const { values: flags } = parseArgs({
  options: { rows: { type: 'string', default: '50000000' }, rounds: { type: 'string', default: '3' } },
})
const ROWS = Number(flags.rows)
const LISTS = Math.round(ROWS / 5)
const ROUNDS = Number(flags.rounds)
const CLI = 'dist/cli.js'

const folder = mkdtempSync(join(tmpdir(), 'lossd-evaluation-'))
const [numbers, lists] = [join(folder, 'numbers.parquet'), join(folder, 'lists.parquet')]
const database = await DuckDBInstance.create(':memory:')
const connection = await database.connect()
try {
  await writeData()
  await compare()
  await small()
  await interactive()
} finally {
  connection.closeSync()
  rmSync(folder, { recursive: true })
}

async function writeData() {
  const random = (salt: number) => `(hash(i + ${salt} * 1000000007) % 1000003) / 1000003.0`
  await connection.run(`COPY (SELECT ${random(1)} * 4 - 2 AS y_hat, ${random(2)} * 4 - 2 AS y,
    (hash(i + 5) % 2)::DOUBLE AS clicked, (hash(i * 3) % 100)::INTEGER AS k FROM range(${ROWS}) r(i))
    TO '${numbers}' (FORMAT parquet)`)
  const logits = Array.from({ length: 10 }, (_, i) => `(${random(i + 1)} * 6 - 3)::FLOAT`)
  await connection.run(`COPY (SELECT [${logits.join(', ')}] AS logits, (i % 10)::INTEGER AS label
    FROM range(${LISTS}) r(i)) TO '${lists}' (FORMAT parquet)`)
}

interface Measured {
  readonly seconds: number
  readonly megabytes: number | undefined
}

type Run = () => Promise<Measured>

async function compare() {
  const huber = [numbers, '--predictions', 'y_hat', '--targets', 'y', '--by', 'k', '--loss', 'huber']
  const everything = ['--bootstrap', '1000', '--quantiles', '0.5,0.9,0.99', '--worst', '20']
  const sides: Record<string, Run> = {
    'SQL by hand: huber': () =>
      sql('CASE WHEN abs(y_hat - y) <= 1 THEN 0.5 * (y_hat - y) * (y_hat - y) ELSE abs(y_hat - y) - 0.5 END'),
    'lossd: huber': () => lossd(huber),
    'lossd: huber, bootstrap, quantiles, worst': () => lossd([...huber, ...everything]),
    'lossd: huber, l1, mse': () => lossd([...huber, '--loss', 'l1', '--loss', 'mse']),
    'SQL by hand: logistic': () => sql('greatest(y_hat, 0) - y_hat * clicked + ln(1 + exp(-abs(y_hat)))'),
    'lossd: logistic': () =>
      lossd([
        numbers,
        '--predictions',
        'y_hat',
        '--targets',
        'clicked',
        '--by',
        'k',
        '--loss',
        'binary_cross_entropy_with_logits',
      ]),
    [`lossd: cross_entropy of 10 logits, ${LISTS} rows`]: () =>
      lossd([lists, '--predictions', 'logits', '--targets', 'label', '--loss', 'cross_entropy']),
    ...pythonSides(),
  }
  const best = new Map<string, Measured>()
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, run] of Object.entries(sides)) {
      const measured = await run()
      const known = best.get(name)
      if (known === undefined || measured.seconds < known.seconds) best.set(name, measured)
    }
  const seconds = (name: string) => best.get(name)!.seconds
  const rows = [...best].map(([name, { seconds: s, megabytes }]) => {
    const count = name.includes('logits') ? LISTS : ROWS
    return [name, s, count / s / 1e6, megabytes]
  })
  console.log(
    markdown({
      title: 'Evaluations',
      about: `${ROWS} rows of Parquet (${Math.round(statSync(numbers).size / 2 ** 20)} MiB), slices by a key of 100 values; the fastest of ${ROUNDS} rounds, with the start of the process.`,
      head: ['what', 's', 'million rows/s', 'peak MB'],
      rows,
    }),
  )
  const hand = seconds('SQL by hand: huber')
  console.log(`
huber against SQL by hand: ${(hand / seconds('lossd: huber')).toFixed(2)} of its speed (mark: 0.8)
with bootstrap, quantiles and worst rows: ${(seconds('lossd: huber, bootstrap, quantiles, worst') / hand).toFixed(2)} x its time (mark: 3)
logistic against SQL by hand: ${(seconds('SQL by hand: logistic') / seconds('lossd: logistic')).toFixed(2)} of its speed (mark: above 1)
three losses against one: ${(seconds('lossd: huber, l1, mse') / seconds('lossd: huber')).toFixed(2)} x its time (mark: 1.5)`)
}

async function sql(loss: string): Promise<Measured> {
  const started = performance.now()
  await connection.runAndReadAll(`SELECT k, avg(${loss}) FROM '${numbers}' GROUP BY k`)
  return { seconds: (performance.now() - started) / 1000, megabytes: undefined }
}

/** A process of its own, so that its memory is its own. */
async function lossd(args: readonly string[]): Promise<Measured> {
  const started = performance.now()
  const child = spawn(process.execPath, ['--import', REPORT, CLI, 'evaluate', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let told = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    told += text
  })
  const [code] = (await once(child, 'close')) as [number]
  const peak = /peak (\d+)/.exec(told)?.[1]
  if (code !== 0 || peak === undefined) throw new Error(told)
  return { seconds: (performance.now() - started) / 1000, megabytes: Number(peak) / 1024 }
}

/** Tells the peak of its memory when it ends. */
const REPORT = `data:text/javascript,process.on('exit',()=>process.stderr.write('peak '+process.resourceUsage().maxRSS))`

/** Python's own time, without its imports. */
function pythonSides(): Record<string, Run> {
  const found: Record<string, Run> = {}
  for (const [name, { needs, code }] of Object.entries(PYTHON)) {
    const isThere = spawnSync('python3', ['-c', `import ${needs}`]).status === 0
    if (!isThere) console.log(`Python has no ${needs} here, so "${name}" is not measured`)
    else found[name] = async () => ({ seconds: python(code), megabytes: undefined })
  }
  return found
}

function python(code: string): number {
  const file = join(folder, 'side.py')
  writeFileSync(file, `import time\n${code.replaceAll('FILE', JSON.stringify(numbers))}`)
  return Number(execFileSync('python3', [file], { encoding: 'utf8' }))
}

const PYTHON = {
  'Polars, lazy: huber': {
    needs: 'polars',
    code: `import polars as pl
start = time.perf_counter()
a = (pl.col('y_hat') - pl.col('y')).abs()
pl.scan_parquet(FILE).group_by('k').agg(pl.when(a <= 1).then(0.5 * a * a).otherwise(a - 0.5).mean()).collect()
print(time.perf_counter() - start)`,
  },
  'Polars and NumPy: huber': {
    needs: 'polars, numpy',
    code: `import polars as pl, numpy as np
start = time.perf_counter()
t = pl.read_parquet(FILE)
a = np.abs(t['y_hat'].to_numpy() - t['y'].to_numpy())
t.with_columns(pl.Series('loss', np.where(a <= 1, 0.5 * a * a, a - 0.5))).group_by('k').agg(pl.col('loss').mean())
print(time.perf_counter() - start)`,
  },
  'pandas and PyTorch: huber': {
    needs: 'pandas, torch',
    code: `import pandas as pd, torch
start = time.perf_counter()
t = pd.read_parquet(FILE)
t['loss'] = torch.nn.functional.huber_loss(torch.tensor(t.y_hat.values), torch.tensor(t.y.values), reduction='none').numpy()
t.groupby('k').loss.mean()
print(time.perf_counter() - start)`,
  },
}

/** The first thing that somebody tries. */
async function small() {
  const report = join(folder, 'report.html')
  const times: number[] = []
  for (let i = 0; i < ROUNDS; i++)
    times.push((await lossd(['examples/data/predictions.parquet', '--report', report])).seconds)
  console.log(`\n10,000 rows, from the command to the report: ${Math.min(...times).toFixed(2)} s (mark: 1)`)
}

/** Requests beside a job. */
async function interactive() {
  const { server, stop } = await startService({
    LOSSD_DATASETS: folder,
    LOSSD_STORE: `file:${folder}/lossd.db`,
  })
  try {
    const alone = await percentile99(server.url)
    const body = {
      source: { path: 'numbers.parquet' },
      losses: [{ loss: 'huber' }, { loss: 'log_cosh' }],
      columns: { predictions: 'y_hat', targets: 'y' },
      by: ['k'],
      bootstrap: 1000,
    }
    const started = await post(`${server.url}/v1/evaluations`, body)
    const { id } = (await started.json()) as { id: string }
    await sleep(1500)
    const beside = await percentile99(server.url)
    const { state } = (await (await fetch(`${server.url}/v1/evaluations/${id}`)).json()) as { state: string }
    await fetch(`${server.url}/v1/evaluations/${id}`, { method: 'DELETE' })
    console.log(
      `\na request of 32 numbers: p99 ${alone.toFixed(2)} ms, beside a job (${state}) ${beside.toFixed(2)} ms: ${(beside / alone).toFixed(1)} x (mark: 3)`,
    )
  } finally {
    await stop()
  }
}

async function percentile99(url: string): Promise<number> {
  const body = { predictions: Array(32).fill(1), targets: Array(32).fill(0) }
  const times: number[] = []
  for (let i = 0; i < 3000; i++) {
    const started = performance.now()
    await (await post(`${url}/v1/losses/huber`, body)).arrayBuffer()
    // The first ones are compiled.
    if (i >= 500) times.push(performance.now() - started)
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)]!
}

function post(url: string, body: object): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}
