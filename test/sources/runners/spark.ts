/** Runs queries in Spark, in a session of its own. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromHex, toHex } from '../doubles.ts'
import type { Table } from '../rows.ts'
import { pythonWith } from './python-environment.ts'
import { NotHere } from './runner.ts'
import { type Database, oncePerText, sqlRunner } from './sql.ts'

/** Most of the time goes into planning and compiling a query, so each is run once, over all of its tables. */
export const spark: Database = oncePerText({
  run: async (queries) => {
    const interpreter = pythonWith(['numpy==2.4.6', 'pyspark==4.3.0'])
    try {
      execFileSync('java', ['-version'], { stdio: 'pipe' })
    } catch {
      throw new NotHere('Java is missing')
    }
    const folder = mkdtempSync(join(tmpdir(), 'lossd-sources-'))
    try {
      const jobs = queries.map(({ text, table }) => ({
        text,
        rows: table.rows,
        columns: packedColumns(table),
      }))
      writeFileSync(join(folder, 'jobs.json'), JSON.stringify(jobs))
      const driver = new URL('../drivers/spark_driver.py', import.meta.url).pathname
      const printed = execFileSync(interpreter, [driver, join(folder, 'jobs.json')], {
        encoding: 'utf8',
        maxBuffer: 2 ** 30,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const answers: Record<string, Packed>[] = JSON.parse(printed.slice(printed.indexOf('ANSWERS') + 7))
      return answers.map((columns) => {
        return new Map(Object.entries(columns).map(([name, numbers]) => [name, unpacked(numbers)]))
      })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
})

export const sparkRunner = sqlRunner(spark)

/** Numbers, and the places that are NULL. */
interface Packed {
  readonly hex: string
  readonly nulls: readonly number[]
}

function packedColumns({ columns }: Table): Record<string, Packed> {
  return Object.fromEntries(
    [...columns].map(([name, numbers]) => [name, packed(Array.from(numbers))] as const),
  )
}

function packed(numbers: readonly (number | null)[]): Packed {
  const nulls = numbers.flatMap((number, place) => (number === null ? [place] : []))
  return { hex: toHex(numbers.map((number) => number ?? 0)), nulls }
}

function unpacked({ hex, nulls }: Packed): (number | null)[] {
  const areNull = new Set(nulls)
  return Array.from(fromHex(hex), (number, place) => (areNull.has(place) ? null : number))
}
