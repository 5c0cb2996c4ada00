/**
 * Reduction, weights and denominators, on both sides of the engine: before it they become the cotangent (what each
 * unreduced value counts), after it they turn the values into the loss. The only place that knows `mean`.
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

/** Which of them divide by what counts: all the same while there are no sample weights. */
const MEANS: ReadonlySet<Reduction> = new Set(['mean', 'weighted_mean', 'sum_by_nonzero_weights'])

/** Whether the reduction divides by the loss's own denominator, or one given in its place. */
export function isMean(reduction: Reduction): boolean {
  return MEANS.has(reduction)
}

type Floats = Float32Array | Float64Array

/** What is known of a request before its values are. */
export interface ReductionSpec {
  readonly reduction: Reduction
  /** Number of unreduced values. */
  readonly count: number
  /** Size of the first axis. */
  readonly rows: number
  /** One a row. */
  readonly sampleWeight: NumericArray | undefined
  /** One a row: what a mean divides its loss by beside the denominator. */
  readonly per: NumericArray | undefined
  /** One a value; only with `none`. */
  readonly gradOutput: NumericArray | undefined
  /** What `mean` divides by; undefined while it depends on what the engine finds. */
  readonly denominator: number | undefined
  readonly precision: Precision
}

/** What is known when the values are there. */
export interface FinalizedReduction {
  readonly denominator: number
  /** How many values count. */
  readonly counted: number
  /** What the gradients must still be multiplied by. */
  readonly gradientScale: number
}

/**
 * Where the mean's denominator depends on the request's labels and weights, it comes back with the values; the gradient,
 * which is linear in it, was computed without and is scaled now.
 *
 * @param denominators what each value adds to it; undefined where that is 1
 */
export function finalizeReduction(spec: ReductionSpec, denominators: Floats | undefined): FinalizedReduction {
  const { count, reduction, denominator } = spec
  const counted = denominators === undefined ? count : countNonZero(denominators)
  if (denominator !== undefined) return { denominator, counted, gradientScale: 1 }
  const found = denominatorOf(spec, denominators)
  return { denominator: found, counted, gradientScale: isMean(reduction) ? inverse(found) : 1 }
}

/**
 * What the mean divides by: the sum of what the values add to it. With sample weights, `mean` still counts every value
 * (Keras' sum_over_batch_size), `weighted_mean` counts each by its weight (Keras' mean_with_sample_weight), and
 * `sum_by_nonzero_weights` counts those that have one (tfjs, tf.compat.v1).
 *
 * @param denominators what each value adds to it; undefined where that is 1
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
 * What each value counts in the answer's gradient: weight x grad_output / denominator. One number when it is the same
 * for all.
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
 * The unreduced values with their weights (`none`), or their weighted sum over the denominator. A value of weight 0
 * is left out, whatever it is; sums are compensated, so that a mean of 1e7 values is right to the last digits.
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

/** The rows of the first axis that count nothing: their gradient is 0 whatever they hold. */
export function zeroWeightRows({ sampleWeight, gradOutput, rows, count }: ReductionSpec): readonly number[] {
  if (sampleWeight === undefined && gradOutput === undefined) return NONE
  const width = count / rows
  const isSilent = (row: number) =>
    sampleWeight?.[row] === 0 ||
    (gradOutput?.subarray(row * width, (row + 1) * width).every((g) => g === 0) ?? false)
  return Array.from({ length: rows }, (_, row) => row).filter(isSilent)
}

function scaleOf({ reduction, rows }: ReductionSpec, denominator: number): number {
  if (isMean(reduction)) return inverse(denominator)
  return reduction === 'batchmean' ? 1 / rows : 1
}

/** A mean over nothing is nothing. */
function inverse(denominator: number): number {
  return denominator === 0 ? 0 : 1 / denominator
}

function isWeighted({ sampleWeight, per, reduction }: ReductionSpec): boolean {
  return sampleWeight !== undefined || (per !== undefined && isMean(reduction))
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
  return per === undefined || !isMean(reduction) ? weight : weight / Math.max(1, per[row])
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

/** In doubles, whose rounding is 2^29 times finer than the terms'; four sums, because one would wait for itself. */
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

/** Neumaier's sum; plain once it is not finite, where compensation would make NaN of an infinity. */
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
