/** Formulas and the finite numbers at which databases raise errors or leave IEEE 754: the service's answers are promised there, too. */
import { interpret } from '../../src/language/interpret.ts'
import { customLoss } from '../../src/losses/custom.ts'
import type { Target } from '../../src/sources/contract.ts'
import { writeSource } from '../../src/sources/write.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { check } from '../support/evaluate.ts'
import { allowedIn, compare } from './compare.ts'
import type { Table } from './rows.ts'
import type { Database } from './runners/sql.ts'

type Point = readonly [predictions: number, targets: number]

/** Formula -> its points. */
const POINTS: Readonly<Record<string, readonly Point[]>> = {
  'sin(predictions * 1e300 * 1e300) - cos(targets / 2)': [
    [1, 2],
    [0, 0],
  ],
  'abs(log(predictions) - targets)': [[-1, 1]],
  'a = predictions / targets\n(a + 1) / targets': [
    [0, 0],
    [-3, 0],
  ],
}

const inputs = { predictions: { differentiable: true }, targets: { differentiable: true } }

/** Queries whose numbers are the service's, but for the last digits of functions. */
const BOUNDS = { tolerance: 1e-12, smallest: 1e-290 }

/** @returns what is wrong, a sentence each */
export async function pointFailures(sql: Target, dialect: string, database: Database): Promise<string[]> {
  const formulas = Object.keys(POINTS)
  const queries = formulas.map((formula) => {
    const loss = customLoss({ inputs, formula }, 'points')
    const { text } = writeSource(sql, { loss, params: {}, options: { dialect } })
    return { text, table: tableOf(POINTS[formula]!) }
  })
  const found = await database.run(queries)
  return formulas.flatMap((formula, place) => {
    return differences(formula, found[place]!).map((difference) => `${formula}: ${difference}`)
  })
}

function tableOf(points: readonly Point[]): Table {
  const column = (place: 0 | 1) => points.map((point) => point[place])
  return {
    columns: new Map([
      ['predictions', column(0)],
      ['targets', column(1)],
    ]),
    rows: points.length,
  }
}

function differences(formula: string, found: ReadonlyMap<string, readonly (number | null)[]>): string[] {
  return [...answersOf(formula)].flatMap(([name, want]) => {
    const got = found.get(name)!.map((number) => number ?? Number.NEGATIVE_INFINITY)
    const { difference } = compare({ got, want, allowed: allowedIn(want, 1, BOUNDS) })
    if (difference === undefined) return []
    const { place } = difference
    return [`${name} is ${got[place]}, not ${want[place]} at ${POINTS[formula]![place]}`]
  })
}

/** Column -> the service's answers. */
function answersOf(formula: string): Map<string, ArrayLike<number>> {
  const { columns, rows } = tableOf(POINTS[formula]!)
  const tensors = new Map(
    [...columns].map(([name, numbers]): [string, DecodedTensor] => {
      const data = Float64Array.from(numbers as ArrayLike<number>)
      return [name, { dtype: 'float64', shape: [rows], data, encoding: 'nested', typed: true }]
    }),
  )
  const { job } = check(customLoss({ inputs, formula }, 'points'), tensors, { reduction: 'none' })
  const { values, gradients } = interpret(job.program, job)
  const named = Object.entries(gradients).map(([name, data]) => [`gradient_${name}`, data] as const)
  return new Map<string, ArrayLike<number>>([['loss', values], ...named])
}
