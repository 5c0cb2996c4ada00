/** Runs queries in Spark, in a session of its own. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromHex, toHex } from '../doubles.ts'
import { outcomeOf, tableOf } from '../rows.ts'
import { pythonWith } from './python-environment.ts'
import { NotHere, type Runner } from './runner.ts'

export const spark: Runner = {
  run: async (jobs) => {
    const interpreter = pythonWith(['numpy==2.4.6', 'pyspark==4.3.0'])
    try {
      execFileSync('java', ['-version'], { stdio: 'pipe' })
    } catch {
      throw new NotHere('Java is missing')
    }
    const folder = mkdtempSync(join(tmpdir(), 'lossd-sources-'))
    try {
      const tables = jobs.flatMap(({ unit, text }) => {
        return unit.cases.map((one) => {
          const { columns, rows } = tableOf(unit, one)
          const hex = [...columns].map(([name, numbers]) => [name, toHex(numbers)] as const)
          return { text, rows, columns: Object.fromEntries(hex) }
        })
      })
      writeFileSync(join(folder, 'jobs.json'), JSON.stringify(tables))
      const driver = new URL('../drivers/spark_driver.py', import.meta.url).pathname
      const printed = execFileSync(interpreter, [driver, join(folder, 'jobs.json')], {
        encoding: 'utf8',
        maxBuffer: 2 ** 30,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const answers: Record<string, string>[] = JSON.parse(printed.slice(printed.indexOf('ANSWERS') + 7))
      let next = 0
      return jobs.map(({ unit }) =>
        unit.cases.map((one) => {
          const own = answers[next++]!
          return outcomeOf(unit, one, (name) => fromHex(own[name]!))
        }),
      )
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}
