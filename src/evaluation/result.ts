/** The answer of an evaluation: plain JSON. */
import type { SliceKey } from './state.ts'

/** The mean loss of some rows, with its uncertainty. Numbers that JSON lacks are null. */
export interface Estimate {
  /** All rows, also those whose weight is 0 and which therefore count nowhere else. */
  readonly rows: number
  /** Sum of the weights, or of what the rows add to the denominator. Absent if each row counts 1. */
  readonly weight?: number
  readonly mean: number | null
  /** Standard error of the mean; null if fewer than two rows count. */
  readonly standard_error: number | null
  /** Both ends of the confidence interval; null if fewer than two rows count. */
  readonly interval: readonly [number, number] | null
  /** The smallest and the largest loss; null if it was computed in SQL, which does not look for them. */
  readonly min: number | null
  readonly max: number | null
  /** Share -> the loss that this share of the rows is below or at. Rows count alike, whatever their weights, unless that is 0. */
  readonly quantiles?: Readonly<Record<string, number>>
  /** Rows whose loss is infinite. */
  readonly infinite?: number
}

/** One slice of the rows. */
export interface SliceEstimate extends Estimate {
  /** Column -> its value. */
  readonly key: Readonly<Record<string, SliceKey[number]>>
}

/** A bin of the distribution of the losses. */
export interface Bin {
  readonly low: number
  readonly high: number
  readonly count: number
}

/** A row of a file, counted from 0. */
export interface RowPlace {
  readonly file: string
  readonly row: number
}

/** Rows that were left out, and why. */
export interface BadReport {
  readonly reason: string
  readonly count: number
  /** The first of them, at most ten. */
  readonly first: readonly RowPlace[]
}

/** One of the rows with the largest losses. */
export interface WorstReport extends RowPlace {
  readonly loss: number | null
  /** Columns of the row. */
  readonly values?: Readonly<Record<string, unknown>>
}

/** What was evaluated: a loss, of one column of predictions. */
export interface SeriesLabel {
  readonly loss: string
  readonly params: Readonly<Record<string, unknown>>
  /** The columns of the predictions, where several models are compared. */
  readonly model?: string
}

export interface LossReport extends SeriesLabel {
  readonly overall: Estimate
  readonly slices: readonly SliceEstimate[]
  readonly distribution?: readonly Bin[]
  readonly worst?: readonly WorstReport[]
}

/** Mean loss of `b` minus that of `a`, row by row: negative if `b` is better. */
export interface Comparison {
  readonly loss: string
  readonly params: Readonly<Record<string, unknown>>
  readonly a: string
  readonly b: string
  readonly overall: Estimate & { readonly verdict: Verdict }
  readonly slices: readonly (SliceEstimate & { readonly verdict: Verdict })[]
  /** How many slices have each verdict. */
  readonly counts: Readonly<Record<Verdict, number>>
}

/** Of `b`: whether the interval of the difference is below 0, above 0, or contains it. */
export type Verdict = 'better' | 'worse' | 'undecided'

/** How the intervals were computed. */
export interface Uncertainty {
  readonly method: 'standard error' | 'bootstrap'
  readonly confidence: number
  readonly replicates?: number
  /** What is drawn with replacement: rows, as long as there are at most a million, or buckets of them. */
  readonly resampled?: 'rows' | 'buckets'
  /** Rows, or rows with the same value of a column, are resampled in this many buckets. */
  readonly buckets?: number
  readonly cluster?: string
  readonly seed?: number
}

export interface Evaluation {
  readonly files: readonly string[]
  readonly rows: number
  /** Rows that count. */
  readonly used: number
  readonly bad: readonly BadReport[]
  readonly by: readonly string[]
  readonly weight?: string
  readonly uncertainty: Uncertainty
  readonly computed_by: string
  readonly losses: readonly LossReport[]
  readonly comparisons: readonly Comparison[]
}
