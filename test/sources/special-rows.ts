/** What is promised of each row of a table, whatever stands in it: no query is aborted, and NULL stays NULL. */
import type { Loss } from '../../src/losses/define.ts'
import type { Target } from '../../src/sources/contract.ts'
import { randomFrom } from '../support/sample.ts'
import { jobsOf } from './every-source.ts'
import type { Table } from './rows.ts'
import { columnsOf } from './rows.ts'
import type { Database } from './runners/sql.ts'

const SPECIAL = [
  null,
  Number.NaN,
  Infinity,
  -Infinity,
  0,
  -0,
  Number.MAX_VALUE,
  -Number.MAX_VALUE,
  Number.MIN_VALUE,
  2 ** -1022,
  1e-200,
  -1e200,
  0.5,
  1,
  -1,
  2,
  1 - 2 ** -53,
  710,
  -746,
]
const MOST_ROWS = 600

/** @returns what goes wrong, a sentence each */
export async function specialRows(
  sql: Target,
  losses: readonly Loss[],
  dialect: string,
  database: Database,
): Promise<string[]> {
  const jobs = losses
    .filter(({ couples }) => couples === 'element')
    .flatMap((loss) => jobsOf(sql, loss, 'float64', new Map(), dialect))
  const queries = jobs.map(({ unit, text }) => ({
    text,
    table: tableOf(Object.values(columnsOf(unit)).flat()),
  }))
  const found = await database.run(queries)
  return jobs.flatMap(({ unit }, place) => {
    const { table } = queries[place]!
    return [...found[place]!].flatMap(([name, numbers]) => {
      const row = numbers.findIndex((number, at) => (number === null) !== isNullIn(table, at))
      if (row < 0 && numbers.length === table.rows) return []
      const given = [...table.columns].map(([column, own]) => `${column} ${own[row]}`)
      return [`${unit.label}: ${name} is ${numbers[row]} where ${given.join(', ')}`]
    })
  })
}

/** Every combination, or so many of them. */
function tableOf(names: readonly string[]): Table {
  const random = randomFrom(names.length)
  const all = SPECIAL.length ** names.length
  const rows = Math.min(all, MOST_ROWS)
  const picks = Array.from({ length: rows }, (_, row) =>
    all <= MOST_ROWS ? row : Math.floor(random() * all),
  )
  const columns = names.map((name, place) => {
    const of = (pick: number) => SPECIAL[Math.floor(pick / SPECIAL.length ** place) % SPECIAL.length]!
    return [name, picks.map(of)] as const
  })
  return { columns: new Map(columns), rows }
}

function isNullIn({ columns }: Table, row: number): boolean {
  return [...columns.values()].some((numbers) => numbers[row] === null)
}
