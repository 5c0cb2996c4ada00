/**
 * The constant prediction with the least loss on given targets: what boosting libraries call init_score, and what the
 * loss estimates. For one number by bracketing and bisection of the slope, for several by Newton's method with a line
 * search.
 */
import type { Clock } from './clock.ts'

/** The weighted loss of a constant prediction, with derivatives. */
export interface Objective {
  readonly size: number
  /** Value, gradient, and (for one number) nothing more; both are sums over all targets. */
  readonly at: (constant: readonly number[]) => {
    readonly value: number
    readonly gradient: readonly number[]
  }
  /** The numbers that a prediction may be. */
  readonly range: readonly [number, number]
  /** Where a kink may be: the least loss of absolute errors is at a target. */
  readonly kinks: readonly number[]
}

export interface Constant {
  readonly constant: readonly number[]
  readonly loss: number
  /** The largest component of the gradient there; for one number, its one-sided slopes. */
  readonly slopes: readonly number[]
  readonly iterations: number
  readonly isStationary: boolean
}

/**
 * Finds the least loss; for several numbers, a point where the gradient vanishes.
 *
 * @throws RangeError if no loss is finite, as where a target is NaN
 */
export function minimize(objective: Objective, clock: Clock): Constant {
  const found = objective.size === 1 ? ofOne(objective, clock) : ofSeveral(objective, clock)
  if (found === undefined || !Number.isFinite(found.loss))
    throw new RangeError('the loss of every constant is infinite or not a number')
  return found
}

/** Several valleys are possible: each one is searched, and the lowest bottom counts. */
function ofOne({ at, range, kinks }: Objective, clock: Clock): Constant | undefined {
  const [low, high] = range
  const inside = kinks.filter((x) => x > low && x < high)
  const spread = inside.length === 0 ? [-10, 10] : [Math.min(...inside), Math.max(...inside)]
  const from = Math.max(low, spread[0] - 1 - (spread[1] - spread[0]))
  const to = Math.min(high, spread[1] + 1 + (spread[1] - spread[0]))
  const places = [
    ...new Set([...Array.from({ length: 65 }, (_, i) => from + ((to - from) * i) / 64), ...inside]),
  ].sort((a, b) => a - b)
  let iterations = 0
  const slope = (x: number) => {
    iterations++
    return at([x]).gradient[0]
  }
  const candidates: number[] = [...places]
  const slopes = places.map(slope)
  for (let i = 0; i + 1 < places.length && !clock.isOver(); i++) {
    if (slopes[i] <= 0 && slopes[i + 1] >= 0) candidates.push(bottom(slope, places[i], places[i + 1]))
  }
  candidates.push(
    ...widened(slope, places[0], places.at(-1)!, [low, high], slopes[0] > 0, slopes.at(-1)! < 0),
  )
  const finite = candidates.filter((x) => Number.isFinite(at([x]).value))
  if (finite.length === 0) return undefined
  const best = flat(
    finite.reduce((a, b) => (at([b]).value < at([a]).value ? b : a)),
    at,
  )
  const step = 1e-7 * Math.max(1, Math.abs(best))
  const sides = [at([best - step]).gradient[0], at([best + step]).gradient[0]]
  const isStationary = Math.abs(at([best]).gradient[0]) < 1e-9 || (sides[0] <= 1e-9 && sides[1] >= -1e-9)
  return { constant: [best], loss: at([best]).value, slopes: sides, iterations, isStationary }
}

/** Of an interval of equal losses its middle, as the median of an even number of targets. */
function flat(best: number, at: Objective['at']): number {
  const { value, gradient } = at([best])
  const size = Math.max(1, Math.abs(best))
  const reach = (way: 1 | -1) => {
    if (at([best + way * 1e-6 * size]).value !== value) return best
    let step = 1e-6 * size
    while (step < 1e6 * size && at([best + way * 2 * step]).value <= value) step *= 2
    let [inside, outside] = [step, 2 * step]
    for (let i = 0; i < 60; i++) {
      const cut = (inside + outside) / 2
      if (at([best + way * cut]).value <= value + 1e-15 * Math.abs(value)) inside = cut
      else outside = cut
    }
    return best + way * inside
  }
  if (gradient[0] !== 0 && reach(1) === best && reach(-1) === best) return best
  const [a, b] = [reach(-1), reach(1)]
  return a === best && b === best ? best : (a + b) / 2
}

/** The bottom may lie beyond the places that were looked at. */
function widened(
  slope: (x: number) => number,
  first: number,
  last: number,
  [low, high]: readonly [number, number],
  left: boolean,
  right: boolean,
): number[] {
  const found: number[] = []
  for (const [isOpen, start, way, end] of [
    [left, first, -1, low],
    [right, last, 1, high],
  ] as const) {
    let [inner, step] = [start, Math.max(1, Math.abs(start))]
    for (let i = 0; isOpen && i < 60; i++) {
      const outer = way > 0 ? Math.min(end, inner + step) : Math.max(end, inner - step)
      const isPast = way > 0 ? slope(outer) >= 0 : slope(outer) <= 0
      if (isPast) found.push(way > 0 ? bottom(slope, inner, outer) : bottom(slope, outer, inner))
      if (isPast || outer === end) break
      inner = outer
      step *= 2
    }
  }
  return found
}

/** Where a slope that is not above 0 on the left and not below 0 on the right changes its sign. */
function bottom(slope: (x: number) => number, from: number, to: number): number {
  let [a, b] = [from, to]
  for (let i = 0; i < 200; i++) {
    const cut = a / 2 + b / 2
    if (cut <= a || cut >= b) break
    const found = slope(cut)
    if (found === 0) return cut
    if (found < 0) a = cut
    else b = cut
  }
  return Math.abs(slope(a)) <= Math.abs(slope(b)) ? a : b
}

/** Newton's method with the second derivative from differences of the gradient, and steepest descent where that fails. */
function ofSeveral({ size, at }: Objective, clock: Clock): Constant {
  let x = new Array<number>(size).fill(0)
  let found = at(x)
  let iterations = 0
  for (; iterations < 200 && !clock.isOver(); iterations++) {
    if (largest(found.gradient) < 1e-13) break
    const steps = [newtonStep(at, x, found.gradient), found.gradient.map((g) => -g)]
    const next = steps.map((step) => descended(at, x, found.value, step)).find((one) => one !== undefined)
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

function newtonStep(at: Objective['at'], x: readonly number[], gradient: readonly number[]): number[] {
  const h = 1e-5
  const columns = x.map((_, i) => {
    const moved = (by: number) => at(x.map((own, j) => (i === j ? own + by : own))).gradient
    const [up, down] = [moved(h), moved(-h)]
    return up.map((g, j) => (g - down[j]) / (2 * h))
  })
  const ridge = 1e-9 * Math.max(1e-3, ...columns.map((column, i) => Math.abs(column[i])))
  return solved(
    columns.map((column, i) => column.map((entry, j) => (entry + columns[j][i]) / 2 + (i === j ? ridge : 0))),
    gradient.map((g) => -g),
  )
}

/** Gaussian elimination with pivots. */
function solved(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]])
  const n = right.length
  for (let k = 0; k < n; k++) {
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

/** A step that lowers the loss, halved until it does. */
function descended(
  at: Objective['at'],
  x: readonly number[],
  value: number,
  step: readonly number[],
): number[] | undefined {
  for (let share = 1; share > 1e-12; share /= 2) {
    const next = x.map((own, i) => own + share * step[i])
    const found = at(next).value
    if (found < value) return next
  }
  return undefined
}
