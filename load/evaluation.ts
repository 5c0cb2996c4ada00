/**
 * `npm run load:evaluation [-- --rows 50000000 --rounds 3]`: the marks of evaluations. Beside `lossd evaluate`, in the same run:
 * the SQL that a person would write by hand in DuckDB, and Polars (lazy, and with NumPy) and pandas with PyTorch if the Python of
 * LOSSD_BENCH_PYTHON (default: python3) has them. The data is made in a temporary folder. The sides run in turn, and the fastest
 * time of each counts.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
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
const PYTHON = process.env.LOSSD_BENCH_PYTHON ?? 'python3'

const folder = mkdtempSync(join(tmpdir(), 'lossd-evaluation-'))
const [numbers, lists] = [join(folder, 'numbers.parquet'), join(folder, 'lists.parquet')]
const database = await DuckDBInstance.create(':memory:')
const connection = await database.connect()
async function writeData() {
  const random = (salt: number) => `(hash(i + ${salt * 1_000_000_007}) % 1000003) / 1000003.0`
  await connection.run(`COPY (SELECT ${random(1)} * 4 - 2 AS y_hat, ${random(2)} * 4 - 2 AS y,
    (hash(i + 5) % 2)::DOUBLE AS clicked, (hash(i * 3) % 100)::INTEGER AS k FROM range(${ROWS}) r(i))
    TO '${numbers}' (FORMAT parquet)`)
  const logits = Array.from({ length: 10 }, (_, i) => `(${random(i + 1)} * 6 - 3)::FLOAT`)
  await connection.run(`COPY (SELECT [${logits.join(', ')}] AS logits, (i % 10)::INTEGER AS label
    FROM range(${LISTS}) r(i)) TO '${lists}' (FORMAT parquet)`)
}

interface Measured {
  /** With the start of the process. */
  readonly seconds: number
  /** Without it, where the side says so. */
  readonly inside?: number | undefined
  readonly megabytes?: number | undefined
}

type Run = () => Promise<Measured>

const HUBER =
  'CASE WHEN abs(y_hat - y) <= 1 THEN 0.5 * (y_hat - y) * (y_hat - y) ELSE abs(y_hat - y) - 0.5 END'
const LOGISTIC = 'greatest(y_hat, 0) - y_hat * clicked + ln(1 + exp(-abs(y_hat)))'

function sides(): Record<string, Run> {
  const by = [numbers, '--predictions', 'y_hat', '--by', 'k', '--targets']
  const huber = [...by, 'y', '--loss', 'huber']
  const logits = [lists, '--predictions', 'logits', '--targets', 'label', '--loss', 'cross_entropy']
  return {
    'SQL by hand: huber': () => sql(HUBER),
    'lossd: huber': () => lossd(huber),
    'lossd: huber, bootstrap, quantiles, worst': () =>
      lossd([...huber, '--bootstrap', '1000', '--quantiles', '0.5,0.9,0.99', '--worst', '20']),
    'lossd: huber, l1, mse': () => lossd([...huber, '--loss', 'l1', '--loss', 'mse']),
    'SQL by hand: logistic': () => sql(LOGISTIC),
    'lossd: logistic': () => lossd([...by, 'clicked', '--loss', 'binary_cross_entropy_with_logits']),
    'lossd: cross_entropy of 10 logits': () => lossd(logits),
    ...pythonSides(),
  }
}

async function compare() {
  const best = new Map<string, Measured>()
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, run] of Object.entries(sides())) {
      const measured = await run()
      const known = best.get(name)
      if (known === undefined || measured.seconds < known.seconds) best.set(name, measured)
    }
  const rows = [...best].map(([name, { seconds, inside, megabytes }]) => {
    const count = name.includes('logits') ? LISTS : ROWS
    return [name, seconds, inside, count / seconds / 1e6, megabytes]
  })
  console.log(
    markdown({
      title: 'Evaluations',
      about: `${ROWS} rows of Parquet (${Math.round(statSync(numbers).size / 2 ** 20)} MiB), slices by a key of 100 values; ${LISTS} rows with 10 logits; ${availableParallelism()} cores; the fastest of ${ROUNDS} rounds, with the start of the process and without it.`,
      head: ['what', 's', 's, without start', 'million rows/s', 'peak MB'],
      rows,
    }),
  )
  showMarks(best)
}

/** What was asked of evaluations, and what they did. SQL is taken without the start of its process, and with it. */
function showMarks(best: ReadonlyMap<string, Measured>) {
  const seconds = (name: string) => best.get(name)!.seconds
  const [huber, all, three, logistic] = [
    'huber',
    'huber, bootstrap, quantiles, worst',
    'huber, l1, mse',
    'logistic',
  ].map((name) => seconds(`lossd: ${name}`)) as [number, number, number, number]
  const against = (side: string, measured: (hand: number) => number) => {
    const { inside = 0, seconds: whole } = best.get(`SQL by hand: ${side}`)!
    return [measured(whole), measured(inside)]
  }
  const megabytes = Math.max(
    ...[...best].map(([name, one]) => (name.startsWith('lossd') ? (one.megabytes ?? 0) : 0)),
  )
  const rows = [
    [
      'huber by slice: share of the speed of SQL by hand',
      '>= 0.8',
      ...against('huber', (hand) => hand / huber),
    ],
    [
      'with bootstrap, quantiles, worst rows: times SQL by hand',
      '<= 3',
      ...against('huber', (hand) => all / hand),
    ],
    [
      'logistic by slice: share of the speed of SQL by hand',
      '> 1',
      ...against('logistic', (hand) => hand / logistic),
    ],
    ['three losses: times one', '<= 1.5', three / huber],
    ['10 logits: million rows/s', '>= 4', LISTS / seconds('lossd: cross_entropy of 10 logits') / 1e6],
    ['memory, MB', '<= 400', megabytes],
  ]
  console.log(
    markdown({
      title: 'Marks',
      about:
        'SQL by hand is DuckDB in a process of its own, whose start counts first, and does not count then.',
      head: ['what', 'mark', 'measured', 'without the start of SQL'],
      rows,
    }),
  )
}

/** DuckDB in a process of its own, as a script of a few lines. */
async function sql(loss: string): Promise<Measured> {
  const script = `import { DuckDBInstance } from ${JSON.stringify(import.meta.resolve('@duckdb/node-api'))}
const connection = await (await DuckDBInstance.create(':memory:')).connect()
const started = performance.now()
const reader = await connection.runAndReadAll(${JSON.stringify(`SELECT k, avg(${loss}) FROM '${numbers}' GROUP BY k ORDER BY k`)})
reader.getRows()
console.error('inside ' + (performance.now() - started))`
  return run(['--input-type=module', '-e', script])
}

function lossd(args: readonly string[]): Promise<Measured> {
  return run([resolve(CLI), 'evaluate', ...args])
}

/** A process of its own, so that its memory is its own. */
async function run(args: readonly string[]): Promise<Measured> {
  const started = performance.now()
  const child = spawn(process.execPath, ['--import', REPORT, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let told = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    told += text
  })
  const [code] = (await once(child, 'close')) as [number]
  const [peak, inside] = [/peak (\d+)/, /inside ([\d.]+)/].map((pattern) => pattern.exec(told)?.[1])
  if (code !== 0 || peak === undefined) throw new Error(told)
  return {
    seconds: (performance.now() - started) / 1000,
    inside: inside === undefined ? undefined : Number(inside) / 1000,
    megabytes: Number(peak) / 1024,
  }
}

/** Tells the peak of its memory when it ends. */
const REPORT = `data:text/javascript,process.on('exit',()=>process.stderr.write('peak '+process.resourceUsage().maxRSS))`

/** What else people would write. */
function pythonSides(): Record<string, Run> {
  const found: Record<string, Run> = {}
  for (const [name, { needs, code }] of Object.entries(IN_PYTHON)) {
    if (isMissing(needs)) console.log(`${PYTHON} has no ${needs}, so "${name}" is not measured`)
    else found[name] = async () => python(code)
  }
  return found
}

const missing = new Map<string, boolean>()

function isMissing(modules: string): boolean {
  const known = missing.get(modules) ?? spawnSync(PYTHON, ['-c', `import ${modules}`]).status !== 0
  missing.set(modules, known)
  return known
}

function python(code: string): Measured {
  const file = join(folder, 'side.py')
  writeFileSync(file, `import time\n${code.replaceAll('FILE', JSON.stringify(numbers))}`)
  const started = performance.now()
  const inside = Number(execFileSync(PYTHON, [file], { encoding: 'utf8' }))
  return { seconds: (performance.now() - started) / 1000, inside }
}

const IN_PYTHON = {
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

try {
  await writeData()
  await compare()
  await small()
  await interactive()
} finally {
  connection.closeSync()
  rmSync(folder, { recursive: true })
}
