/**
 * Sums that do not depend on the order of their terms, nor on how the terms were split and merged: binned summation
 * (Demmel and Nguyen 2015, "Parallel reproducible summation").
 *
 * Every term is split at fixed places of the binary scale into a few parts, each an integer multiple of its bin's unit,
 * and the parts are added up bin by bin. Such additions are exact, so they are associative. What is below the lowest
 * bin is rounded off, term by term. Where the bins are depends on the largest term alone.
 */

/** The digits of a bin, and how many bins there are. */
export interface Bins {
  readonly width: number
  readonly count: number
}

/** For 1.7e10 terms. Each is rounded to 2^-59 of the largest. */
export const FINE: Bins = { width: 20, count: 4 }
/** For 2.6e8 terms, each rounded to 2^-51 of the largest: for sums that are resampled. */
export const COARSE: Bins = { width: 26, count: 3 }

/** Terms of this size or above are not summed. */
export const TOO_LARGE = 2 ** 960

const NONE = -10_000
const LEAST_EXPONENT = -1074

/** What is stored of sums. */
export interface BinnedRecord {
  readonly top: number
  readonly bins: Float64Array
}

/** Several sums that share their bins. */
export class BinnedSums {
  readonly #format: Bins
  /** The unit of the highest bin is 2^(width * top). */
  #top = NONE
  /** Terms below it fit into the bins. */
  #limit = 0
  /** Adding and subtracting one of these rounds to the unit of a bin. */
  readonly #rounders: Float64Array
  #bins: Float64Array
  #cells: number

  constructor(cells: number, format: Bins = FINE) {
    this.#format = format
    this.#cells = cells
    this.#bins = new Float64Array(cells * format.count)
    this.#rounders = new Float64Array(format.count)
  }

  get cells(): number {
    return this.#cells
  }

  /**
   * Adds a term to a sum.
   *
   * @param term finite, and below {@link TOO_LARGE}
   */
  add(cell: number, term: number): void {
    if (term >= this.#limit || -term >= this.#limit) this.#raise(topFor(term, this.#format))
    const { count } = this.#format
    const rounders = this.#rounders
    const bins = this.#bins
    let rest = term
    for (let bin = 0, at = cell * count; bin < count; bin++, at++) {
      const rounder = rounders[bin]
      const part = rest + rounder - rounder
      bins[at] += part
      rest -= part
    }
  }

  /**
   * Adds many terms, as {@link add} does. Written for speed: sums of rows are most of an evaluation.
   *
   * @param cells the sum of each term; -1 for a term that does not count
   */
  addAll(cells: Int32Array, terms: Float64Array): void {
    const { count } = this.#format
    if (count === FINE.count) this.#addToFour(cells, terms)
    else this.#addToThree(cells, terms)
  }

  #addToFour(cells: Int32Array, terms: Float64Array) {
    const bins = this.#bins
    let [a, b, c, d] = this.#rounders
    let limit = this.#limit
    for (let i = 0; i < cells.length; i++) {
      const at = 4 * cells[i]
      if (at < 0) continue
      const term = terms[i]
      if (term >= limit || -term >= limit) {
        this.#raise(topFor(term, this.#format))
        ;[a, b, c, d] = this.#rounders
        limit = this.#limit
      }
      const first = term + a - a
      const second = term - first + b - b
      const third = term - first - second + c - c
      bins[at] += first
      bins[at + 1] += second
      bins[at + 2] += third
      bins[at + 3] += term - first - second - third + d - d
    }
  }

  #addToThree(cells: Int32Array, terms: Float64Array) {
    const bins = this.#bins
    let [a, b, c] = this.#rounders
    let limit = this.#limit
    for (let i = 0; i < cells.length; i++) {
      const at = 3 * cells[i]
      if (at < 0) continue
      const term = terms[i]
      if (term >= limit || -term >= limit) {
        this.#raise(topFor(term, this.#format))
        ;[a, b, c] = this.#rounders
        limit = this.#limit
      }
      const first = term + a - a
      const second = term - first + b - b
      bins[at] += first
      bins[at + 1] += second
      bins[at + 2] += term - first - second + c - c
    }
  }

  /** Makes room for more sums, which are 0. */
  grow(cells: number): void {
    if (cells <= this.#cells) return
    const size = cells * this.#format.count
    this.#cells = cells
    if (size <= this.#bins.length) return
    const bins = new Float64Array(Math.max(size, this.#bins.length * 2))
    bins.set(this.#bins)
    this.#bins = bins
  }

  /** A sum, as the number that its exact value determines. */
  value(cell: number): number {
    const { width, count } = this.#format
    const from = cell * count
    let total = 0
    let carry = 0
    for (let bin = count - 1; bin > 0; bin--) {
      const above = 2 ** (width * (this.#top - bin + 1))
      const own = this.#bins[from + bin] + carry
      carry = above === 0 ? 0 : Math.floor(own / above + 0.5) * above
      total += own - carry
    }
    return total + (this.#bins[from] + carry)
  }

  /** By how much a sum of so many terms may be off: half of the lowest unit for each, which depends on the largest term of all sums. */
  roundingOf(terms: number): number {
    const { width, count } = this.#format
    return this.#top === NONE ? 0 : (terms * 2 ** (width * (this.#top - count + 1))) / 2
  }

  /** Adds the sums of another to these: `cellOf[i]` is where its sum `i` belongs. */
  merge(other: BinnedSums, cellOf: ArrayLike<number>): void {
    if (other.#top === NONE) return
    if (other.#top > this.#top) this.#raise(other.#top)
    const { count } = this.#format
    const lower = this.#top - other.#top
    for (let cell = 0; cell < other.#cells; cell++) {
      const [from, to] = [cell * count, cellOf[cell] * count]
      for (let bin = lower; bin < count; bin++) this.#bins[to + bin] += other.#bins[from + bin - lower]
    }
  }

  /** The same sums, with those added up that belong to the same cell. */
  regrouped(cells: number, cellOf: ArrayLike<number>): BinnedSums {
    const made = new BinnedSums(cells, this.#format)
    made.merge(this, cellOf)
    return made
  }

  record(): BinnedRecord {
    return { top: this.#top, bins: this.#bins.slice(0, this.#cells * this.#format.count) }
  }

  static restore({ top, bins }: BinnedRecord, format: Bins = FINE): BinnedSums {
    const made = new BinnedSums(bins.length / format.count, format)
    if (top !== NONE) made.#raise(top)
    made.#bins.set(bins)
    return made
  }

  /** Moves the bins up. Parts below the lowest are dropped: they are what would have been rounded off. */
  #raise(top: number) {
    const { count } = this.#format
    const up = this.#top === NONE ? count : Math.min(count, top - this.#top)
    for (let from = 0; from < this.#cells * count; from += count) {
      this.#bins.copyWithin(from + up, from, from + count - up)
      this.#bins.fill(0, from, from + up)
    }
    this.#top = top
    this.#limit = limitFor(top, this.#format)
    this.#rounders.set(roundersFor(top, this.#format))
  }
}

/** Terms below it fit into bins with this top. */
export function limitFor(top: number, { width }: Bins): number {
  return 2 ** (width * (top + 1) - 1)
}

/** For each bin, a number that rounds a term to its unit where it is added and subtracted again. */
export function roundersFor(top: number, { width, count }: Bins): number[] {
  return Array.from({ length: count }, (_, bin) => 1.5 * 2 ** (52 + width * (top - bin)))
}

const double = new Float64Array(1)
const words = new Uint32Array(double.buffer)

/**
 * The lowest place of the bins for a term: so that it is below half of the unit of the next bin up, and a term that came
 * before the bins moved up is nothing there, too.
 */
export function topFor(term: number, { width, count }: Bins): number {
  double[0] = term
  const exponent = ((words[1] >>> 20) & 0x7ff) - 1023
  const lowest = Math.floor(LEAST_EXPONENT / width) + count - 1
  return Math.max(lowest, Math.ceil((exponent + 2) / width) - 1)
}
