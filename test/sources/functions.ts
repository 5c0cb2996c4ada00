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
const INPUTS: Readonly<Record<string, InputDefinition>> = {
  x: { axes: 'rows,columns', differentiable: true },
  y: { axes: 'rows,columns', differentiable: true },
  v: { axes: 'rows', differentiable: true },
  i: { axes: 'rows', kind: 'class', places: 'columns' },
}

const mentions = (formula: string, name: string) => new RegExp(`\\b${name}\\b`).test(formula)

/** One loss for each call. */
export function callLosses(): Loss[] {
  return [...SMOOTH, ...CONSTANT]
    .filter((formula) => mentions(formula, 'x'))
    .map((formula, place) => {
      const inputs = Object.entries(INPUTS).filter(([name]) => mentions(formula, name))
      const params = mentions(formula, 's') ? { s: { type: 'number', default: 1.7 } as const } : {}
      return customLoss({ inputs: Object.fromEntries(inputs), params, formula }, `call/f${place}`)
    })
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
