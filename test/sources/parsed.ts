/** Queries for databases that cannot be run here: sqlglot parses them. */
import { execFileSync } from 'node:child_process'
import type { Loss } from '../../src/losses/define.ts'
import type { Target } from '../../src/sources/contract.ts'
import { jobsOf } from './every-source.ts'
import { pythonWith } from './runners/python-environment.ts'

/** The default request of each loss of elements: sqlglot takes seconds for a long query. @returns what sqlglot says of queries that it cannot parse */
export function unparsed(sql: Target, losses: readonly Loss[], dialect: string): string[] {
  const interpreter = pythonWith(['sqlglot==30.30.0'])
  const queries = losses
    .filter(({ couples }) => couples === 'element')
    .flatMap((loss) => {
      const jobs = jobsOf(sql, loss, 'float64', new Map(), dialect).slice(0, 1)
      return jobs.map(({ unit, text }) => ({
        label: unit.label,
        dialect,
        text,
      }))
    })
  const driver = new URL('drivers/parse_sql.py', import.meta.url).pathname
  const input = JSON.stringify(queries)
  const printed = execFileSync(interpreter, [driver], { input, encoding: 'utf8', maxBuffer: 2 ** 30 })
  return printed.split('\n').filter((line) => line !== '')
}
