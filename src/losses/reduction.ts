/**
 * Reduction, weights and denominators, before and after the engine. Before it, they become the cotangent (the
 * weight of each unreduced value); after it, they turn the values into the loss. This is the only place that knows
 * `mean`.
 */

import type { NumericArray, Precision } from '../tensor.ts'

export const REDUCTIONS = [
  'none',
  'mean',
  'sum',
  'batchmean',
  'weighted_mean',
  'sum_by_nonzero_weights',
] as const
export type Reduction = (typeof REDUCTIONS)[number]

/** The reductions that divide by what counts. They are all the same without sample weights. */
const MEANS: ReadonlySet<Reduction> = new Set(['mean', 'weighted_mean', 'sum_by_nonzero_weights'])

/** Whether the reduction divides by the loss's own denominator, or by one given in its place. */
export function dividesByDenominator(reduction: Reduction): boolean {
  return MEANS.has(reduction)
}

type Floats = Float32Array | Float64Array

/** What is known of a request before its values are computed. */
export interface ReductionSpec {
  readonly reduction: Reduction
  /** Number of unreduced values. */
  readonly count: number
  /** Size of the first axis. */
  readonly rows: number
  /** One per row. */
  readonly sampleWeight: NumericArray | undefined
  /** One per row: a mean divides the row's loss by this, in addition to the denominator. */
  readonly per: NumericArray | undefined
  /** One per value; only with `none`. */
  readonly gradOutput: NumericArray | undefined
  /** The denominator of `mean`; undefined while it depends on the engine's results. */
  readonly denominator: number | undefined
  readonly precision: Precision
}

/** What is known after the values are computed. */
export interface FinalizedReduction {
  readonly denominator: number
  /** How many values count. */
  readonly counted: number
  /** The factor that the gradients must still be multiplied by. */
  readonly gradientScale: number
}

/**
 * If the denominator of the mean depends on the request's labels and weights, the engine computes it together with
 * the values. The gradient, which is linear in its inverse, was computed without it and is scaled now.
 *
 * @param denominators what each value adds to the denominator; undefined if that is 1
 */
export function finalizeReduction(spec: ReductionSpec, denominators: Floats | undefined): FinalizedReduction {
  const { count, reduction, denominator } = spec
  const counted = denominators === undefined ? count : countNonZero(denominators)
  if (denominator !== undefined) return { denominator, counted, gradientScale: 1 }
  const found = denominatorOf(spec, denominators)
  return { denominator: found, counted, gradientScale: dividesByDenominator(reduction) ? inverse(found) : 1 }
}

/**
 * The denominator of the mean: the sum of what the values add to it. With sample weights, `mean` still counts every
 * value (Keras' sum_over_batch_size), `weighted_mean` counts each value by its weight (Keras'
 * mean_with_sample_weight), and `sum_by_nonzero_weights` counts the values with a nonzero weight (tfjs,
 * tf.compat.v1).
 *
 * @param denominators what each value adds to the denominator; undefined if that is 1
 */
export function denominatorOf(spec: ReductionSpec, denominators: Floats | undefined): number {
  const { reduction, sampleWeight, count } = spec
  if (reduction === 'mean' || sampleWeight === undefined)
    return denominators === undefined ? count : sum(denominators)
  const shares = Float64Array.from({ length: count }, (_, i) => {
    const weight = sampleWeight[rowOf(spec, i)]
    return (reduction === 'weighted_mean' ? weight : Number(weight !== 0)) * (denominators?.[i] ?? 1)
  })
  return sum(shares)
}

/**
 * The weight of each value in the returned gradient: weight x grad_output / denominator. A single number if it is
 * the same for all values.
 *
 * @example
 * cotangentOf({ reduction: 'mean', count: 4, rows: 4, denominator: 4, ... }) // [0.25]
 */
export function cotangentOf(spec: ReductionSpec): Floats {
  const { gradOutput, count } = spec
  const base = scaleOf(spec, spec.denominator ?? 1)
  const Column = spec.precision === 'float64' ? Float64Array : Float32Array
  if (!isWeighted(spec) && gradOutput === undefined) return Column.of(base)
  const column = new Column(count)
  for (let i = 0; i < count; i++) column[i] = base * weightAt(spec, i) * (gradOutput?.[i] ?? 1)
  return column
}

/**
 * The unreduced values multiplied by their weights (`none`), or their weighted sum divided by the denominator. A
 * value of weight 0 is left out, whatever it is. Sums are compensated, so that a mean of 1e7 values is accurate to
 * the last digits.
 */
export function reduceValues(
  values: Floats,
  spec: ReductionSpec,
  { denominator }: FinalizedReduction,
): Floats {
  const weighted = isWeighted(spec) ? weigh(values, spec) : values
  if (spec.reduction === 'none') return weighted
  const scale = scaleOf(spec, denominator)
  const total = scale === 0 ? 0 : sum(weighted) * scale
  return spec.precision === 'float64' ? Float64Array.of(total) : Float32Array.of(total)
}

/** The rows of the first axis that do not count: their gradient is 0, whatever they contain. */
export function zeroWeightRows({ sampleWeight, gradOutput, rows, count }: ReductionSpec): readonly number[] {
  if (sampleWeight === undefined && gradOutput === undefined) return NONE
  const width = count / rows
  const isSilent = (row: number) =>
    sampleWeight?.[row] === 0 ||
    (gradOutput?.subarray(row * width, (row + 1) * width).every((g) => g === 0) ?? false)
  return Array.from({ length: rows }, (_, row) => row).filter(isSilent)
}

function scaleOf({ reduction, rows }: ReductionSpec, denominator: number): number {
  if (dividesByDenominator(reduction)) return inverse(denominator)
  return reduction === 'batchmean' ? 1 / rows : 1
}

/** The mean of no values is 0. */
function inverse(denominator: number): number {
  return denominator === 0 ? 0 : 1 / denominator
}

function isWeighted({ sampleWeight, per, reduction }: ReductionSpec): boolean {
  return sampleWeight !== undefined || (per !== undefined && dividesByDenominator(reduction))
}

function weigh(values: Floats, spec: ReductionSpec): Floats {
  return values.map((value, i) => {
    const weight = weightAt(spec, i)
    return weight === 0 ? 0 : weight * value
  })
}

function weightAt(spec: ReductionSpec, value: number): number {
  const { sampleWeight, per, reduction } = spec
  const row = rowOf(spec, value)
  const weight = sampleWeight?.[row] ?? 1
  return per === undefined || !dividesByDenominator(reduction) ? weight : weight / Math.max(1, per[row])
}

/** The rows are the slowest axis of the values. */
function rowOf({ count, rows }: ReductionSpec, value: number): number {
  return Math.floor((value * rows) / count)
}

const NONE: readonly number[] = []

function countNonZero(values: Floats): number {
  let found = 0
  for (let i = 0; i < values.length; i++) if (values[i] !== 0) found++
  return found
}

function sum(values: Floats): number {
  return values instanceof Float32Array ? sumOfFloat32(values) : compensatedSum(values)
}

/**
 * In doubles, whose rounding error is 2^29 times smaller than that of the terms. Four sums, because the additions
 * of a single sum would wait for each other.
 */
function sumOfFloat32(values: Float32Array): number {
  let [a, b, c, d] = [0, 0, 0, 0]
  const whole = values.length - (values.length % 4)
  for (let i = 0; i < whole; i += 4) {
    a += values[i]
    b += values[i + 1]
    c += values[i + 2]
    d += values[i + 3]
  }
  for (let i = whole; i < values.length; i++) a += values[i]
  return a + b + (c + d)
}

/**
 * Compensated summation (Neumaier). Uncompensated as soon as the sum is not finite, because compensation would turn
 * an infinity into NaN.
 */
function compensatedSum(values: Floats): number {
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
