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

const { MAX_VALUE: MOST, MIN_VALUE: LEAST } = Number

/** At the ends of the doubles. */
const ENDS = [0, LEAST, 1e-300, 0.5, 1, 3, 2 ** 970, 1e300, MOST / 3, MOST / 2, MOST].flatMap((x) => [x, -x])
const EVERY_END = ENDS.flatMap((x) => ENDS.map((y) => [x, y] as const))

/** Sums that are rounded to an infinity, and products and quotients at the rounded quotient of the largest number. */
const NEARLY: readonly Point[] = [
  [2.9937604643020797e292, -MOST],
  [-2.9937604643020797e292, MOST],
  [MOST, 2 ** 970],
  [MOST, -(2 ** 970)],
  [MOST, 9.979201547673597e291],
  [5.635893044773599e244, 3.18972187829113e63],
  [-5.635893044773599e244, 3.18972187829113e63],
  [5.992310449541053e307, 1],
  [5.9923104495410517e307, 0.1],
  [5.635893044773599e244, 1 / 3.18972187829113e63],
]

const POWERS: readonly Point[] = [
  [1e10, 1e308],
  [3, MOST],
  [3, -MOST],
  [1e-300, 8.9e307],
  [1.0000000001, LEAST],
  [0.7, LEAST],
  [1, MOST],
  [2, 1023],
  [2, 1024],
  [2, -1022],
  [MOST, 1],
  [MOST, 0.5],
  [LEAST, 0.5],
  [-3, 3],
  [-3, 700],
]

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
  'predictions - targets': [...NEARLY, ...EVERY_END],
  'predictions + targets': [...NEARLY, ...EVERY_END],
  'exp(predictions) - exp(targets)': EVERY_END,
  'abs(predictions - targets)': [...NEARLY, ...EVERY_END],
  '(predictions - targets)^2': [...NEARLY, ...EVERY_END],
  'abs(predictions) + abs(targets)': [...NEARLY, ...EVERY_END],
  'min(predictions, 0) - max(targets, 0)': [...NEARLY, ...EVERY_END],
  'predictions * targets': [...NEARLY, ...EVERY_END],
  'exp(predictions) * targets': EVERY_END,
  '3 * predictions - 0 * targets': [...NEARLY, ...EVERY_END],
  '0.3 * predictions + 0.5 * targets': [...NEARLY, ...EVERY_END],
  'predictions / 3 + targets / 0.3': [...NEARLY, ...EVERY_END],
  'predictions / (abs(targets) + 1e-200)': NEARLY,
  'predictions ^ targets': POWERS,
  // Logarithms show the numbers below the normal ones.
  'log(abs(predictions * targets))': [
    [LEAST, 0.6],
    [LEAST, -0.7],
    [LEAST, 0.5],
    [1e-200, 4e-124],
    [1e-162, -2e-162],
    [1e-162, 3e-162],
    [LEAST, LEAST],
  ],
  'log(abs(predictions / targets))': [
    [-8.8e-322, 258.3910736271129],
    [LEAST, 1.9],
    [LEAST, 2],
    [LEAST, 2.1],
    [1e-200, 4e123],
    [LEAST, MOST],
  ],
  'predictions / exp(targets)': [
    [LEAST, -745.1],
    [0, -745.1],
    [LEAST, -746],
  ],
  '100 / (1 + exp(targets)) - predictions': EVERY_END,
  'predictions / sqrt(1 + targets^2)': EVERY_END,
  'abs(predictions - targets)^1.5': [...NEARLY, [MOST, -1]],
  'abs(predictions - targets)^2.5': [[2.0039469665719214e123, 0], [1e-130, 0], ...NEARLY],
  'round(predictions) + 0 * targets': [
    0.5,
    1.5,
    2.5,
    -0.5,
    -2.5,
    0.3,
    1125899906842624.5,
    1125899906842625.5,
    4503599627370495.5,
    -2251799813685248.5,
    MOST,
  ].map((x) => [x, 0] as const),
}

/** Of these databases the sign of a zero is known, by which the infinity of a quotient is that of IEEE 754. */
const KNOW_ZEROS: readonly string[] = ['duckdb', 'postgres']
const BY_ZERO = ENDS.flatMap((x) => [0, -0].map((y) => [x, y] as const))
const ZEROS: Readonly<Record<string, readonly Point[]>> = {
  'predictions / targets': BY_ZERO,
  '(predictions * 1e-300) / (targets * 1e-300)': [[1, -1e-200], [-1, 1e-200], ...BY_ZERO],
}

const inputs = { predictions: { differentiable: true }, targets: { differentiable: true } }

/** Queries whose numbers are the service's, but for the last digits of functions. */
const BOUNDS = { tolerance: 1e-12, smallest: 1e-290 }

/** @returns what is wrong, a sentence each */
export async function pointFailures(sql: Target, dialect: string, database: Database): Promise<string[]> {
  const points = KNOW_ZEROS.includes(dialect) ? { ...POINTS, ...ZEROS } : POINTS
  const formulas = Object.keys(points)
  const queries = formulas.map((formula) => {
    const loss = customLoss({ inputs, formula }, 'points')
    const { text } = writeSource(sql, { loss, params: {}, options: { dialect } })
    return { text, table: tableOf(points[formula]!) }
  })
  const found = await database.run(queries)
  return formulas.flatMap((formula, place) => {
    return differences(formula, points[formula]!, found[place]!).map(
      (difference) => `${formula}: ${difference}`,
    )
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

function differences(
  formula: string,
  points: readonly Point[],
  found: ReadonlyMap<string, readonly (number | null)[]>,
): string[] {
  return [...answersOf(formula, points)].flatMap(([name, want]) => {
    const got = found.get(name)!.map((number) => number ?? Number.NEGATIVE_INFINITY)
    const { difference } = compare({ got, want, allowed: allowedIn(want, 1, BOUNDS) })
    if (difference === undefined) return []
    const { place } = difference
    return [`${name} is ${got[place]}, not ${want[place]} at ${points[place]}`]
  })
}

/** Column -> the service's answers. */
function answersOf(formula: string, points: readonly Point[]): Map<string, ArrayLike<number>> {
  const { columns, rows } = tableOf(points)
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
