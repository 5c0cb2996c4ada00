/**
 * The state of an evaluation: what is known of the rows that were seen so far. States of parts add up to the state of
 * the whole, bit for bit, whatever the parts are and in whatever order they come.
 */
import { type KeptRecord, KeptRows } from './kept-rows.ts'
import { Series, type SeriesOptions, type SeriesRecord, type SeriesRows } from './series.ts'

/** One value of each column that slices are made of. */
export type SliceKey = readonly (string | number | boolean | null)[]

export interface StateOptions {
  readonly series: readonly SeriesOptions[]
  /** Whether sums are kept by bucket, for the bootstrap. */
  readonly hasBuckets: boolean
  /** Whether rows are kept while they are few, for the bootstrap of rows. */
  readonly keepsRows?: boolean
}

/** Rows that were left out, and why. */
export interface BadRows {
  readonly reason: string
  readonly count: number
  /** The first rows, at most ten. */
  readonly rows: readonly number[]
}

export interface StateRecord {
  readonly keys: readonly SliceKey[]
  readonly rows: Float64Array
  readonly buckets: number
  readonly bucketRows?: Float64Array | undefined
  readonly series: readonly SeriesRecord[]
  /** Undefined if rows are not kept, or not any more. */
  readonly kept?: KeptRecord | undefined
  readonly bad: readonly BadRows[]
}

/** Rows of a file, with their losses. */
export interface Rows {
  /** From {@link State.sliceOf}; -1 for a row that does not count. */
  readonly slices: Int32Array
  /** A hash of each row or of its cluster, if there are buckets. */
  readonly hashes: Uint32Array | undefined
  readonly series: readonly SeriesRows[]
  rowOf(i: number): number
}

/** More slices than can be kept. */
export class TooManySlices extends Error {
  override readonly name = 'TooManySlices'
}

const MOST_BUCKETS = 4096
const LEAST_BUCKETS = 256
/** Buckets of all slices together, while there are more than the least. */
const MOST_CELLS = 2 ** 17
/** Slices, and slices that have buckets. */
const MOST_SLICES = [10_000, 4_096] as const
/** Places of bad rows that are kept, for each reason. */
const MOST_PLACES = 10

export class State {
  readonly options: StateOptions
  readonly series: Series[]
  readonly keys: SliceKey[] = []
  /** Rows that count, of each slice. */
  rows = new Float64Array(16)
  /** Buckets of each slice. */
  buckets: number = MOST_BUCKETS
  /** Rows of each bucket of each slice, where all of them count alike. */
  bucketRows: Float64Array | undefined
  /** The rows, while they are few. */
  kept: KeptRows | undefined
  readonly #places = new Map<string, number>()
  readonly #bad = new Map<string, { count: number; rows: number[] }>()
  #cells = new Int32Array(0)

  constructor(options: StateOptions) {
    this.options = options
    this.series = options.series.map((one) => new Series(one, options.hasBuckets))
    if (options.hasBuckets) this.bucketRows = new Float64Array(0)
    if (options.keepsRows) this.kept = new KeptRows(options.series.map(({ hasShares }) => hasShares))
  }

  /**
   * The number of a slice, which it gets when it is first asked for.
   *
   * @throws TooManySlices
   */
  sliceOf(parts: SliceKey): number {
    const key = parts.some(isNotFinite)
      ? parts.map((part) => (isNotFinite(part) ? String(part) : part))
      : parts
    const text = JSON.stringify(key)
    const known = this.#places.get(text)
    if (known !== undefined) return known
    const slice = this.keys.push(key) - 1
    this.#places.set(text, slice)
    this.#grow(slice + 1)
    return slice
  }

  /** Adds rows, with all of their losses. */
  add({ slices, hashes, series, rowOf }: Rows): void {
    const hasCells = hashes !== undefined && this.options.hasBuckets
    const cells = hasCells ? this.#cellsOf(slices, hashes) : undefined
    for (let i = 0; i < slices.length; i++) if (slices[i] >= 0) this.rows[slices[i]]++
    for (const [place, rows] of series.entries()) this.series[place].add(rows, slices, cells, rowOf)
    this.keep(slices, series, rowOf)
  }

  /** Keeps rows that somebody else adds up, as long as there are few. */
  keep(slices: Int32Array, series: readonly SeriesRows[], rowOf: (i: number) => number): void {
    if (this.kept?.add(slices, series, rowOf) === false) this.kept = undefined
  }

  /** Counts a row that was left out. */
  addBad(reason: string, row: number): void {
    this.#mergeBad({ reason, count: 1, rows: [row] })
  }

  /** Adds the state of other rows. */
  merge(other: State): void {
    const sliceOf = Int32Array.from(other.keys, (key) => this.sliceOf(key))
    other.#foldTo(this.buckets)
    const cellOf = this.options.hasBuckets ? this.#cellsFrom(sliceOf) : EMPTY
    sliceOf.forEach((slice, from) => {
      this.rows[slice] += other.rows[from]
    })
    if (this.bucketRows !== undefined)
      for (let cell = 0; cell < cellOf.length; cell++)
        this.bucketRows[cellOf[cell]] += other.bucketRows![cell]
    for (const [place, series] of this.series.entries()) series.merge(other.series[place], sliceOf, cellOf)
    const isKept = other.kept !== undefined && this.kept?.merge(other.kept, sliceOf) === true
    if (!isKept) this.kept = undefined
    for (const bad of other.bad()) this.#mergeBad(bad)
  }

  /** Rows that were left out, by reason. */
  bad(): BadRows[] {
    const sorted = [...this.#bad].sort(([a], [b]) => (a < b ? -1 : 1))
    return sorted.map(([reason, { count, rows }]) => ({ reason, count, rows }))
  }

  record(): StateRecord {
    const slices = this.keys.length
    return {
      keys: this.keys,
      rows: this.rows.slice(0, slices),
      buckets: this.buckets,
      bucketRows: this.bucketRows?.slice(0, slices * this.buckets),
      series: this.series.map((one) => one.record()),
      kept: this.kept?.record(),
      bad: this.bad(),
    }
  }

  static restore(record: StateRecord, options: StateOptions): State {
    const made = new State(options)
    for (const [slice, key] of record.keys.entries()) made.#places.set(JSON.stringify(key), slice)
    made.keys.push(...record.keys)
    made.rows = new Float64Array(Math.max(16, record.keys.length))
    made.rows.set(record.rows)
    made.buckets = record.buckets
    made.bucketRows = record.bucketRows?.slice()
    record.series.forEach((one, place) => {
      made.series[place] = Series.restore(one, options.series[place])
    })
    made.kept = record.kept && KeptRows.restore(record.kept)
    for (const bad of record.bad) made.#mergeBad(bad)
    return made
  }

  #grow(slices: number) {
    const { hasBuckets } = this.options
    const most = MOST_SLICES[hasBuckets ? 1 : 0]
    if (slices > most)
      throw new TooManySlices(
        `there are more than ${most} slices${hasBuckets ? ' with a bootstrap' : ''}; slice by columns with fewer values`,
      )
    if (slices > this.rows.length) {
      const longer = new Float64Array(2 * this.rows.length)
      longer.set(this.rows)
      this.rows = longer
    }
    if (hasBuckets) this.#growBuckets(slices)
    for (const one of this.series) one.grow(slices, this.buckets)
  }

  #growBuckets(slices: number) {
    this.#foldTo(bucketsFor(slices))
    const size = slices * this.buckets
    if (size <= this.bucketRows!.length) return
    const longer = new Float64Array(Math.max(size, 2 * this.bucketRows!.length))
    longer.set(this.bucketRows!)
    this.bucketRows = longer
  }

  /** Buckets whose hashes have the same last bits become one. */
  #foldTo(buckets: number) {
    if (buckets >= this.buckets) return
    const before = this.buckets
    const slices = this.series[0]?.sums.cells ?? 0
    const cellOf = cellsOf(slices, before, (slice) => slice, buckets)
    const folded = new Float64Array(slices * buckets)
    for (let cell = 0; cell < cellOf.length; cell++) folded[cellOf[cell]] += this.bucketRows![cell]
    this.bucketRows = folded
    this.buckets = buckets
    for (const one of this.series) one.foldBuckets(slices * buckets, cellOf)
  }

  /** The bucket of each row, and its count; -1 for a row that does not count. */
  #cellsOf(slices: Int32Array, hashes: Uint32Array): Int32Array {
    if (this.#cells.length < slices.length) this.#cells = new Int32Array(slices.length)
    const cells = this.#cells.subarray(0, slices.length)
    const { buckets } = this
    const bucketRows = this.bucketRows!
    for (let i = 0; i < slices.length; i++) {
      cells[i] = -1
      if (slices[i] < 0) continue
      const cell = slices[i] * buckets + (hashes[i] & (buckets - 1))
      cells[i] = cell
      bucketRows[cell]++
    }
    return cells
  }

  #cellsFrom(sliceOf: Int32Array): Int32Array {
    const { buckets } = this
    return cellsOf(sliceOf.length, buckets, (slice) => sliceOf[slice], buckets)
  }

  #mergeBad({ reason, count, rows }: BadRows) {
    const known = this.#bad.get(reason) ?? { count: 0, rows: [] }
    const places = [...known.rows, ...rows].sort((a, b) => a - b).slice(0, MOST_PLACES)
    this.#bad.set(reason, { count: known.count + count, rows: places })
  }
}

const EMPTY = new Int32Array(0)

/** JSON has no word for it. */
function isNotFinite(part: SliceKey[number]): boolean {
  return typeof part === 'number' && !Number.isFinite(part)
}

/** Where the buckets of slices go: those of slice `i` to `sliceOf(i)`, which has `buckets` of them. */
function cellsOf(
  slices: number,
  before: number,
  sliceOf: (slice: number) => number,
  buckets: number,
): Int32Array {
  const cells = new Int32Array(slices * before)
  for (let slice = 0, cell = 0; slice < slices; slice++) {
    const first = sliceOf(slice) * buckets
    for (let bucket = 0; bucket < before; bucket++) cells[cell++] = first + (bucket & (buckets - 1))
  }
  return cells
}

/** The more slices there are, the fewer buckets each has. It depends on nothing else, so it does not matter when. */
function bucketsFor(slices: number): number {
  let buckets: number = MOST_BUCKETS
  while (buckets > LEAST_BUCKETS && slices * buckets > MOST_CELLS) buckets /= 2
  return buckets
}
