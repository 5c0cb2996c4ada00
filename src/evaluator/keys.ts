/** The columns that rows are put together by: the slice of each row, and the hash of its cluster. */
import type { DuckDBDataChunk, DuckDBVector } from '@duckdb/node-api'
import { hashOfText } from '../evaluation/random.ts'
import type { SliceKey, State } from '../evaluation/state.ts'
import { keyAt, plainNumbers } from './columns.ts'

/** Numbers below it are looked up in an array. */
const MOST_PLAIN = 65_536

/** Finds the slices of rows, for one state. */
export class SliceFinder {
  readonly #state: State
  readonly #plain = new Int32Array(MOST_PLAIN).fill(-1)
  readonly #texts = new Map<SliceKey[number], number>()

  constructor(state: State) {
    this.#state = state
  }

  /**
   * @param columns places of the columns in the chunk
   * @param slices where the slice of each row is written, from `at` on
   */
  find(
    chunk: DuckDBDataChunk,
    columns: readonly number[],
    [from, count]: readonly [number, number],
    slices: Int32Array,
    at: number,
  ): void {
    const vectors = columns.map((column) => chunk.getColumnVector(column))
    const numbers = vectors.length === 1 ? plainNumbers(vectors[0]) : undefined
    if (vectors.length === 0) slices.fill(this.#state.sliceOf([]), at, at + count)
    else if (vectors.length > 1) this.#findTuples(vectors, [from, count], slices, at)
    else if (numbers !== undefined) this.#findNumbers(numbers, [from, count], slices, at)
    else for (let i = 0; i < count; i++) slices[at + i] = this.#sliceOf(keyAt(vectors[0], from + i))
  }

  #findNumbers(
    numbers: Float64Array,
    [from, count]: readonly [number, number],
    slices: Int32Array,
    at: number,
  ) {
    const plain = this.#plain
    for (let i = 0; i < count; i++) {
      const key = numbers[from + i]
      const place = key >= 0 && key < MOST_PLAIN && Number.isInteger(key) ? key : -1
      const known = place < 0 ? -1 : plain[place]
      if (known >= 0) slices[at + i] = known
      else {
        const slice = this.#sliceOf(key)
        if (place >= 0) plain[place] = slice
        slices[at + i] = slice
      }
    }
  }

  /** The key of several columns is found by the text of its parts. */
  #findTuples(
    vectors: readonly DuckDBVector[],
    [from, count]: readonly [number, number],
    slices: Int32Array,
    at: number,
  ) {
    for (let i = 0; i < count; i++) {
      const key = vectors.map((vector) => keyAt(vector, from + i))
      slices[at + i] = this.#state.sliceOf(key)
    }
  }

  #sliceOf(part: SliceKey[number]): number {
    const known = this.#texts.get(part)
    if (known !== undefined) return known
    const slice = this.#state.sliceOf([part])
    this.#texts.set(part, slice)
    return slice
  }
}

/** The hash of the cluster of each row. */
export function clusterHashes(
  chunk: DuckDBDataChunk,
  column: number,
  [from, count]: readonly [number, number],
  hashes: Uint32Array,
  at: number,
  seed: number,
): void {
  const vector = chunk.getColumnVector(column)
  const numbers = plainNumbers(vector)
  for (let i = from; i < from + count; i++)
    hashes[at + i - from] = hashOfText(String(numbers === undefined ? keyAt(vector, i) : numbers[i]), seed)
}
