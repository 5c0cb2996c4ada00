/**
 * Reduction, weights and denominators, on both sides of the engine: before it they become the cotangent (what each
 * unreduced value counts), after it they turn the values into the loss. The only place that knows `mean`.
 */

import type { Precision } from '../engines/define.ts'
import { interpret } from '../language/interpret.ts'
import type { Program } from '../language/ir.ts'
import type { Reduction } from '../schemas/request.ts'
import type { NumericArray } from '../schemas/tensor.ts'

type Floats = Float32Array | Float64Array

/** What is known of a request before its values are. */
export interface Weighing {
  readonly reduction: Reduction
  /** Number of unreduced values. */
  readonly count: number
  /** Size of the first axis. */
  readonly rows: number
  /** One a row. */
  readonly sampleWeight: NumericArray | undefined
  /** One a value; only with `none`. */
  readonly gradOutput: NumericArray | undefined
  /** What `mean` divides by. */
  readonly denominator: number
  readonly precision: Precision
}

/** The mean's own denominator, and how many values count in it. */
export interface Denominator {
  readonly total: number
  readonly count: number
}

/**
 * Runs the loss's denominator formula, if it has one. It is cheap (labels and class weights only) and must be known
 * before the gradient, so it is interpreted here instead of being launched.
 */
export function denominatorOf(
  program: Program | undefined,
  count: number,
  args: Parameters<typeof interpret>[1],
): Denominator {
  if (program === undefined) return { total: count, count }
  const { values } = interpret(program, args)
  if (values.length !== count) {
    const share = values[0] ?? 0
    return { total: share * count, count: share === 0 ? 0 : count }
  }
  return { total: sum(values), count: values.reduce((found, share) => (share === 0 ? found : found + 1), 0) }
}

/**
 * What each value counts in the answer's gradient: weight x grad_output / denominator. One number when it is the same
 * for all.
 *
 * @example
 * cotangentOf({ reduction: 'mean', count: 4, rows: 4, denominator: 4, ... }) // [0.25]
 */
export function cotangentOf(weighing: Weighing): Floats {
  const { sampleWeight, gradOutput, count } = weighing
  const base = scaleOf(weighing)
  const Column = weighing.precision === 'float64' ? Float64Array : Float32Array
  if (sampleWeight === undefined && gradOutput === undefined) return Column.of(base)
  const column = new Column(count)
  for (let i = 0; i < count; i++) column[i] = base * weightAt(weighing, i) * (gradOutput?.[i] ?? 1)
  return column
}

/**
 * The unreduced values with their weights (`none`), or their weighted sum over the denominator. A value of weight 0
 * is left out, whatever it is; sums are compensated, so that a mean of 1e7 values is right to the last digits.
 */
export function reduceValues(values: Floats, weighing: Weighing): Floats {
  const weighted = weighing.sampleWeight === undefined ? values : weigh(values, weighing)
  if (weighing.reduction === 'none') return weighted
  const scale = scaleOf(weighing)
  const total = scale === 0 ? 0 : sum(weighted) * scale
  return weighing.precision === 'float64' ? Float64Array.of(total) : Float32Array.of(total)
}

/** The rows of the first axis that count nothing: their gradient is 0 whatever they hold. */
export function silentRows({ sampleWeight, gradOutput, rows, count }: Weighing): number[] {
  const width = count / rows
  const isSilent = (row: number) =>
    sampleWeight?.[row] === 0 ||
    (gradOutput?.subarray(row * width, (row + 1) * width).every((g) => g === 0) ?? false)
  if (sampleWeight === undefined && gradOutput === undefined) return []
  return Array.from({ length: rows }, (_, row) => row).filter(isSilent)
}

function scaleOf({ reduction, denominator, rows }: Weighing): number {
  if (reduction === 'mean') return denominator === 0 ? 0 : 1 / denominator
  return reduction === 'batchmean' ? 1 / rows : 1
}

function weigh(values: Floats, weighing: Weighing): Floats {
  return values.map((value, i) => {
    const weight = weightAt(weighing, i)
    return weight === 0 ? 0 : weight * value
  })
}

/** The rows are the slowest axis of the values. */
function weightAt({ sampleWeight, count, rows }: Weighing, value: number): number {
  return sampleWeight?.[Math.floor((value * rows) / count)] ?? 1
}

/** Neumaier's compensated sum; plain once it is not finite, where compensation would make NaN of an infinity. */
function sum(values: Floats): number {
  let total = 0
  let lost = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    const next = total + value
    lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total
    total = next
  }
  return Number.isFinite(total) ? total + lost : total
}
