/** Columns of DuckDB -> arrays. Rows never become objects. */
import type { DuckDBDataChunk, DuckDBListVector, DuckDBVector } from '@duckdb/node-api'

/** What the vectors of DuckDB's package have, and do not declare. */
interface Raw {
  readonly items: Float64Array
  readonly validity: { readonly data: BigUint64Array | null; itemValid(row: number): boolean }
  readonly entryData: BigUint64Array
}

const rawOf = (vector: DuckDBVector) => vector as unknown as Raw

/** Reports a row that has no usable number. */
export type OnGap = (row: number, why: 'null' | number) => void

/**
 * Copies a column of doubles.
 *
 * @param from the first row that is copied, of `count`
 * @param at where it goes
 */
export function copyNumbers(
  chunk: DuckDBDataChunk,
  column: number,
  [from, count]: readonly [number, number],
  to: Float64Array,
  at: number,
  onGap: OnGap,
): void {
  const { items, validity } = rawOf(chunk.getColumnVector(column))
  to.set(from === 0 && count === items.length ? items : items.subarray(from, from + count), at)
  if (validity.data === null) return
  for (let i = 0; i < count; i++) if (!validity.itemValid(from + i)) onGap(at + i, 'null')
}

/** Copies a column of lists that all have the same length. Other lists are gaps. */
export function copyLists(
  chunk: DuckDBDataChunk,
  column: number,
  [from, count]: readonly [number, number],
  to: Float64Array,
  at: number,
  width: number,
  onGap: OnGap,
): void {
  const vector = chunk.getColumnVector(column) as DuckDBListVector
  const { entryData, validity } = rawOf(vector)
  const child = rawOf(vector.childVector)
  // Offset and length of each list; both are below 2^32.
  const words = new Uint32Array(entryData.buffer, entryData.byteOffset, 2 * entryData.length)
  if (isRegular(words, from, count, width) && validity.data === null && child.validity.data === null) {
    const start = words[4 * from]
    to.set(child.items.subarray(start, start + count * width), at * width)
    return
  }
  for (let i = 0; i < count; i++) {
    const [start, length] = [words[4 * (from + i)], words[4 * (from + i) + 2]]
    const gap = gapOf(from + i, start, length)
    if (gap === undefined) to.set(child.items.subarray(start, start + width), (at + i) * width)
    else onGap(at + i, gap)
  }

  function gapOf(row: number, start: number, length: number): 'null' | number | undefined {
    if (!validity.itemValid(row)) return 'null'
    if (length !== width) return length
    for (let i = start; i < start + width; i++) if (!child.validity.itemValid(i)) return 'null'
    return undefined
  }
}

/** Whether the lists lie one after the other. */
function isRegular(words: Uint32Array, from: number, count: number, width: number): boolean {
  let start = words[4 * from]
  for (let i = from; i < from + count; i++, start += width)
    if (words[4 * i] !== start || words[4 * i + 2] !== width) return false
  return true
}

/** The value of a key: a number, a text, or null. */
export function keyAt(vector: DuckDBVector, row: number): string | number | boolean | null {
  return vector.getItem(row) as string | number | boolean | null
}

/** Doubles without nulls; undefined if there are nulls, or if it is no column of doubles. */
export function plainNumbers(vector: DuckDBVector): Float64Array | undefined {
  const { items, validity } = rawOf(vector)
  return items instanceof Float64Array && validity.data === null ? items : undefined
}
