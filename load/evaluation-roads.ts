/**
 * `npm run load:evaluation-roads [-- --rows 10000000 --rounds 3]`: what a row costs on each of the two roads of an evaluation,
 * by loss and by who reads the file, and which one `auto` takes. Of each, the processor time of a process of its own counts,
 * without that of a process that evaluates nothing to speak of: on a machine that is busy, it says more than a clock.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { markdown } from './table.ts'

const { values: flags } = parseArgs({
  options: { rows: { type: 'string', default: '10000000' }, rounds: { type: 'string', default: '3' } },
})
const ROWS = Number(flags.rows)
const ROUNDS = Number(flags.rounds)
const CLI = resolve('dist/cli.js')
const EXAMPLE = resolve('examples/data/predictions.parquet')
const folder = mkdtempSync(join(tmpdir(), 'lossd-roads-'))

const regression = ['--predictions', 'y_hat', '--targets', 'y']
const LOSSES: Readonly<Record<string, readonly string[]>> = {
  huber: ['--loss', 'huber', ...regression],
  'huber, l1 and mse': ['--loss', 'huber', '--loss', 'l1', '--loss', 'mse', ...regression],
  quantile: ['--loss', 'quantile', ...regression],
  log_cosh: ['--loss', 'log_cosh', ...regression],
  barron_robust: ['--loss', 'barron_robust:alpha=0.5', ...regression],
  binary_cross_entropy_with_logits: [
    ...['--loss', 'binary_cross_entropy_with_logits', '--predictions', 'y_hat', '--targets', 'clicked'],
  ],
}

/** Who reads a file: we, or DuckDB because of something in it. */
const FILES: Readonly<Record<string, string>> = {
  'Parquet that is read here': `SELECT * FROM rows) TO '${join(folder, '0.parquet')}' (FORMAT parquet)`,
  'Parquet of decimals': `SELECT y_hat::DECIMAL(9, 6) AS y_hat, y::DECIMAL(9, 6) AS y, clicked::DECIMAL(9, 6) AS clicked, k
    FROM rows) TO '${join(folder, '1.parquet')}' (FORMAT parquet)`,
  'Parquet by a timestamp': `SELECT * REPLACE (TIMESTAMP '2026-01-01' + k * INTERVAL 1 DAY AS k)
    FROM rows) TO '${join(folder, '2.parquet')}' (FORMAT parquet)`,
  CSV: `SELECT * FROM rows) TO '${join(folder, '3.csv')}'`,
}
const pathOf = (place: number) => join(folder, `${place}.${place === 3 ? 'csv' : 'parquet'}`)

async function writeFiles() {
  const database = await DuckDBInstance.create(':memory:')
  const connection = await database.connect()
  const random = (salt: number) => `(hash(i + ${salt * 1_000_000_007}) % 1000003) / 1000003.0`
  await connection.run(`CREATE VIEW rows AS SELECT ${random(1)} * 4 - 2 AS y_hat, ${random(2)} * 4 - 2 AS y,
    (hash(i + 5) % 2)::DOUBLE AS clicked, (hash(i * 3) % 100)::INTEGER AS k FROM range(${ROWS}) r(i)`)
  for (const query of Object.values(FILES)) await connection.run(`COPY (${query}`)
  connection.closeSync()
}

const REPORT = `data:text/javascript,process.on('exit',()=>{const{userCPUTime:u,systemCPUTime:s}=process.resourceUsage();process.stderr.write('cpu '+(u+s))})`

interface Ran {
  /** Of the processor, in ns. */
  readonly ns: number
  readonly by: string
}

function evaluated(args: readonly string[]): Ran {
  const all = ['--import', REPORT, CLI, 'evaluate', ...args, '--json']
  const { status, stdout, stderr } = spawnSync(process.execPath, all, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  const micros = /cpu ([\d.]+)$/.exec(stderr)?.[1]
  if (status !== 0 || micros === undefined) throw new Error(stderr)
  return { ns: Number(micros) * 1000, by: (JSON.parse(stdout) as { computed_by: string }).computed_by }
}

/** The road that `auto` has taken, and whether it was measured. */
function nameOf(by: string): string {
  return `${by.startsWith('DuckDB') ? 'SQL' : 'kernels'}${by.includes('cheaper') ? ', measured' : ''}`
}

/** Of all three, in turn. */
function compared(path: string, loss: readonly string[], start: number) {
  const best = {
    kernels: Number.POSITIVE_INFINITY,
    sql: Number.POSITIVE_INFINITY,
    auto: Number.POSITIVE_INFINITY,
  }
  const taken = new Set<string>()
  for (let round = 0; round < ROUNDS; round++)
    for (const road of ['kernels', 'sql', 'auto'] as const) {
      const { ns, by } = evaluated([path, ...loss, '--by', 'k', '--road', road])
      best[road] = Math.min(best[road], (ns - start) / ROWS)
      if (road === 'auto') taken.add(nameOf(by))
    }
  return [best.kernels, best.sql, best.auto, [...taken].join(' or ')]
}

try {
  await writeFiles()
  const start = Math.min(...Array.from({ length: ROUNDS }, () => evaluated([EXAMPLE, ...LOSSES.huber!]).ns))
  const rows = Object.keys(FILES).flatMap((file, place) =>
    Object.entries(LOSSES).map(([loss, args]) => [file, loss, ...compared(pathOf(place), args, start)]),
  )
  console.log(
    markdown({
      title: 'Roads',
      about: `ns of the processor for a row, of ${ROWS} rows by a key of 100 values; ${availableParallelism()} cores; the least of ${ROUNDS} rounds, without the start of the process.`,
      head: ['file', 'loss', 'kernels', 'SQL', 'auto', 'auto takes'],
      rows,
    }),
  )
} finally {
  rmSync(folder, { recursive: true })
}
