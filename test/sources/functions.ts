/** Holds sources of formulas that call every function of the language, and of the recipes of the cookbook, to the service's answers. */
import { readCookbook } from '../../docs/cookbook.ts'
import { customLoss, type InputDefinition } from '../../src/losses/custom.ts'
import type { Loss } from '../../src/losses/define.ts'
import { CannotWrite, type Target } from '../../src/sources/contract.ts'
import { writeSource } from '../../src/sources/write.ts'
import type { Precision } from '../../src/tensor.ts'
import { CONSTANT, SMOOTH } from '../support/calls.ts'
import { usualUnitOf } from './cases.ts'
import type { Tolerance } from './compare.ts'
import { type Bounds, type FixedTolerance, type Report, reportOf } from './every-source.ts'
import type { Job, Runner } from './runners/runner.ts'

/** The inputs that the calls read: two matrices, a vector, and one index per row. */
const INPUTS: Inputs = {
  x: { axes: 'rows,columns', differentiable: true },
  y: { axes: 'rows,columns', differentiable: true },
  v: { axes: 'rows', differentiable: true },
  i: { axes: 'rows', kind: 'class', places: 'columns' },
}

const mentions = (formula: string, name: string) => new RegExp(`\\b${name}\\b`).test(formula)

type Inputs = Readonly<Record<string, InputDefinition>>

/** One loss for each formula, with those of the inputs and of the parameters, of which these are the defaults, that it mentions. */
function lossesOf(
  namespace: string,
  formulas: readonly string[],
  inputs: Inputs,
  defaults: Readonly<Record<string, number>> = {},
): Loss[] {
  return formulas.map((formula, place) => {
    const mentioned = <T>(of: Readonly<Record<string, T>>) =>
      Object.entries(of).filter(([name]) => mentions(formula, name))
    const params = mentioned(defaults).map(([name, value]) => [name, { type: 'number', default: value }])
    const definition = {
      inputs: Object.fromEntries(mentioned(inputs)),
      params: Object.fromEntries(params),
      formula,
    }
    return customLoss(definition, `${namespace}/f${place}`)
  })
}

/** One loss for each call. */
export function callLosses(): Loss[] {
  const calls = [...SMOOTH, ...CONSTANT].filter((formula) => mentions(formula, 'x'))
  return lossesOf('call', calls, INPUTS, { s: 1.7 })
}

const MATRIX = 'a = x * y[columns -> others] / 4 + (index(columns) == index(others) ? 4 : 0)\n'

/** Ops on a whole axis along the columns of a table: each row is on its own. */
export function columnLosses(): Loss[] {
  const formulas = [
    'sum(sort(x, columns) * y, columns)',
    'sort(x, columns) * y',
    'sum(cumsum(x * y, columns) * x, columns)',
    'sum(recurrence(x * y, y / 2, columns) * x, columns)',
    'sum(reverse_recurrence(x, y, columns) * y, columns)',
    'sum(shift(x, 1, columns) * y + shift(y, -2, columns), columns)',
    'sum(gather(x, order(y, columns), columns) * y, columns)',
    'sum(scatter(x * x, order(y, columns), columns) * y, columns)',
    `${MATRIX}sum(solve_lower(a, x, columns, others) * y[columns -> others], others)`,
    `${MATRIX}sum(solve_upper(a, x, columns, others)^2, others)`,
  ]
  const inputs = { x: INPUTS.x!, y: INPUTS.y! }
  return formulas.map((formula, place) => customLoss({ inputs, formula }, `columns_${place}`))
}

/**
 * Values at a distance that one loop leaves in memory for another, because a whole axis or a number of each row comes between: what is
 * in memory is already moved.
 */
const STORED_MOVES = [
  'window_mean(x, 3, columns) * b',
  'window_sum(x * y, 2, columns) * b * w',
  'x * mean(shift(x, 1, columns) / u, columns)',
  'shift(shift(x, 1, columns) / u, 1, columns) / u * b',
  'shift(shift(x, -2, columns) * u, 1, rows) * b',
  'b * sum(window_mean(x, 3, columns), columns)',
  'window_mean(softmax(x + v * y, columns), 3, columns) * b',
  'window_mean(conv(x + v * y, [0.25, w, 1], columns), 3, columns) * b',
  'conv(conv(x * u, [w, b, -1], columns), [1, u, 2], columns) * v',
  'shift(max(x * u, columns) * y, 1, columns) * window_mean(y, 3, rows) * b',
  'pick(window_mean(x * u, 3, columns), i, columns) * b + shift(x, 1, columns) * w',
  'reverse_recurrence(shift(x, 1, columns) * u, window_mean(y, 3, columns) / 2, columns) * b',
  'gather(window_mean(x, 3, columns) * b, order(y, columns), columns) * shift(y, -1, columns)',
  'cumsum(shift(x, 1, columns) * u, columns) * b * mean(shift(y, 1, columns) * u, columns)',
  'shift(cumsum(shift(x, 1, columns) * b, columns), -1, columns) * w * u',
  'sum(shift(x * u, 1, columns) * shift(y, -1, rows)[columns -> others], columns) * b',
  'window_mean(window_mean(x * b, 3, rows), 3, columns) * shift(v, 1, rows)',
]

const MOVED_INPUTS: Inputs = {
  ...INPUTS,
  u: { axes: 'columns', differentiable: true },
  b: { axes: 'rows', differentiable: true },
  w: { axes: '', differentiable: true },
}

/** What is computed of indices is a number, also where a library would compute it in integers. */
const OF_INDICES = [
  'cumsum(argsort(x, columns), rows)',
  'recurrence(argsort(x, columns), 0.5, columns)',
  'reverse_recurrence(argsort(x, columns), y / 2, rows)',
  'scatter(argsort(x, columns), order(y, columns), columns)',
  'gather(argsort(x, columns), order(y, columns), columns) / 2',
  'shift(argsort(x, columns), 1, columns) / 2 + v',
  'pick(argsort(x, columns), 1, columns)',
  'pick(argsort(x, columns), i, columns) / 4',
  'sum(argsort(x, columns) * order(y, columns)[columns -> others], rows)',
  'soft_dtw(argsort(x, columns), 0.5, rows, columns)',
  'a = x * y[columns -> others] / 4 + 3\nsolve_lower(a, argsort(x, columns), columns, others)',
]

/** A sign belongs to its number also before an operator or a method that binds more tightly than a sign. */
const SIGNED_NUMBERS = [
  '(-2)^round(x) + y',
  '(-1)^round(x) * y',
  '(-0.5)^round(x)^2 * y',
  '-(-2)^round(x) - y',
  'y - (-3)^-round(x)',
  '2^(-0.5)^round(x) * y',
  '(x^-2)^-2 * y',
  '((-2)^round(x))^-2 + x',
  '(-2)^s * x',
  '(x > 0 ? -2 : -3)^round(y) * x',
  'max(-2, min(x, -0.5)) * y - -2',
]

/** Series without a batch: the smoothing is one number for all, and no array of one for each row. */
const SINGLE_SERIES = [
  'soft_dtw(a, 0.5, time, steps)',
  'soft_dtw(a, 0, time, steps)',
  'soft_dtw((p - q)^2, 0.1, time, steps) * b',
  'soft_dtw((p - q)^2, size(steps) / 7, time, steps) * b',
  'soft_dtw(abs(p - q), g, time, steps) * b + soft_dtw(a, 0.5, time, steps)',
  'soft_dtw(p * p[time -> others], 0.1, time, others) * b',
]

const SERIES: Inputs = {
  b: { axes: 'rows', differentiable: true },
  a: { axes: 'time,steps', differentiable: true },
  p: { axes: 'time', differentiable: true },
  q: { axes: 'steps', differentiable: true },
}

/** What targets promise of formulas that are written in a way of their own -> the losses that hold them to it. */
export function specialLosses(): Readonly<Record<string, readonly Loss[]>> {
  return {
    'moves values that are in memory for other loops once': lossesOf('moves', STORED_MOVES, MOVED_INPUTS),
    'aligns series that have no batch': lossesOf('series', SINGLE_SERIES, SERIES, { g: 0.3 }),
    'computes with indices as with other numbers': lossesOf('indices', OF_INDICES, INPUTS),
    'keeps a sign with its number': lossesOf('signs', SIGNED_NUMBERS, INPUTS, { s: 3 }),
  }
}

export function recipeLosses(): Loss[] {
  return readCookbook().flatMap(({ recipes }) =>
    recipes.map(({ name, definition }) => customLoss(definition, name)),
  )
}

/**
 * The trigamma function of PyTorch has ten digits. XLA contracts products and sums, which leaves roundings of 1e-15 where terms cancel,
 * and ldam multiplies them by its scale of 30.
 */
const TOLERANCES: Readonly<Record<string, Tolerance>> = {
  torch: { tolerance: 1e-9, smallest: 1e-7 },
  'keras torch': { tolerance: 1e-9, smallest: 1e-4 },
  jax: { tolerance: 1e-10, smallest: 1e-3 },
  'keras jax': { tolerance: 1e-10, smallest: 1e-4 },
  tensorflow: { tolerance: 1e-10, smallest: 1e-4 },
  'keras tensorflow': { tolerance: 1e-10, smallest: 1e-4 },
}

export function functionBounds(runner: string, bounds: Bounds): FixedTolerance {
  const own = TOLERANCES[runner] ?? bounds
  if ('rounding' in own) throw new Error(`what functions of ${runner} may be off by is not said`)
  return { ...own, isFixed: true }
}

/** On ordinary inputs: the functions themselves are what is tested. */
export async function checkFunctions(
  target: Target,
  losses: readonly Loss[],
  runner: Runner,
  precision: Precision,
  bounds: FixedTolerance,
): Promise<Report> {
  const refused = new Map<string, string>()
  const jobs = losses.flatMap((loss) => jobOf(target, loss, precision, refused))
  const outcomes = await runner.run(jobs, precision)
  const report = reportOf(target, jobs, outcomes, precision, bounds)
  const failures = report.failures.map((failure) => {
    const loss = losses.find(({ name }) => failure.startsWith(`${name},`))
    return `${failure} (${loss?.formula.source.replaceAll('\n', '; ')})`
  })
  return { ...report, failures, refused }
}

function jobOf(target: Target, loss: Loss, precision: Precision, refused: Map<string, string>): Job[] {
  const unit = usualUnitOf(loss, precision)
  try {
    const { text, name } = writeSource(target, { ...unit.request, options: { precision } })
    const cases = unit.cases.filter(({ label }) => label === 'ordinary')
    return [{ unit: { ...unit, cases }, id: `${loss.name.replaceAll(/\W/g, '_')}_0`, name, text }]
  } catch (error) {
    if (!(error instanceof CannotWrite)) throw error
    refused.set(loss.name, error.message)
    return []
  }
}
