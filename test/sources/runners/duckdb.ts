/** Runs queries in DuckDB, in this process. */
import { DuckDBInstance } from '@duckdb/node-api'
import { outcomeOf, type Table, tableOf } from '../rows.ts'
import type { Runner } from './runner.ts'

export const duckdb: Runner = {
  run: async (jobs) => {
    const instance = await DuckDBInstance.create()
    const connection = await instance.connect()
    const outcomes = []
    for (const { unit, text } of jobs) {
      const own = []
      for (const one of unit.cases) {
        await fill(connection, tableOf(unit, one))
        const reader = await connection.runAndReadAll(`SELECT * FROM (${text}) ORDER BY place`)
        const columns = reader.getColumnsObject()
        own.push(outcomeOf(unit, one, (name) => columns[name] as number[]))
      }
      outcomes.push(own)
    }
    connection.closeSync()
    instance.closeSync()
    return outcomes
  },
}

type Connection = Awaited<ReturnType<DuckDBInstance['connect']>>

async function fill(connection: Connection, { columns, rows }: Table) {
  const declared = [...columns.keys()].map((name) => `"${name}" DOUBLE`)
  await connection.run(`CREATE OR REPLACE TABLE t (place INTEGER, ${declared.join(', ')})`)
  const appender = await connection.createAppender('t')
  for (let row = 0; row < rows; row++) {
    appender.appendInteger(row)
    for (const numbers of columns.values()) appender.appendDouble(numbers[row]!)
    appender.endRow()
  }
  appender.closeSync()
}
