/**
 * Quantiles of numbers that are seen once: a histogram whose bins grow with the numbers, 128 in each power of two, as in
 * HdrHistogram and DDSketch. Counts are integers, so sketches of parts add up to the sketch of the whole, exactly. A
 * quantile is off by at most 0.4 %.
 */

/** Bins are kept in pages of four powers of two. Pages without numbers do not exist. */
const PAGE = 512
const PAGES = 1024

/** Bins that are not empty: bin, count, bin, count. */
export type SketchRecord = Float64Array

/** 0.07 of 100 numbers are 7 of them, although the product is 7.000000000000001. */
const BELOW_ONE = 1 - 2 ** -51

const double = new Float64Array(1)
const words = new Uint32Array(double.buffer)

export class QuantileSketch {
  readonly #pages: (Float64Array | undefined)[] = new Array(PAGES).fill(undefined)
  #total = 0

  /** How many numbers were added. */
  get total(): number {
    return this.#total
  }

  /** @param value anything but NaN */
  add(value: number): void {
    double[0] = value
    this.addWord(words[1])
  }

  /** @param word the upper half of a double */
  addWord(word: number): void {
    const page = this.#pages[word >>> 22]
    if (page === undefined) this.#count(word >>> 13, 1)
    else {
      page[(word >>> 13) & (PAGE - 1)]++
      this.#total++
    }
  }

  merge(other: QuantileSketch): void {
    for (let place = 0; place < PAGES; place++) {
      const page = other.#pages[place]
      if (page !== undefined) this.addPage(place, page)
    }
  }

  /** @param counts of the bins of a page: those whose numbers have the first ten bits `place` */
  addPage(place: number, counts: ArrayLike<number>): void {
    const page = this.#pageAt(place)
    let total = 0
    for (let i = 0; i < PAGE; i++) {
      page[i] += counts[i]
      total += counts[i]
    }
    this.#total += total
  }

  /**
   * The smallest number that this share of the numbers is below or at; undefined if there are none. It is told as the
   * middle of its bin.
   *
   * @example
   * sketch.quantile(0.5) // the median
   */
  quantile(share: number): number | undefined {
    const wanted = Math.max(1, Math.ceil(share * this.#total * BELOW_ONE))
    let below = 0
    let found: number | undefined
    this.#walk((bin, count) => {
      below += count
      if (below >= wanted) found = middleOf(bin)
      return found === undefined
    })
    return found
  }

  /** Low end, high end and count of each bin that is not empty, in the order of the numbers. */
  histogram(): { readonly low: number; readonly high: number; readonly count: number }[] {
    const bins: { low: number; high: number; count: number }[] = []
    this.#walk((bin, count) => {
      const [low, high] = endsOf(bin)
      bins.push({ low, high, count })
      return true
    })
    return bins
  }

  record(): SketchRecord {
    const bins: number[] = []
    this.#walk((bin, count) => bins.push(bin, count) > 0)
    return Float64Array.from(bins)
  }

  static restore(record: SketchRecord): QuantileSketch {
    const made = new QuantileSketch()
    for (let i = 0; i < record.length; i += 2) made.#count(record[i], record[i + 1])
    return made
  }

  #count(bin: number, count: number) {
    this.#pageAt(bin >>> 9)[bin & (PAGE - 1)] += count
    this.#total += count
  }

  #pageAt(place: number): Float64Array {
    let page = this.#pages[place]
    if (page === undefined) {
      page = new Float64Array(PAGE)
      this.#pages[place] = page
    }
    return page
  }

  /**
   * Visits the bins that are not empty in the order of the numbers, until a visit returns false. Negative numbers have the
   * sign bit, and the larger their bin, the smaller they are.
   */
  #walk(visit: (bin: number, count: number) => boolean) {
    for (let place = PAGES - 1; place >= PAGES / 2; place--) {
      const page = this.#pages[place]
      if (page === undefined) continue
      for (let i = PAGE - 1; i >= 0; i--) if (page[i] > 0 && !visit(place * PAGE + i, page[i])) return
    }
    for (let place = 0; place < PAGES / 2; place++) {
      const page = this.#pages[place]
      if (page === undefined) continue
      for (let i = 0; i < PAGE; i++) if (page[i] > 0 && !visit(place * PAGE + i, page[i])) return
    }
  }
}

/** The lowest bin of negative numbers. */
const NEGATIVE = (PAGES / 2) * PAGE

function endsOf(bin: number): readonly [number, number] {
  const near = edge(bin)
  if (!Number.isFinite(near)) return [near, near]
  const far = Math.min(Number.MAX_VALUE, Math.max(-Number.MAX_VALUE, edge(bin + 1)))
  return near < far || Object.is(near, 0) ? [near, far] : [far, near]
}

function edge(bin: number): number {
  words[0] = 0
  words[1] = (bin << 13) >>> 0
  return double[0]
}

/** The lowest bin holds 0, and numbers that are practically 0. */
function middleOf(bin: number): number {
  if (bin === 0 || bin === NEGATIVE) return 0
  const [low, high] = endsOf(bin)
  return low === high ? low : low + (high - low) / 2
}
