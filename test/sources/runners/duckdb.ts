/** Runs queries in DuckDB, in this process. */
import { DuckDBInstance } from '@duckdb/node-api'
import type { Table } from '../rows.ts'
import { type Columns, type Database, sqlRunner } from './sql.ts'

export const duckdb: Database = {
  run: async (queries) => {
    const instance = await DuckDBInstance.create()
    const connection = await instance.connect()
    const found: Columns[] = []
    for (const { table, text } of queries) {
      await fill(connection, table)
      const reader = await connection.runAndReadAll(`SELECT * FROM (${text}) ORDER BY place`)
      const columns = reader.getColumns() as (number | null)[][]
      const all = reader.columnNames().map((name, place) => [name, columns[place]!] as const)
      found.push(new Map(all.slice(1 + table.columns.size)))
    }
    connection.closeSync()
    instance.closeSync()
    return found
  },
}

export const duckdbRunner = sqlRunner(duckdb)

type Connection = Awaited<ReturnType<DuckDBInstance['connect']>>

async function fill(connection: Connection, { columns, rows }: Table) {
  const declared = [...columns.keys()].map((name) => `"${name}" DOUBLE`)
  await connection.run(`CREATE OR REPLACE TABLE t (place INTEGER, ${declared.join(', ')})`)
  const appender = await connection.createAppender('t')
  for (let row = 0; row < rows; row++) {
    appender.appendInteger(row)
    for (const numbers of columns.values()) {
      const number = numbers[row]!
      if (number === null) appender.appendNull()
      else appender.appendDouble(number)
    }
    appender.endRow()
  }
  appender.closeSync()
}
