/** Runs queries in a PostgreSQL server of the machine's own package. */
import pg from 'pg'
import { Cluster, findPostgres } from '../../store/cluster.ts'
import type { Table } from '../rows.ts'
import { NotHere } from './runner.ts'
import { type Columns, type Database, sqlRunner } from './sql.ts'

export const postgres: Database = {
  run: async (queries) => {
    const bin = findPostgres()
    if (bin === undefined) throw new NotHere('PostgreSQL is missing')
    const cluster = new Cluster(bin)
    await cluster.start()
    const client = new pg.Client(cluster.createDatabase())
    await client.connect()
    try {
      const found: Columns[] = []
      for (const { table, text } of queries) {
        await fill(client, table)
        const { rows, fields } = await client.query(`SELECT * FROM (${text}) AS found ORDER BY place`)
        const numbers = (name: string) => rows.map((row) => (row[name] === null ? null : Number(row[name])))
        const added = fields.slice(1 + table.columns.size)
        found.push(new Map(added.map(({ name }) => [name, numbers(name)])))
      }
      return found
    } finally {
      await client.end()
      await cluster.remove()
    }
  },
}

export const postgresRunner = sqlRunner(postgres)

async function fill(client: pg.Client, { columns, rows }: Table) {
  const declared = [...columns.keys()].map((name) => `"${name}" float8`)
  await client.query(`DROP TABLE IF EXISTS t; CREATE TABLE t (place integer, ${declared.join(', ')})`)
  const values = [
    Array.from({ length: rows }, (_, place) => place),
    // As text, 0 has no sign.
    ...[...columns.values()].map((numbers) => Array.from(numbers, (x) => (Object.is(x, -0) ? '-0' : x))),
  ]
  const lists = values.map((_, place) => `$${place + 1}::${place === 0 ? 'integer' : 'float8'}[]`)
  await client.query(`INSERT INTO t SELECT * FROM unnest(${lists.join(', ')})`, values)
}
