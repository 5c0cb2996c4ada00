/** Standard errors and confidence intervals of means, from moments and by the bootstrap. */
import { randomWords } from './random.ts'
import type { Moments } from './series.ts'

/** The share of intervals that contain the true mean, in the long run. */
export const CONFIDENCE = 0.95
/** The quantile of the normal distribution at (1 + CONFIDENCE) / 2. */
const Z = 1.959963984540054

export interface Uncertain {
  readonly standardError: number
  readonly interval: readonly [number, number]
}

/**
 * The interval of a mean, or of a ratio of sums, from its moments: that of the t distribution. For a ratio it is the
 * first term of the Taylor series (the delta method).
 *
 * @returns undefined if fewer than two rows count, and beside losses of other slices that are too large for the spread
 * to be known
 */
export function fromMoments(moments: Moments): Uncertain | undefined {
  const { rows, sum, squares, shares, shareSquares, products } = moments
  if (rows < 2 || shares === 0) return undefined
  const mean = sum / shares
  const spread = Math.max(0, squares - 2 * mean * products + mean * mean * shareSquares)
  if (!isExact(moments, mean, spread)) return undefined
  const standardError = Math.sqrt((spread * rows) / (rows - 1)) / Math.abs(shares)
  const margin = studentQuantile(rows - 1) * standardError
  return { standardError, interval: [mean - margin, mean + margin] }
}

/**
 * The spread of resampled means, unless the rounding of the sums of buckets, which depends on the largest loss of all
 * slices, matters for it.
 */
export function knownSpread(
  found: Uncertain | undefined,
  { shares, low, high }: Moments,
  rounding: number,
): Uncertain | undefined {
  if (found === undefined || low === high) return found
  return found.standardError * Math.abs(shares) > LEAST_RATIO * rounding ? found : undefined
}

/** How much larger than its error a standard error is, so that three digits of it are right. */
const LEAST_RATIO = 1e3

/** How much larger than its error a spread is, so that four digits of a standard error are right. */
const MOST_PRECISE = 1e4

/** Whether the rounding of the sums, which depends on the largest loss of all slices, does not matter for the spread. */
function isExact(moments: Moments, mean: number, spread: number): boolean {
  const { shares, shareSquares, products, rounding, low, high } = moments
  // Without any spread, there is nothing to be lost.
  if (low === high && products === mean * shareSquares) return true
  const ofMean = errorOfMean(moments)
  const slope = 2 * Math.abs(mean * shareSquares - products)
  const error =
    rounding.squares +
    2 * Math.abs(mean) * rounding.products +
    mean * mean * rounding.shareSquares +
    (slope + Math.abs(shares) * ofMean) * ofMean
  return error === 0 || spread > MOST_PRECISE * error
}

function errorOfMean({ sum, shares, rounding }: Moments): number {
  return (rounding.sum + Math.abs(sum / shares) * rounding.shares) / Math.abs(shares)
}

/** The least precision of a mean, in parts of the largest loss of its rows. */
const LEAST_PRECISION = 1e-9

/**
 * Whether a mean is known beside the losses of other slices: all sums have the same lowest digit, which depends on the
 * largest loss. Without the smallest and the largest loss, the root of the mean square tells how large losses are.
 */
export function isMeanKnown(moments: Moments): boolean {
  const { rows, squares, low, high } = moments
  const size = low <= high ? Math.max(Math.abs(low), Math.abs(high)) : Math.sqrt(squares / rows)
  const isNothing = size === 0 && moments.sum === 0
  return isNothing || errorOfMean(moments) <= LEAST_PRECISION * size
}

/** Sums by bucket, of one slice of one series. */
export interface Buckets {
  readonly sums: Float64Array
  readonly shares: Float64Array
}

/** How rows or buckets are drawn again. */
export interface Resampling {
  readonly replicates: number
  readonly seed: number
  /** Called before each replicate. What it throws ends the bootstrap. */
  readonly goOn?: (() => void) | undefined
}

/**
 * Bootstrap intervals. Buckets with rows are drawn with replacement, and the same draws serve all slices, so that one
 * pass over the data is enough for any number of replicates. The percentiles are widened for few rows (Hesterberg 2015,
 * "What teachers should know about the bootstrap": the expanded percentile interval).
 *
 * @returns one for each; undefined where fewer than two buckets have rows
 */
export function bootstrap(
  slices: readonly Buckets[],
  { replicates, seed, goOn }: Resampling,
): (Uncertain | undefined)[] {
  const filled = withoutEmpty(slices)
  const count = filled[0]?.shares.length ?? 0
  const means = filled.map(() => new Float64Array(replicates))
  const next = randomWords(seed)
  const times = new Float64Array(count)
  for (let replicate = 0; replicate < replicates; replicate++) {
    goOn?.()
    draw(times, next)
    for (let slice = 0; slice < filled.length; slice += ABREAST)
      putRatios(filled, times, means, slice, replicate)
  }
  return filled.map(({ shares }, slice) => spreadOf(countOf(shares, 0, shares.length), means[slice]))
}

/** Rows in the order of their slices. */
export interface SlicedRows {
  /** Where the rows of each slice end. */
  readonly ends: readonly number[]
  /** Of each series: what each row adds to the sums; shares are undefined if they are all 1. */
  readonly series: readonly { readonly values: Float64Array; readonly shares: Float64Array | undefined }[]
}

/**
 * Bootstrap intervals of rows, each drawn by itself. The same draws serve all series and slices.
 *
 * @returns for each series that of all rows, then those of the slices
 */
export function bootstrapRows(
  { ends, series }: SlicedRows,
  { replicates, seed, goOn }: Resampling,
): (Uncertain | undefined)[][] {
  const rows = ends.at(-1) ?? 0
  const means = series.map(() => Array.from({ length: ends.length + 1 }, () => new Float64Array(replicates)))
  const next = randomWords(seed)
  const times = new Float64Array(rows)
  for (let replicate = 0; replicate < replicates; replicate++) {
    goOn?.()
    draw(times, next)
    for (const [place, own] of series.entries()) putMeans(own, times, ends, means[place], replicate)
  }
  return series.map(({ shares }, place) =>
    means[place].map((own, i) => {
      const [from, to] = i === 0 ? [0, rows] : [ends[i - 2] ?? 0, ends[i - 1]]
      return spreadOf(countOf(shares, from, to), own)
    }),
  )
}

/** The means of one replicate: of all rows, and of each slice. */
function putMeans(
  { values, shares }: SlicedRows['series'][number],
  times: Float64Array,
  ends: readonly number[],
  means: readonly Float64Array[],
  replicate: number,
) {
  let [allSum, allShare, from] = [0, 0, 0]
  for (const [slice, end] of ends.entries()) {
    let [sum, share] = [0, 0]
    if (shares === undefined)
      for (let i = from; i < end; i++) {
        sum += times[i] * values[i]
        share += times[i]
      }
    else
      for (let i = from; i < end; i++) {
        sum += times[i] * values[i]
        share += times[i] * shares[i]
      }
    means[slice + 1][replicate] = sum / share
    allSum += sum
    allShare += share
    from = end
  }
  means[0][replicate] = allSum / allShare
}

function countOf(shares: Float64Array | undefined, from: number, to: number): number {
  if (shares === undefined) return to - from
  let count = 0
  for (let i = from; i < to; i++) if (shares[i] !== 0) count++
  return count
}

/** Without the buckets that are empty in all slices. */
function withoutEmpty(slices: readonly Buckets[]): Buckets[] {
  const places = Array.from(slices[0]?.shares ?? [], (_, i) => i)
  const filled = places.filter((i) => slices.some(({ shares }) => shares[i] !== 0))
  const own = (all: Float64Array) => {
    if (filled.length === all.length) return all
    return Float64Array.from(filled, (i) => all[i])
  }
  return slices.map(({ sums, shares }) => ({ sums: own(sums), shares: own(shares) }))
}

/** How often each bucket is drawn. */
function draw(times: Float64Array, next: () => number) {
  times.fill(0)
  const scale = times.length / 2 ** 32
  for (let i = 0; i < times.length; i++) times[Math.floor(next() * scale)]++
}

/** Slices whose sums are made at the same time: one sum alone waits for each addition to end. */
const ABREAST = 4

function putRatios(
  slices: readonly Buckets[],
  times: Float64Array,
  means: readonly Float64Array[],
  first: number,
  replicate: number,
) {
  const last = slices.length - 1
  // Where there are fewer, the last is computed more than once.
  const [a, b, c, d] = [0, 1, 2, 3].map((i) => slices[Math.min(first + i, last)])
  const [aSums, bSums, cSums, dSums] = [a.sums, b.sums, c.sums, d.sums]
  const [aShares, bShares, cShares, dShares] = [a.shares, b.shares, c.shares, d.shares]
  let [aSum, bSum, cSum, dSum] = [0, 0, 0, 0]
  let [aShare, bShare, cShare, dShare] = [0, 0, 0, 0]
  for (let i = 0; i < times.length; i++) {
    const count = times[i]
    aSum += count * aSums[i]
    aShare += count * aShares[i]
    bSum += count * bSums[i]
    bShare += count * bShares[i]
    cSum += count * cSums[i]
    cShare += count * cShares[i]
    dSum += count * dSums[i]
    dShare += count * dShares[i]
  }
  const ratios = [aSum / aShare, bSum / bShare, cSum / cShare, dSum / dShare]
  for (let i = first; i <= Math.min(last, first + ABREAST - 1); i++) means[i][replicate] = ratios[i - first]
}

/** @param filled how many rows or buckets are drawn from */
function spreadOf(filled: number, means: Float64Array): Uncertain | undefined {
  const sorted = means.filter((mean) => !Number.isNaN(mean)).sort()
  if (filled < 2 || sorted.length < 2) return undefined
  const center = sorted.reduce((total, x) => total + x, 0) / sorted.length
  const squares = sorted.reduce((total, x) => total + (x - center) ** 2, 0)
  const widened = studentQuantile(filled - 1) * Math.sqrt(filled / (filled - 1))
  const tail = normalBelow(-widened)
  return {
    standardError: Math.sqrt(squares / (sorted.length - 1)),
    interval: [percentile(sorted, tail), percentile(sorted, 1 - tail)],
  }
}

function percentile(sorted: Float64Array, share: number): number {
  const place = Math.min(sorted.length - 1, Math.max(0, share * (sorted.length + 1) - 1))
  const below = Math.floor(place)
  const [low, high] = [sorted[below], sorted[Math.min(sorted.length - 1, below + 1)]]
  return low + (high - low) * (place - below)
}

/** The quantile of Student's t at (1 + CONFIDENCE) / 2: the expansion of Cornish and Fisher, exact values below 5 degrees. */
export function studentQuantile(degrees: number): number {
  const exact = FEW_DEGREES[degrees - 1]
  if (exact !== undefined) return exact
  const [z, n] = [Z, degrees]
  return (
    z +
    (z ** 3 + z) / (4 * n) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * n ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * n ** 3)
  )
}

const FEW_DEGREES = [12.706204736, 4.30265273, 3.182446305, 2.776445105]

/** The normal distribution, to 1.5e-7 (Abramowitz and Stegun 7.1.26). */
function normalBelow(x: number): number {
  const t = 1 / (1 + (0.3275911 * Math.abs(x)) / Math.SQRT2)
  const poly =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
  const upper = 0.5 * poly * Math.exp((-x * x) / 2)
  return x < 0 ? upper : 1 - upper
}
