/** Queries for databases that cannot be run here: sqlglot parses them. */
import { execFileSync } from 'node:child_process'
import type { Loss } from '../../src/losses/define.ts'
import type { Target } from '../../src/sources/contract.ts'
import { jobsOf } from './every-source.ts'
import { pythonWith } from './runners/python-environment.ts'

/** @returns what sqlglot says of queries that it cannot parse */
export function unparsed(sql: Target, losses: readonly Loss[], dialect: string): string[] {
  const interpreter = pythonWith(['sqlglot==30.30.0'])
  const queries = losses.flatMap((loss) => {
    return jobsOf(sql, loss, 'float64', new Map(), dialect).map(({ unit, text }) => ({
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
