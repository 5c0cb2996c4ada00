/** Columns of DuckDB -> arrays. Rows never become objects. */
import type { DuckDBDataChunk, DuckDBListVector, DuckDBVector } from '@duckdb/node-api'
import { FIRST_INEXACT, keyOfInteger } from './key-values.ts'

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
  const value = vector.getItem(row) as string | number | boolean | bigint | null
  return typeof value === 'bigint' ? keyOfInteger(value) : value
}

/** Numbers without nulls that doubles hold; undefined if there are others. */
export function plainNumbers(vector: DuckDBVector): Float64Array | undefined {
  const { items, validity }: { items: unknown; validity: Raw['validity'] } = rawOf(vector)
  if (validity.data !== null) return undefined
  if (items instanceof Float64Array) return items
  return items instanceof BigInt64Array ? safeIntegers(items) : undefined
}

/** The high words of integers that doubles hold lie between these. */
const HIGH = FIRST_INEXACT / 2 ** 32

/** Made of their words, because a bigint for each would take ten times as long. */
function safeIntegers(items: BigInt64Array): Float64Array | undefined {
  const words = new Int32Array(items.buffer, items.byteOffset, 2 * items.length)
  const numbers = new Float64Array(items.length)
  for (let i = 0; i < numbers.length; i++) {
    const high = words[2 * i + 1]
    if (high <= -HIGH || high >= HIGH) return undefined
    numbers[i] = high * 2 ** 32 + (words[2 * i] >>> 0)
  }
  return numbers
}
