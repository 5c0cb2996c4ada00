/**
 * Writes examples/data/predictions.parquet: ten thousand predictions of two models, for `lossd evaluate`. The numbers are
 * drawn with a fixed seed, so the file is the same each time.
 *
 * `npx tsx examples/predictions.ts`
 */
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'

const FILE = fileURLToPath(new URL('data/predictions.parquet', import.meta.url))
const ROWS = 10_000
/** Regions, the size of the noise that the first model leaves there, and what the second one makes of it. */
const REGIONS = [
  { name: 'east', noise: 2, better: 0.8 },
  { name: 'north', noise: 3, better: 0.85 },
  { name: 'south', noise: 4, better: 1.1 },
  { name: 'west', noise: 2.5, better: 1 },
] as const

const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
const connection = await instance.connect()
await connection.run(
  'CREATE TABLE t (customer INTEGER, region VARCHAR, month INTEGER, y FLOAT, y_hat FLOAT, y_hat_b FLOAT, weight FLOAT)',
)
const appender = await connection.createAppender('t')
const random = randomNumbers(2026)
for (let row = 0; row < ROWS; row++) {
  const { name, noise, better } = REGIONS[Math.floor(random.uniform() * REGIONS.length)]!
  const month = 1 + Math.floor(random.uniform() * 6)
  const level = 40 + 10 * Math.sin(month) + 15 * random.normal()
  // What neither model can know, and outliers, as orders have them.
  const common = noise * random.normal() * (random.uniform() < 0.02 ? 8 : 1)
  appender.appendInteger(1 + Math.floor(random.uniform() * 1500))
  appender.appendVarchar(name)
  appender.appendInteger(month)
  appender.appendFloat(rounded(level + common))
  appender.appendFloat(rounded(level + noise * random.normal()))
  appender.appendFloat(rounded(level + noise * better * random.normal()))
  appender.appendFloat(rounded(0.5 + random.uniform()))
  appender.endRow()
}
appender.closeSync()
rmSync(FILE, { force: true })
await connection.run(`COPY t TO '${FILE.replaceAll("'", "''")}' (FORMAT parquet, COMPRESSION zstd)`)

function rounded(x: number): number {
  return Math.round(x * 100) / 100
}

function randomNumbers(seed: number) {
  let state = seed
  const uniform = () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
  return { uniform, normal }
}
