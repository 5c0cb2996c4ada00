/**
 * The rows themselves, while they are few: then the bootstrap draws rows, and not buckets. Like the rest of a state, they
 * do not depend on the order in which rows come.
 */
import { TOO_LARGE } from './binned-sums.ts'
import type { SeriesRows } from './series.ts'

/** Above it, buckets say the same, and take less time. */
export const MOST_KEPT_ROWS = 1_000_000
/** Numbers of all rows together: 64 MB. */
const MOST_NUMBERS = 8 * 1024 * 1024

export interface KeptRecord {
  readonly places: Float64Array
  readonly slices: Int32Array
  readonly values: readonly Float64Array[]
  readonly shares: readonly (Float64Array | undefined)[]
}

export class KeptRows {
  readonly #most: number
  #count = 0
  #places = new Float64Array(0)
  #slices = new Int32Array(0)
  readonly #values: Float64Array[]
  readonly #shares: (Float64Array | undefined)[]

  /** @param hasShares of each series */
  constructor(hasShares: readonly boolean[]) {
    const columns = hasShares.reduce((sum, has) => sum + (has ? 2 : 1), 2)
    this.#most = Math.min(MOST_KEPT_ROWS, Math.floor(MOST_NUMBERS / columns))
    this.#values = hasShares.map(() => new Float64Array(0))
    this.#shares = hasShares.map((has) => (has ? new Float64Array(0) : undefined))
  }

  /**
   * @param slices the slice of each row; -1 for a row that does not count
   * @returns false if there are now too many
   */
  add(slices: Int32Array, series: readonly SeriesRows[], rowOf: (i: number) => number): boolean {
    let count = 0
    for (let i = 0; i < slices.length; i++) if (slices[i] >= 0) count++
    if (!this.#makeRoom(count)) return false
    for (let i = 0; i < slices.length; i++) if (slices[i] >= 0) this.#put(i, slices[i], series, rowOf(i))
    return true
  }

  /**
   * Adds the rows of another state.
   *
   * @param sliceOf where its slices are here
   * @returns false if there are now too many
   */
  merge(other: KeptRows, sliceOf: Int32Array): boolean {
    const at = this.#count
    if (!this.#makeRoom(other.#count)) return false
    const { places, slices, values, shares } = other.record()
    this.#places.set(places, at)
    for (let i = 0; i < slices.length; i++) this.#slices[at + i] = sliceOf[slices[i]]
    for (const [place, own] of values.entries()) this.#values[place].set(own, at)
    for (const [place, own] of shares.entries()) if (own !== undefined) this.#shares[place]!.set(own, at)
    this.#count = at + places.length
    return true
  }

  record(): KeptRecord {
    const count = this.#count
    return {
      places: this.#places.slice(0, count),
      slices: this.#slices.slice(0, count),
      values: this.#values.map((own) => own.slice(0, count)),
      shares: this.#shares.map((own) => own?.slice(0, count)),
    }
  }

  static restore({ places, slices, values, shares }: KeptRecord): KeptRows {
    const made = new KeptRows(shares.map((own) => own !== undefined))
    made.#makeRoom(places.length)
    made.#places.set(places)
    made.#slices.set(slices)
    for (const [place, own] of values.entries()) made.#values[place].set(own)
    for (const [place, own] of shares.entries()) if (own !== undefined) made.#shares[place]!.set(own)
    made.#count = places.length
    return made
  }

  #put(i: number, slice: number, series: readonly SeriesRows[], place: number) {
    const at = this.#count++
    this.#places[at] = place
    this.#slices[at] = slice
    for (const [one, { values, shares }] of series.entries()) {
      const value = values[i]
      // Without a row that is infinite there is an interval; with one there is none.
      this.#values[one][at] = Math.abs(value) < TOO_LARGE ? value : 0
      const own = this.#shares[one]
      if (own !== undefined) own[at] = shares![i]
    }
  }

  #makeRoom(more: number): boolean {
    const count = this.#count + more
    if (count > this.#most) return false
    if (count <= this.#places.length) return true
    const size = Math.min(this.#most, Math.max(count, 2 * this.#places.length))
    this.#places = longer(this.#places, new Float64Array(size))
    this.#slices = longer(this.#slices, new Int32Array(size))
    for (const [place, own] of this.#values.entries())
      this.#values[place] = longer(own, new Float64Array(size))
    for (const [place, own] of this.#shares.entries())
      if (own !== undefined) this.#shares[place] = longer(own, new Float64Array(size))
    return true
  }
}

function longer<A extends Float64Array | Int32Array>(before: A, after: A): A {
  after.set(before)
  return after
}
