/** Runs queries in a PostgreSQL server of the machine's own package. */
import pg from 'pg'
import { Cluster, findPostgres } from '../../store/cluster.ts'
import { outcomeOf, type Table, tableOf } from '../rows.ts'
import { NotHere, type Outcome, type Runner } from './runner.ts'

export const postgres: Runner = {
  run: async (jobs) => {
    const bin = findPostgres()
    if (bin === undefined) throw new NotHere('PostgreSQL is missing')
    const cluster = new Cluster(bin)
    await cluster.start()
    const client = new pg.Client(cluster.createDatabase())
    await client.connect()
    try {
      const outcomes: Outcome[][] = []
      for (const { unit, text } of jobs) {
        const own: Outcome[] = []
        for (const one of unit.cases) {
          await fill(client, tableOf(unit, one))
          const { rows } = await client.query(`SELECT * FROM (${text}) AS found ORDER BY place`)
          own.push(outcomeOf(unit, one, (name) => rows.map((row) => Number(row[name]))))
        }
        outcomes.push(own)
      }
      return outcomes
    } finally {
      await client.end()
      await cluster.remove()
    }
  },
}

async function fill(client: pg.Client, { columns, rows }: Table) {
  const declared = [...columns.keys()].map((name) => `"${name}" float8`)
  await client.query(`DROP TABLE IF EXISTS t; CREATE TABLE t (place integer, ${declared.join(', ')})`)
  const values = [
    Array.from({ length: rows }, (_, place) => place),
    ...[...columns.values()].map((numbers) => [...numbers]),
  ]
  const lists = values.map((_, place) => `$${place + 1}::${place === 0 ? 'integer' : 'float8'}[]`)
  await client.query(`INSERT INTO t SELECT * FROM unnest(${lists.join(', ')})`, values)
}
