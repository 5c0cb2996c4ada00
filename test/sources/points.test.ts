/** What is promised of queries at the ends of the doubles, in the databases that every machine of ours has. */
import { describe, expect, it } from 'vitest'
import { customLoss } from '../../src/losses/custom.ts'
import { TARGETS } from '../../src/sources/targets.ts'
import { writeSource } from '../../src/sources/write.ts'
import { findPostgres } from '../store/cluster.ts'
import { pointFailures } from './points.ts'
import { duckdb } from './runners/duckdb.ts'
import { postgres } from './runners/postgres.ts'

const sql = TARGETS.find(({ name }) => name === 'sql')!
const inputs = { predictions: { differentiable: true }, targets: { differentiable: true } }
const databases = [
  { dialect: 'duckdb', database: duckdb, isHere: true },
  { dialect: 'postgres', database: postgres, isHere: findPostgres() !== undefined },
]

describe.each(databases)('a query for $dialect', ({ dialect, database, isHere }) => {
  it.runIf(isHere)(
    "has the service's numbers where the arithmetic ends",
    async () => {
      expect(await pointFailures(sql, dialect, database)).toEqual([])
    },
    60_000,
  )

  it.runIf(isHere)(
    'does not abort at a wave of an infinite column',
    async () => {
      const formulas = [
        'sin(predictions) - targets',
        'cos(abs(predictions)) * sin(targets / 2)',
        'sin(tanh(predictions)) + targets',
      ]
      const numbers = [Infinity, -Infinity, Number.NaN, 1]
      const columns = new Map([
        ['predictions', numbers],
        ['targets', numbers],
      ])
      const queries = formulas.map((formula) => {
        const loss = customLoss({ inputs, formula }, 'waves')
        const { text } = writeSource(sql, { loss, params: {}, options: { dialect } })
        return { text, table: { columns, rows: numbers.length } }
      })
      const found = await database.run(queries)
      expect(found[0]!.get('loss')!.slice(0, 3)).toEqual([Number.NaN, Number.NaN, Number.NaN])
      expect(found[2]!.get('gradient_targets')).toEqual([1, 1, 1, 1])
    },
    60_000,
  )

  it.runIf(isHere)(
    'tells names apart that are longer than those of the database',
    async () => {
      const long = 'x'.repeat(70)
      const formula = `${long}a = exp(predictions)\n${long}b = exp(targets)\n${long}a * ${long}b + ${long}a^2 * ${long}b`
      const loss = customLoss({ inputs, formula }, 'long')
      const { text } = writeSource(sql, { loss, params: {}, options: { dialect } })
      const columns = new Map([
        ['predictions', [0]],
        ['targets', [0]],
      ])
      const [found] = await database.run([{ text, table: { columns, rows: 1 } }])
      expect(found!.get('loss')).toEqual([2])
      expect(found!.get('gradient_predictions')).toEqual([3])
    },
    60_000,
  )
})
