/**
 * A database that cannot be run here: sqlglot reads its queries and says them as DuckDB does, which runs them. That shows
 * what a query computes. That nothing in it raises an error is shown in PostgreSQL, with which Snowflake shares its arithmetic.
 */
import { execFileSync } from 'node:child_process'
import { duckdb } from './duckdb.ts'
import { pythonWith } from './python-environment.ts'
import { type Database, sqlRunner } from './sql.ts'

export const snowflake: Database = {
  run: async (queries) => {
    const texts = [...new Set(queries.map(({ text }) => text))]
    const said = translate('snowflake', texts)
    return duckdb.run(queries.map((query) => ({ ...query, text: said.get(query.text)! })))
  },
}

export const snowflakeRunner = sqlRunner(snowflake)

function translate(dialect: string, queries: readonly string[]): ReadonlyMap<string, string> {
  const interpreter = pythonWith(['sqlglot==30.30.0'])
  const driver = new URL('../drivers/translate_sql.py', import.meta.url).pathname
  const input = JSON.stringify({ dialect, queries })
  const printed = execFileSync(interpreter, [driver], { input, encoding: 'utf8', maxBuffer: 2 ** 30 })
  const found: string[] = JSON.parse(printed)
  return new Map(queries.map((text, place) => [text, found[place]!]))
}
