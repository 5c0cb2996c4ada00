/**
 * Adds blocks of rows to a state at the speed of WebAssembly. The sums are those of `State.add`, bit for bit: additions are
 * exact, so it does not matter that they are made elsewhere first.
 */
import { type BinnedRecord, type Bins, COARSE, FINE, limitFor, roundersFor, topFor } from './binned-sums.ts'
import { hashRows } from './random.ts'
import {
  BUCKET_BYTES,
  EXTREMES_BYTES,
  openRowLoops,
  type RowLoops,
  SKETCH_BINS,
  SKETCH_PAGES,
  SUMS_BYTES,
  sumOfParts,
} from './row-loops.ts'
import {
  MOST_SKETCHES,
  putSlicesThatCount,
  type SeriesOptions,
  type SeriesRecord,
  type SeriesRows,
} from './series.ts'
import { State } from './state.ts'

/** Where the rows of a block are. Without weights, values and losses are the same. */
interface RowPlaces {
  readonly values: number
  readonly losses: number
  readonly shares: number | undefined
}

/** The largest terms of a block that are added to one pair of sums. */
type Largest = readonly [number, number]

/** Two sums of each slice, or one of each bucket. */
interface Sums {
  readonly place: number
  readonly rounders: number
  readonly tops: readonly number[]
  /** Terms below these fit into the bins. */
  readonly limits: readonly number[]
}

/** What is kept of a series until it goes into the state. */
interface Kept {
  readonly sums: Sums
  readonly shares:
    | {
        readonly sums: Sums
        readonly products: Sums
        /** How many rows of each slice have a share that is not 0. */
        readonly counts: number
      }
    | undefined
  readonly buckets: Sums | undefined
  readonly bucketShares: Sums | undefined
  readonly extremes: number
  /** Of the pages of the sketches; 0 if there are none. */
  readonly directory: number
}

/** What the sums of a series must have room for. */
interface Need {
  readonly values: Largest
  readonly shares: Largest
  readonly products: Largest
}

/** The hashes of rows: `written` by the caller, or those of rows that follow each other. */
export type Hashes = 'written' | { readonly first: number; readonly seed: number }

const PAGE = 65536
/** The squares of larger terms are not summed here. */
const MOST_SUMMABLE = 2 ** 479
const SLICES_STEP = 16

export class BlockSums {
  #state: State
  readonly #rows: number
  readonly #loops: RowLoops
  readonly #slices: number
  /** Slices of the rows that count in one series. */
  readonly #ownSlices: number
  readonly #cells: number
  readonly #places: readonly RowPlaces[]
  /** Everything before has the length of a block. */
  readonly #fixed: number
  /** Where memory is free. */
  #free = 16
  /** Empty if nothing was added. */
  #kept: Kept[] = []
  #counts = 0
  /** The largest size of the losses of each series, where it is known; NaN otherwise. */
  readonly #largest: Float64Array
  /** For how many slices, and buckets of each, there is room. */
  #room = 0
  #buckets = 0

  /** @param rows of the longest block, a multiple of 4 */
  constructor(state: State, rows: number) {
    this.#state = state
    this.#rows = rows
    this.#loops = openRowLoops()
    this.#slices = this.#take(4 * rows)
    this.#ownSlices = this.#take(4 * rows)
    this.#cells = this.#take(4 * rows)
    this.#places = state.options.series.map(({ hasShares }) => {
      const values = this.#take(8 * rows)
      if (!hasShares) return { values, losses: values, shares: undefined }
      return { values, losses: this.#take(8 * rows), shares: this.#take(8 * rows) }
    })
    this.#fixed = this.#free
    this.#largest = new Float64Array(this.#places.length).fill(Number.NaN)
  }

  /** Rows are added to another state from now on. What was not moved into the state before is forgotten. */
  begin(state: State): void {
    this.#state = state
    this.#room = 0
    this.#kept = []
  }

  /** Whether a loss that the caller has written is NaN. */
  hasNaN(series: number, count: number): boolean {
    const largest = this.#loops.largest(count, this.#places[series].losses)
    this.#largest[series] = largest
    return Number.isNaN(largest)
  }

  /** The slice of each row, which the caller writes; -1 for rows that do not count. Valid until the next `add`. */
  get slices(): Int32Array {
    return new Int32Array(this.#loops.memory.buffer, this.#slices, this.#rows)
  }

  /** The hash of each row, if the caller writes them. Valid until the next `add`. */
  get hashes(): Uint32Array {
    return new Uint32Array(this.#loops.memory.buffer, this.#cells, this.#rows)
  }

  /** The rows of a series, which the caller writes. Valid until the next `add`. */
  rowsOf(series: number): SeriesRows {
    const { values, losses, shares } = this.#places[series]
    const own = this.#doubles(values, this.#rows)
    return {
      values: own,
      losses: losses === values ? own : this.#doubles(losses, this.#rows),
      shares: shares === undefined ? undefined : this.#doubles(shares, this.#rows),
    }
  }

  /** Adds the rows that the caller has written. */
  add(count: number, hashes: Hashes, rowOf: (i: number) => number): void {
    if (this.#silenceOthers(count)) this.#largest.fill(Number.NaN)
    const needs = this.#places.map((places, series) => this.#needOf(places, series, count))
    if (needs.every(isSummable)) this.#addFast(count, needs, hashes, rowOf)
    else this.#addSlowly(count, hashes, rowOf)
    this.#largest.fill(Number.NaN)
  }

  #addFast(count: number, needs: readonly Need[], hashes: Hashes, rowOf: (i: number) => number) {
    this.#makeRoom(needs)
    if (this.#state.options.hasBuckets) this.#findCells(count, hashes)
    // They are counted along with the first losses, if they can be.
    if (this.#places[0]?.shares !== undefined) this.#loops.countRows(count, this.#slices, this.#counts)
    for (const [place, kept] of this.#kept.entries()) {
      const slices = this.#slicesThatCount(place, count)
      this.#addTo(kept, place, count, slices)
      if (this.#state.options.series[place].worst > 0) this.#addWorst(place, count, slices, rowOf)
    }
    if (this.#state.kept !== undefined)
      this.#state.keep(
        this.slices.subarray(0, count),
        this.#places.map((_, place) => this.rowsOf(place)),
        rowOf,
      )
  }

  /** Moves everything into the state. */
  drain(): void {
    if (this.#room === 0) return
    const { keys, options } = this.#state
    const slices = Math.min(keys.length, this.#room)
    const record = {
      keys: keys.slice(0, slices),
      rows: this.#doubles(this.#counts, slices),
      buckets: this.#buckets,
      bucketRows: options.hasBuckets ? this.#bucketRows(slices) : undefined,
      series: this.#kept.map((kept) => this.#recordOf(kept, slices)),
      // The rows themselves are in the state already.
      kept: new State(options).kept?.record(),
      bad: [],
    }
    this.#state.merge(State.restore(record, options))
    for (let place = 0; place < this.#kept.length; place++) this.#addSketches(place, slices)
    this.#room = 0
    this.#kept = []
  }

  #take(bytes: number): number {
    const place = this.#free
    this.#free = Math.ceil((place + bytes) / 16) * 16
    const { memory } = this.#loops
    const missing = this.#free - memory.buffer.byteLength
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE))
    return place
  }

  #zeros(bytes: number): number {
    const place = this.#take(bytes)
    new Uint8Array(this.#loops.memory.buffer).fill(0, place, this.#free)
    return place
  }

  #doubles(place: number, count: number): Float64Array {
    return new Float64Array(this.#loops.memory.buffer, place, count)
  }

  /** Rows that do not count may have any loss, which must not be in the way. Returns whether there are any. */
  #silenceOthers(count: number): boolean {
    const { slices } = this
    const first = this.#loops.firstNegative(count, this.#slices)
    if (first === count) return false
    for (let place = 0; place < this.#places.length; place++) {
      const { values, losses, shares } = this.rowsOf(place)
      for (let i = first; i < count; i++) {
        if (slices[i] >= 0) continue
        values[i] = 0
        losses[i] = 0
        if (shares !== undefined) shares[i] = 0
      }
    }
    return true
  }

  #needOf({ values, shares }: RowPlaces, series: number, count: number): Need {
    const value = shares === undefined ? this.#largestLoss(series, count) : this.#loops.largest(count, values)
    const share = shares === undefined ? 0 : this.#loops.largest(count, shares)
    const product = shares === undefined ? 0 : this.#loops.largestProduct(count, values, shares)
    return { values: [value, value * value], shares: [share, share * share], products: [product, 0] }
  }

  #largestLoss(series: number, count: number): number {
    const known = this.#largest[series]
    const largest = Number.isNaN(known) ? this.#loops.largest(count, this.#places[series].losses) : known
    this.#largest[series] = largest
    return largest
  }

  /** Rows of which some are infinite or very large. */
  #addSlowly(count: number, hashes: Hashes, rowOf: (i: number) => number) {
    const own = this.hashes.slice(0, count)
    if (hashes !== 'written') hashRows(hashes.first, count, hashes.seed, own, 0)
    const cut = (numbers: Float64Array) => numbers.subarray(0, count)
    this.#state.add({
      slices: this.slices.slice(0, count),
      hashes: own,
      series: this.#places.map((_, place) => {
        const { values, losses, shares } = this.rowsOf(place)
        return { values: cut(values), losses: cut(losses), shares: shares && cut(shares) }
      }),
      rowOf,
    })
  }

  /** Room for the slices and the buckets that the state has by now, and for terms of these sizes. */
  #makeRoom(needs: readonly Need[]) {
    const { keys, buckets } = this.#state
    const fits = keys.length <= this.#room && buckets === this.#buckets
    if (fits && this.#kept.every((kept, place) => hasRoomFor(kept, needs[place]))) return
    this.drain()
    this.#free = this.#fixed
    this.#room = roomFor(keys.length)
    this.#buckets = buckets
    this.#counts = this.#zeros(8 * this.#room)
    this.#kept = needs.map((need, place) => this.#roomFor(this.#state.options.series[place], need))
  }

  #roomFor({ hasShares, hasSketch }: SeriesOptions, { values, shares, products }: Need): Kept {
    const { hasBuckets } = this.#state.options
    const ofSlices = (most: Largest) => this.#sumsFor(most, FINE, this.#room * SUMS_BYTES)
    const ofBuckets = (most: Largest) =>
      hasBuckets ? this.#sumsFor(most, COARSE, this.#room * this.#buckets * BUCKET_BYTES) : undefined
    const extremes = this.#zeros(this.#room * EXTREMES_BYTES)
    this.#doubles(extremes, 2 * this.#room).fill(Number.POSITIVE_INFINITY)
    return {
      sums: ofSlices(values),
      shares: hasShares
        ? { sums: ofSlices(shares), products: ofSlices(products), counts: this.#zeros(8 * this.#room) }
        : undefined,
      buckets: ofBuckets(values),
      bucketShares: hasShares ? ofBuckets(shares) : undefined,
      extremes,
      directory: hasSketch ? this.#zeros(4 * SKETCH_PAGES * (this.#hasOneSketch ? 1 : this.#room)) : 0,
    }
  }

  #sumsFor(most: Largest, bins: Bins, bytes: number): Sums {
    const tops = most.map((size) => topFor(size, bins))
    const rounders = this.#take(16 * bins.count)
    const own = this.#doubles(rounders, 2 * bins.count)
    for (const [lane, top] of tops.entries())
      for (const [bin, rounder] of roundersFor(top, bins).entries()) own[2 * bin + lane] = rounder
    return { place: this.#zeros(bytes), rounders, tops, limits: tops.map((top) => limitFor(top, bins)) }
  }

  /** With many slices, quantiles are those of all rows. */
  get #hasOneSketch(): boolean {
    return this.#room > MOST_SKETCHES
  }

  #findCells(count: number, hashes: Hashes) {
    const whole = Math.ceil(count / 4) * 4
    if (hashes !== 'written') this.#hashRows(whole, hashes)
    this.#loops.findCells(whole, this.#slices, this.#cells, this.#buckets)
  }

  #hashRows(count: number, { first, seed }: Exclude<Hashes, 'written'>) {
    const low = first % 2 ** 32
    if (low + count > 2 ** 32) return hashRows(first, count, seed, this.hashes, 0)
    const above = Math.imul(Math.floor(first / 2 ** 32) + 1, 0x9e3779b1)
    this.#loops.hashCells(count, low | 0, above, seed | 0, this.#cells)
  }

  /** Where the slices of the rows are that count in a series. Valid until the next series. */
  #slicesThatCount(series: number, count: number): number {
    const { shares } = this.rowsOf(series)
    if (shares === undefined) return this.#slices
    const own = new Int32Array(this.#loops.memory.buffer, this.#ownSlices, count)
    putSlicesThatCount(this.slices, shares, own)
    return this.#ownSlices
  }

  /** Rows that count nothing are 0 in all sums, so sums may have them. */
  #addTo(kept: Kept, place: number, count: number, counted: number) {
    const loops = this.#loops
    const slices = this.#slices
    const { sums, buckets, bucketShares, extremes } = kept
    const { values, losses, shares } = this.#places[place]
    const addToBuckets = (own: Sums | undefined, numbers: number) =>
      own && loops.addToBuckets(count, numbers, this.#cells, own.place, own.rounders)
    addToBuckets(buckets, values)
    if (kept.directory !== 0) this.#sketch(kept.directory, losses, count, counted)
    if (shares === undefined || kept.shares === undefined) {
      if (place > 0) loops.addRows(count, values, slices, sums.place, sums.rounders, extremes)
      else loops.addAndCountRows(count, values, slices, sums.place, sums.rounders, extremes, this.#counts)
      return
    }
    loops.addSquared(count, values, slices, sums.place, sums.rounders)
    loops.findExtremes(count, losses, counted, extremes)
    const { sums: own, products, counts } = kept.shares
    loops.countRows(count, counted, counts)
    loops.addSquared(count, shares, slices, own.place, own.rounders)
    loops.addProducts(count, values, shares, slices, products.place, products.rounders)
    addToBuckets(bucketShares, shares)
  }

  #sketch(directory: number, losses: number, count: number, slices: number) {
    const stride = this.#hasOneSketch ? 0 : 4 * SKETCH_PAGES
    for (let from = 0; ; ) {
      from = this.#loops.sketch(from, count, losses, slices, directory, stride)
      if (from === count) return
      const page = this.#zeros(4 * SKETCH_BINS)
      const { buffer } = this.#loops.memory
      const slice = new Int32Array(buffer, slices)[from]
      const word = new Uint32Array(buffer, losses)[2 * from + 1]
      new Int32Array(buffer)[(directory + slice * stride) / 4 + (word >>> 22)] = page
    }
  }

  #addWorst(place: number, count: number, counted: number, rowOf: (i: number) => number) {
    const { worst } = this.#state.series[place]
    const { losses } = this.#places[place]
    if (this.#largestLoss(place, count) < worst.least) return
    const own = this.#doubles(losses, count)
    const slices = new Int32Array(this.#loops.memory.buffer, counted, count)
    for (let i = 0; i < count; i++) if (slices[i] >= 0 && own[i] >= worst.least) worst.add(own[i], rowOf(i))
  }

  /** Of one lane. */
  #sliceSums({ place, tops }: Sums, lane: 0 | 1, slices: number): BinnedRecord {
    const { count } = FINE
    const cells = new BigInt64Array(this.#loops.memory.buffer, place, 2 * count * slices)
    const rows = this.#doubles(this.#counts, slices)
    const rounders = roundersFor(tops[lane], FINE)
    const bins = new Float64Array(count * slices)
    for (let i = 0; i < bins.length; i++)
      bins[i] = sumOfParts(cells[2 * i + lane], rounders[i % count], rows[Math.floor(i / count)])
    return { top: tops[lane], bins }
  }

  #bucketSums({ place, tops }: Sums, slices: number): BinnedRecord {
    const { count } = COARSE
    const cells = this.#doubles(place, (count + 1) * slices * this.#buckets)
    const bins = new Float64Array(count * slices * this.#buckets)
    for (let from = 0, to = 0; from < cells.length; from += count + 1)
      for (let bin = 0; bin < count; bin++) bins[to++] = cells[from + bin]
    return { top: tops[0], bins }
  }

  /** Every series counts the rows of its buckets. */
  #bucketRows(slices: number): Float64Array {
    const { count } = COARSE
    const buckets = slices * this.#buckets
    const cells = this.#doubles(this.#kept[0].buckets!.place, (count + 1) * buckets)
    const rows = new Float64Array(buckets)
    for (let i = 0; i < buckets; i++) rows[i] = cells[(count + 1) * i + count]
    return rows
  }

  #recordOf({ sums, shares, buckets, bucketShares, extremes }: Kept, slices: number): SeriesRecord {
    const found = this.#doubles(extremes, 2 * slices)
    return {
      sums: this.#sliceSums(sums, 0, slices),
      squares: this.#sliceSums(sums, 1, slices),
      shares: shares && [
        this.#sliceSums(shares.sums, 0, slices),
        this.#sliceSums(shares.sums, 1, slices),
        this.#sliceSums(shares.products, 0, slices),
      ],
      counted: shares && this.#doubles(shares.counts, slices).slice(),
      // Both zeros are 0, whichever came first.
      extremes: found.map((x, i) => (i % 2 === 0 ? x + 0 : 0 - x)),
      infinite: new Float64Array(2 * slices),
      buckets: buckets && this.#bucketSums(buckets, slices),
      bucketShares: bucketShares && this.#bucketSums(bucketShares, slices),
      sketches: [],
      worst: [],
    }
  }

  #addSketches(place: number, slices: number) {
    const { directory } = this.#kept[place]
    if (directory === 0) return
    const { buffer } = this.#loops.memory
    for (let slice = 0; slice < (this.#hasOneSketch ? 1 : slices); slice++) {
      const pages = new Int32Array(buffer, directory + 4 * SKETCH_PAGES * slice, SKETCH_PAGES)
      const sketch = this.#state.series[place].sketchOf(slice)
      for (let i = 0; i < SKETCH_PAGES; i++)
        if (pages[i] !== 0) sketch.addPage(i, new Uint32Array(buffer, pages[i], SKETCH_BINS))
    }
  }
}

/** Room for more slices, but not for so many that they would share one sketch. */
function roomFor(slices: number): number {
  const room = Math.ceil((slices * 1.25) / SLICES_STEP) * SLICES_STEP
  return slices <= MOST_SKETCHES ? Math.min(room, MOST_SKETCHES) : room
}

function isSummable({ values, shares, products }: Need): boolean {
  return values[0] < MOST_SUMMABLE && shares[0] < MOST_SUMMABLE && products[0] < MOST_SUMMABLE
}

function hasRoomFor({ sums, shares, buckets, bucketShares }: Kept, need: Need): boolean {
  const fits = (own: Sums | undefined, most: Largest) =>
    own === undefined || (most[0] < own.limits[0] && most[1] < own.limits[1])
  return (
    fits(sums, need.values) &&
    fits(shares?.sums, need.shares) &&
    fits(shares?.products, need.products) &&
    fits(buckets, [need.values[0], 0]) &&
    fits(bucketShares, [need.shares[0], 0])
  )
}
