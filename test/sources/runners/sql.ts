/** What databases have in common: they run queries, each over a table of its own. */
import { outcomeOf, type Table, tableOf } from '../rows.ts'
import type { Runner } from './runner.ts'

/** A query over the table `t`, which has a column `place` in addition to those of its inputs. */
export interface Query {
  readonly table: Table
  readonly text: string
}

/** Column -> its numbers in the order of the rows; null is NULL. */
export type Columns = ReadonlyMap<string, readonly (number | null)[]>

export interface Database {
  /** @throws NotHere */
  run(queries: readonly Query[]): Promise<readonly Columns[]>
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
          const numbers = (name: string) => columns.get(name)!.map((number) => number ?? Number.NaN)
          const problems = nulls.map((name) => `${name} is NULL where no input is`)
          return { ...outcomeOf(unit, one, numbers), problems }
        }),
      )
    },
  }
}
