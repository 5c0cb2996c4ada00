/**
 * The constant prediction with the least loss on given targets: what boosting libraries call init_score, and what the
 * loss estimates. For one number by the sign of the slope (constant-of-one.ts), for several by Newton's method with a line
 * search.
 */
import type { Clock } from './clock.ts'
import { ofOne } from './constant-of-one.ts'
import type { Constant, Objective } from './objective.ts'

export type { Constant, Objective }

/**
 * Finds the least loss; for several numbers, a point where the gradient vanishes. When the time is over, the best that was
 * found until then.
 *
 * @throws RangeError if no loss is finite, as where a target is NaN
 */
export function minimize(objective: Objective, clock: Clock): Constant {
  const found = objective.size === 1 ? ofOne(objective, clock) : ofSeveral(objective, clock)
  if (found === undefined || !Number.isFinite(found.loss))
    throw new RangeError('the loss of every constant is infinite or not a number')
  return found
}

/** Newton's method with the second derivative from differences of the gradient, and steepest descent where that fails. */
function ofSeveral({ size, at }: Objective, clock: Clock): Constant {
  let x = new Array<number>(size).fill(0)
  let found = at(x)
  let iterations = 0
  for (; iterations < 200 && !clock.isOver(); iterations++) {
    if (largest(found.gradient) < 1e-13) break
    const next =
      descended(at, x, found.value, newtonStep(at, x, found.gradient, clock), clock) ??
      descended(
        at,
        x,
        found.value,
        found.gradient.map((g) => -g),
        clock,
      )
    if (next === undefined) break
    x = next
    found = at(x)
  }
  return {
    constant: x,
    loss: found.value,
    slopes: [largest(found.gradient)],
    iterations,
    isStationary: largest(found.gradient) < 1e-8,
  }
}

const largest = (gradient: readonly number[]) => Math.max(...gradient.map(Math.abs))

/** @returns undefined if there is no time for it */
function newtonStep(
  at: Objective['at'],
  x: readonly number[],
  gradient: readonly number[],
  clock: Clock,
): number[] | undefined {
  const h = 1e-5
  const columns: number[][] = []
  for (const i of x.keys()) {
    if (clock.isOver()) return undefined
    const moved = (by: number) => at(x.map((own, j) => (i === j ? own + by : own))).gradient
    const [up, down] = [moved(h), moved(-h)]
    columns.push(up.map((g, j) => (g - down[j]) / (2 * h)))
  }
  const ridge = 1e-9 * Math.max(1e-3, ...columns.map((column, i) => Math.abs(column[i])))
  return solved(
    columns.map((column, i) => column.map((entry, j) => (entry + columns[j][i]) / 2 + (i === j ? ridge : 0))),
    gradient.map((g) => -g),
    clock,
  )
}

/**
 * Gaussian elimination with pivots.
 *
 * @returns undefined if there is no time for it
 */
function solved(
  matrix: readonly (readonly number[])[],
  right: readonly number[],
  clock: Clock,
): number[] | undefined {
  const rows = matrix.map((row, i) => [...row, right[i]])
  const n = right.length
  for (let k = 0; k < n; k++) {
    if (clock.isOver()) return undefined
    const pivot = rows
      .slice(k)
      .reduce((best, row, i) => (Math.abs(row[k]) > Math.abs(rows[best][k]) ? k + i : best), k)
    ;[rows[k], rows[pivot]] = [rows[pivot], rows[k]]
    for (let i = k + 1; i < n; i++) {
      const factor = rows[i][k] / rows[k][k]
      rows[i] = rows[i].map((entry, j) => entry - factor * rows[k][j])
    }
  }
  const x = new Array<number>(n).fill(0)
  for (let k = n - 1; k >= 0; k--)
    x[k] = (rows[k][n] - x.reduce((so, xj, j) => so + (j > k ? rows[k][j] * xj : 0), 0)) / rows[k][k]
  return x
}

/** A step that lowers the loss, halved until it does or there is no time. */
function descended(
  at: Objective['at'],
  x: readonly number[],
  value: number,
  step: readonly number[] | undefined,
  clock: Clock,
): number[] | undefined {
  if (step === undefined) return undefined
  for (let share = 1; share > 1e-12 && !clock.isOver(); share /= 2) {
    const next = x.map((own, i) => own + share * step[i])
    const found = at(next).value
    if (found < value) return next
  }
  return undefined
}
