/** What databases have in common: they run queries, each over a table of its own. */
import { outcomeOf, type Table, tableOf } from '../rows.ts'
import type { Runner } from './runner.ts'

/** A query over the table `t`, which has a column `place` in addition to those of its inputs. */
export interface Query {
  readonly table: Table
  readonly text: string
}

/** Column that the query adds -> its numbers in the order of the rows; null is NULL. */
export type Columns = ReadonlyMap<string, readonly (number | null)[]>

export interface Database {
  /** @throws NotHere */
  run(queries: readonly Query[]): Promise<readonly Columns[]>
}

/** A database that is asked each text once, over the rows of all its tables, one after the other. */
export function oncePerText({ run }: Database): Database {
  return {
    run: async (queries) => {
      const ofText = new Map<string, number[]>()
      for (const [place, { text }] of queries.entries())
        ofText.set(text, [...(ofText.get(text) ?? []), place])
      const tables = (places: readonly number[]) => places.map((place) => queries[place]!.table)
      const joined = [...ofText].map(([text, places]) => ({ text, table: oneAfterTheOther(tables(places)) }))
      const found = await run(joined)
      const answers: Columns[] = []
      for (const [at, places] of [...ofText.values()].entries()) {
        let first = 0
        for (const place of places) {
          const end = first + queries[place]!.table.rows
          answers[place] = rowsOf(found[at]!, first, end)
          first = end
        }
      }
      return answers
    },
  }
}

function oneAfterTheOther(tables: readonly Table[]): Table {
  const names = [...tables[0]!.columns.keys()]
  const columns = names.map((name) => {
    return [name, tables.flatMap(({ columns: own }) => Array.from(own.get(name)!))] as const
  })
  return { columns: new Map(columns), rows: tables.reduce((total, { rows }) => total + rows, 0) }
}

function rowsOf(columns: Columns, first: number, end: number): Columns {
  return new Map([...columns].map(([name, numbers]) => [name, numbers.slice(first, end)]))
}

/** Runs the sources of a dialect. */
export function sqlRunner(database: Database): Runner {
  return {
    run: async (jobs) => {
      const queries = jobs.flatMap(({ unit, text }) =>
        unit.cases.map((one) => ({ table: tableOf(unit, one), text })),
      )
      const found = await database.run(queries)
      let next = 0
      return jobs.map(({ unit }) =>
        unit.cases.map((one) => {
          const columns = found[next++]!
          const nulls = [...columns].filter(([, numbers]) => numbers.includes(null)).map(([name]) => name)
          const numbers = [...columns.values()].map((column) => column.map((number) => number ?? Number.NaN))
          const problems = nulls.map((name) => `${name} is NULL where no input is`)
          return { ...outcomeOf(unit, one, numbers), problems }
        }),
      )
    },
  }
}
