/**
 * What is kept of one loss: mergeable sums by slice and by bucket. Everything is a sum, a count, a minimum or a maximum
 * that does not depend on the order of the rows.
 */
import { type BinnedRecord, BinnedSums, COARSE, TOO_LARGE } from './binned-sums.ts'
import { QuantileSketch, type SketchRecord } from './quantile-sketch.ts'
import { type WorstRow, WorstRows } from './worst-rows.ts'

/** What a row adds to the mean: `mean = sum of values / sum of shares`. */
export interface SeriesRows {
  /** The loss of each row, times its weight. */
  readonly values: Float64Array
  /** What each row adds to the denominator, times its weight; undefined if that is 1. */
  readonly shares: Float64Array | undefined
  /** The loss of each row without its weight, for quantiles and the worst rows. */
  readonly losses: Float64Array
}

export interface SeriesOptions {
  /** Whether rows have weights or denominators of their own. */
  readonly hasShares: boolean
  readonly hasSketch: boolean
  /** How many of the worst rows are kept. */
  readonly worst: number
}

export interface SeriesRecord {
  readonly sums: BinnedRecord
  readonly squares: BinnedRecord
  readonly shares?: readonly [BinnedRecord, BinnedRecord, BinnedRecord] | undefined
  /** Where there are shares: rows of each slice whose share is not 0. */
  readonly counted?: Float64Array | undefined
  readonly extremes: Float64Array
  readonly infinite: Float64Array
  readonly buckets?: BinnedRecord | undefined
  readonly bucketShares?: BinnedRecord | undefined
  readonly sketches: readonly SketchRecord[]
  readonly worst: readonly WorstRow[]
}

/** Above this many slices, quantiles are only those of all rows. */
export const MOST_SKETCHES = 512

/** Sums of the shares of rows, which are 1 for most losses. */
interface ShareSums {
  readonly sums: BinnedSums
  readonly squares: BinnedSums
  /** Of value times share. */
  readonly products: BinnedSums
}

/** The numbers of a slice that its mean and its interval are made of. */
/** By how much sums may be off. */
export type Rounding = Readonly<Record<'sum' | 'squares' | 'shares' | 'shareSquares' | 'products', number>>

export interface Moments {
  /** Rows whose share is not 0. */
  readonly rows: number
  readonly sum: number
  readonly squares: number
  readonly shares: number
  readonly shareSquares: number
  readonly products: number
  /** By how much the sums may be off, because there are far larger terms in other slices. */
  readonly rounding: Rounding
  readonly low: number
  readonly high: number
  /** Rows with a loss of plus and of minus infinity. */
  readonly infinite: readonly [number, number]
}

export class Series {
  readonly options: SeriesOptions
  sums = new BinnedSums(0)
  squares = new BinnedSums(0)
  shares: ShareSums | undefined
  /** Rows of each slice whose share is not 0; nothing is counted here where there are no shares. */
  counted = new Float64Array(0)
  /** Low, high of each slice. */
  extremes = new Float64Array(0)
  /** Rows at plus infinity and at minus infinity, of each slice. */
  infinite = new Float64Array(0)
  buckets: BinnedSums | undefined
  bucketShares: BinnedSums | undefined
  readonly worst: WorstRows
  /** One for each slice, or one for all. */
  sketches: QuantileSketch[] = []
  #slices = 0
  /** Memory that is used again. */
  #squares = new Float64Array(0)
  #ownSlices = new Int32Array(0)

  /** @param hasBuckets whether sums are also kept by bucket */
  constructor(options: SeriesOptions, hasBuckets: boolean) {
    this.options = options
    this.worst = new WorstRows(options.worst)
    const { hasShares } = options
    if (hasShares)
      this.shares = { sums: new BinnedSums(0), squares: new BinnedSums(0), products: new BinnedSums(0) }
    if (hasBuckets) this.buckets = new BinnedSums(0, COARSE)
    if (hasBuckets && hasShares) this.bucketShares = new BinnedSums(0, COARSE)
  }

  /** Makes room for slices, and for the buckets of each. */
  grow(slices: number, buckets: number): void {
    if (slices <= this.#slices) return
    this.sums.grow(slices)
    this.squares.grow(slices)
    if (this.shares !== undefined) for (const sums of Object.values(this.shares)) sums.grow(slices)
    if (this.shares !== undefined) this.counted = extended(this.counted, slices)
    this.extremes = extended(this.extremes, 2 * slices)
    this.infinite = extended(this.infinite, 2 * slices)
    for (let slice = this.#slices; slice < slices; slice++)
      this.extremes.set([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], 2 * slice)
    this.buckets?.grow(slices * buckets)
    this.bucketShares?.grow(slices * buckets)
    this.#slices = slices
    if (this.options.hasSketch) this.#growSketches(slices)
  }

  /**
   * Adds rows.
   *
   * @param slices the slice of each row, or -1 for a row that does not count
   * @param cells the bucket of each row among those of all slices
   * @param rowOf the number of a row among all rows
   */
  add(
    { values, shares, losses }: SeriesRows,
    slices: Int32Array,
    cells: Int32Array | undefined,
    rowOf: (i: number) => number,
  ): void {
    if (areSummable(values)) {
      this.sums.addAll(slices, values)
      this.squares.addAll(slices, this.#squaresOf(values))
      this.buckets?.addAll(cells!, values)
    } else this.#addOneByOne(values, slices, cells)
    if (shares !== undefined) this.#addShares(values, shares, slices, cells)
    const counted = shares === undefined ? slices : this.#countRows(shares, slices)
    this.#addToExtremes(losses, counted)
    this.#addToSketches(losses, counted)
    if (this.options.worst > 0) this.#addToWorst(losses, counted, rowOf)
  }

  /** @returns the slices of the rows that count */
  #countRows(shares: Float64Array, slices: Int32Array): Int32Array {
    if (this.#ownSlices.length < slices.length) this.#ownSlices = new Int32Array(slices.length)
    const counted = this.#ownSlices.subarray(0, slices.length)
    putSlicesThatCount(slices, shares, counted)
    for (let i = 0; i < counted.length; i++) if (counted[i] >= 0) this.counted[counted[i]]++
    return counted
  }

  /** Rows of which some are infinite, which is rare. */
  #addOneByOne(values: Float64Array, slices: Int32Array, cells: Int32Array | undefined) {
    for (let i = 0; i < slices.length; i++) {
      if (slices[i] < 0) continue
      const value = values[i]
      if (isSummable(value)) {
        this.sums.add(slices[i], value)
        this.squares.add(slices[i], squareOf(value))
        this.buckets?.add(cells![i], value)
      } else this.#addInfinite(slices[i], value)
    }
  }

  #addToExtremes(losses: Float64Array, slices: Int32Array) {
    const { extremes } = this
    for (let i = 0; i < slices.length; i++) {
      const at = 2 * slices[i]
      if (at < 0) continue
      // Both zeros are 0, whichever comes first.
      const loss = losses[i] + 0
      if (loss < extremes[at]) extremes[at] = loss
      if (loss > extremes[at + 1]) extremes[at + 1] = loss
    }
  }

  #squaresOf(values: Float64Array): Float64Array {
    if (this.#squares.length < values.length) this.#squares = new Float64Array(values.length)
    const squares = this.#squares
    for (let i = 0; i < values.length; i++) {
      const square = values[i] * values[i]
      squares[i] = square < TOO_LARGE ? square : LARGEST
    }
    return squares
  }

  /** The sketch that the rows of a slice are counted in. */
  sketchOf(slice: number): QuantileSketch {
    return this.sketches[this.sketches.length === 1 ? 0 : slice]
  }

  /** Adds sums that somebody else has made of the rows of a slice. */
  addMoments(slice: number, { sum, squares }: Pick<Moments, 'sum' | 'squares'>): void {
    this.sums.add(slice, sum)
    this.squares.add(slice, squares)
  }

  /**
   * Adds the sums of another series.
   *
   * @param sliceOf where its slices are here
   * @param cellOf where its buckets are here
   */
  merge(other: Series, sliceOf: Int32Array, cellOf: Int32Array): void {
    this.sums.merge(other.sums, sliceOf)
    this.squares.merge(other.squares, sliceOf)
    if (this.shares !== undefined)
      for (const name of ['sums', 'squares', 'products'] as const)
        this.shares[name].merge(other.shares![name], sliceOf)
    this.buckets?.merge(other.buckets!, cellOf)
    this.bucketShares?.merge(other.bucketShares!, cellOf)
    for (const [from, slice] of sliceOf.entries()) {
      if (this.shares !== undefined) this.counted[slice] += other.counted[from]
      this.#mergeExtremes(slice, other, from)
    }
    this.worst.merge(other.worst)
    this.#mergeSketches(other, sliceOf)
  }

  /** Puts buckets together. */
  foldBuckets(cells: number, cellOf: Int32Array): void {
    this.buckets = this.buckets?.regrouped(cells, cellOf)
    this.bucketShares = this.bucketShares?.regrouped(cells, cellOf)
  }

  moments(slice: number, rows: number): Moments {
    const sum = this.sums.value(slice)
    const { shares } = this
    return {
      rows: shares === undefined ? rows : this.counted[slice],
      sum,
      rounding: this.#roundingOf(rows),
      squares: this.squares.value(slice),
      shares: shares?.sums.value(slice) ?? rows,
      shareSquares: shares?.squares.value(slice) ?? rows,
      products: shares?.products.value(slice) ?? sum,
      low: this.extremes[2 * slice],
      high: this.extremes[2 * slice + 1],
      infinite: [this.infinite[2 * slice], this.infinite[2 * slice + 1]],
    }
  }

  #roundingOf(rows: number): Rounding {
    const { shares } = this
    const sum = this.sums.roundingOf(rows)
    return {
      sum,
      squares: this.squares.roundingOf(rows),
      shares: shares?.sums.roundingOf(rows) ?? 0,
      shareSquares: shares?.squares.roundingOf(rows) ?? 0,
      products: shares?.products.roundingOf(rows) ?? sum,
    }
  }

  record(): SeriesRecord {
    const { shares } = this
    return {
      sums: this.sums.record(),
      squares: this.squares.record(),
      shares: shares && [shares.sums.record(), shares.squares.record(), shares.products.record()],
      counted: shares && this.counted.slice(),
      extremes: this.extremes.slice(),
      infinite: this.infinite.slice(),
      buckets: this.buckets?.record(),
      bucketShares: this.bucketShares?.record(),
      sketches: this.sketches.map((sketch) => sketch.record()),
      worst: this.worst.rows(),
    }
  }

  static restore(record: SeriesRecord, options: SeriesOptions): Series {
    const made = new Series(options, record.buckets !== undefined)
    made.sums = BinnedSums.restore(record.sums)
    made.squares = BinnedSums.restore(record.squares)
    if (record.shares !== undefined) {
      const [sums, squares, products] = record.shares.map((one) => BinnedSums.restore(one))
      made.shares = { sums, squares, products }
    }
    if (record.counted !== undefined) made.counted = record.counted.slice()
    made.extremes = record.extremes.slice()
    made.infinite = record.infinite.slice()
    if (record.buckets !== undefined) made.buckets = BinnedSums.restore(record.buckets, COARSE)
    if (record.bucketShares !== undefined) made.bucketShares = BinnedSums.restore(record.bucketShares, COARSE)
    if (options.hasSketch) made.sketches = record.sketches.map((one) => QuantileSketch.restore(one))
    for (const { loss, row } of record.worst) made.worst.add(loss, row)
    made.#slices = record.extremes.length / 2
    return made
  }

  /** The difference of two infinite losses is NaN, which counts as both. */
  #addInfinite(slice: number, value: number) {
    if (!(value < 0)) this.infinite[2 * slice]++
    if (!(value > 0)) this.infinite[2 * slice + 1]++
  }

  #addShares(values: Float64Array, shares: Float64Array, slices: Int32Array, cells: Int32Array | undefined) {
    const own = this.shares!
    for (let i = 0; i < slices.length; i++) {
      if (slices[i] < 0) continue
      const value = values[i]
      own.sums.add(slices[i], shares[i])
      own.squares.add(slices[i], squareOf(shares[i]))
      if (Math.abs(value) < TOO_LARGE) own.products.add(slices[i], bounded(value * shares[i]))
      if (cells !== undefined) this.bucketShares!.add(cells[i], shares[i])
    }
  }

  #addToWorst(losses: Float64Array, slices: Int32Array, rowOf: (i: number) => number) {
    for (let i = 0; i < slices.length; i++)
      if (slices[i] >= 0 && losses[i] >= this.worst.least) this.worst.add(losses[i], rowOf(i))
  }

  #addToSketches(losses: Float64Array, slices: Int32Array) {
    const { sketches } = this
    if (sketches.length === 0) return
    const isOne = sketches.length === 1
    for (let i = 0; i < slices.length; i++) if (slices[i] >= 0) sketches[isOne ? 0 : slices[i]].add(losses[i])
  }

  #growSketches(slices: number) {
    if (slices > MOST_SKETCHES) return this.#foldSketches()
    while (this.sketches.length < slices) this.sketches.push(new QuantileSketch())
  }

  #foldSketches() {
    const [first = new QuantileSketch(), ...others] = this.sketches
    for (const other of others) first.merge(other)
    this.sketches = [first]
  }

  #mergeSketches(other: Series, sliceOf: Int32Array) {
    if (!this.options.hasSketch) return
    if (this.#slices > MOST_SKETCHES) this.#foldSketches()
    for (const [slice, sketch] of other.sketches.entries())
      this.sketches[this.sketches.length === 1 ? 0 : sliceOf[slice]].merge(sketch)
  }

  #mergeExtremes(slice: number, other: Series, from: number) {
    const [to, at] = [2 * slice, 2 * from]
    this.extremes[to] = Math.min(this.extremes[to], other.extremes[at])
    this.extremes[to + 1] = Math.max(this.extremes[to + 1], other.extremes[at + 1])
    this.infinite[to] += other.infinite[at]
    this.infinite[to + 1] += other.infinite[at + 1]
  }
}

/** Whether each slice has a sketch of its own. */
export function hasSketchOfSlices({ sketches }: Series, slices: number): boolean {
  return sketches.length > 0 && slices <= MOST_SKETCHES
}

/**
 * The slices of rows, but -1 for a row whose share is 0: what its loss is says nothing about the others.
 *
 * @param into as long as the slices
 */
export function putSlicesThatCount(slices: Int32Array, shares: Float64Array, into: Int32Array): void {
  for (let i = 0; i < into.length; i++) into[i] = shares[i] === 0 ? -1 : slices[i]
}

function isSummable(value: number): boolean {
  return value < TOO_LARGE && value > -TOO_LARGE
}

/** Rows that do not count may have any loss: then this is false, and they are looked at one by one. */
function areSummable(values: Float64Array): boolean {
  for (let i = 0; i < values.length; i++) if (!isSummable(values[i])) return false
  return true
}

function squareOf(value: number): number {
  return bounded(value * value)
}

/** A product that is too large to be summed: the interval is then infinite, for all that matters. */
function bounded(value: number): number {
  return value < TOO_LARGE ? (value > -TOO_LARGE ? value : -LARGEST) : LARGEST
}

const LARGEST = 2 ** 959

function extended(numbers: Float64Array, length: number): Float64Array<ArrayBuffer> {
  const longer = new Float64Array(length)
  longer.set(numbers)
  return longer
}
