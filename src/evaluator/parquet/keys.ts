/** The slices and the clusters of rows, from columns of Parquet. Values that a dictionary has are looked at once. */

import { PlaceTable } from '../../evaluation/place-table.ts'
import { hashOfText } from '../../evaluation/random.ts'
import type { SliceKey, State } from '../../evaluation/state.ts'
import { FIRST_INEXACT, isLong } from '../key-values.ts'
import type { ColumnReader, Dictionary } from './column-reader.ts'
import { NotReadHere, type ParquetColumn } from './footer.ts'

type Part = SliceKey[number]

/** Numbers below it are looked up in an array. */
const MOST_PLAIN = 65_536
/** Pairs of smaller numbers are looked up in an array. */
const MOST_PAIRED = 256
const DAY_MS = 86_400_000
const UNKNOWN = -1
/** Later and earlier dates are written differently. */
const [FIRST_DAY, LAST_DAY] = [-719_162, 2_932_896]

/** What a value of a column is as a key: what DuckDB makes of it. */
function partOf({ type }: ParquetColumn, value: number | string): Part {
  if (typeof value === 'string') return value
  if (type === 'BOOLEAN') return value !== 0
  if (Math.abs(value) >= FIRST_INEXACT && isLong(type!)) throw new NotReadHere()
  if (type !== 'DATE') return value
  if (value < FIRST_DAY || value > LAST_DAY) throw new NotReadHere()
  return new Date(value * DAY_MS).toISOString().slice(0, 10)
}

/** A place that the dictionary has: what an array gives for others would become 0, the first key. */
function placeIn({ length }: ArrayLike<number>, place: number): number {
  if (place < 0 || place >= length) throw damaged()
  return place
}

const damaged = () => new Error('a dictionary is damaged')

/** The different values of one column, numbered as they come. */
class PartNumbers {
  readonly parts: Part[] = []
  readonly #column: ParquetColumn
  readonly #known = new Map<Part, number>()
  readonly #plain = new Int32Array(MOST_PLAIN).fill(-1)
  readonly #numbers: Float64Array
  /** Of the places of a dictionary. */
  #ofPlaces = new Int32Array(0)
  #dictionary: Dictionary | undefined

  /** @param rows of the longest block */
  constructor(column: ParquetColumn, rows: number) {
    this.#column = column
    this.#numbers = new Float64Array(rows)
  }

  read(reader: ColumnReader, into: Int32Array, at: number, count: number) {
    for (let done = 0; done < count; ) {
      const { values, dictionary } = reader.peek()
      const now = Math.min(values, count - done)
      if (dictionary !== undefined) this.#readPlaces(reader, dictionary, into, at + done, now)
      else this.#readNumbers(reader, into, at + done, now)
      done += now
    }
  }

  #readPlaces(reader: ColumnReader, dictionary: Dictionary, into: Int32Array, at: number, count: number) {
    if (this.#dictionary !== dictionary) {
      this.#dictionary = dictionary
      this.#ofPlaces = Int32Array.from(dictionary as readonly string[], (value) => this.numberOfValue(value))
    }
    const nulls: number[] = []
    reader.readPlaces(into, at, count, (row) => nulls.push(row))
    const ofPlaces = this.#ofPlaces
    for (let i = at; i < at + count; i++) into[i] = ofPlaces[placeIn(ofPlaces, into[i])]
    for (const row of nulls) into[row] = this.numberOf(null)
  }

  #readNumbers(reader: ColumnReader, into: Int32Array, at: number, count: number) {
    const nulls: number[] = []
    const numbers = this.#numbers
    reader.readNumbers(numbers, 0, count, (row) => nulls.push(row))
    const plain = this.#plain
    for (let i = 0; i < count; i++) {
      const value = numbers[i]
      const place = value >= 0 && value < MOST_PLAIN && Number.isInteger(value) ? value : -1
      let number = place < 0 ? -1 : plain[place]
      if (number < 0) {
        number = this.numberOfValue(value)
        if (place >= 0) plain[place] = number
      }
      into[at + i] = number
    }
    for (const row of nulls) into[at + row] = this.numberOf(null)
  }

  numberOfValue(value: number | string): number {
    return this.numberOf(partOf(this.#column, value))
  }

  numberOf(part: Part): number {
    const known = this.#known.get(part)
    if (known !== undefined) return known
    const number = this.parts.push(part) - 1
    this.#known.set(part, number)
    return number
  }
}

/** Finds the slices of rows. */
export class SliceReader {
  readonly #state: State
  readonly #columns: readonly PartNumbers[]
  /** The numbers of the values of a row in each column. */
  readonly #numbers: readonly Int32Array[]
  /** Slices by the number of what a row has. */
  #ofNumber = new Int32Array(0)
  /** Slices by their places in the dictionary of the only column. */
  readonly #ofPlaces = PlaceTable.ofIntegers()
  #dictionary: Dictionary | undefined
  /** Of the values of two columns or more, one step for each further column. */
  readonly #pairs: readonly PairNumbers[]

  /** @param rows of the longest block */
  constructor(state: State, columns: readonly ParquetColumn[], rows: number) {
    this.#state = state
    this.#columns = columns.map((column) => new PartNumbers(column, rows))
    this.#numbers = columns.map(() => new Int32Array(rows))
    this.#pairs = columns.slice(1).map(() => new PairNumbers())
  }

  /**
   * @param readers of the columns, in this row group
   * @param slices where the slice of each row is written, from `at` on
   */
  read(readers: readonly ColumnReader[], slices: Int32Array, at: number, count: number): void {
    if (readers.length === 0) slices.fill(this.#state.sliceOf([]), at, at + count)
    else if (readers.length === 1) this.#readOne(readers[0], slices, at, count)
    else this.#readSeveral(readers, slices, at, count)
  }

  #readOne(reader: ColumnReader, slices: Int32Array, at: number, count: number) {
    for (let done = 0; done < count; ) {
      const { values, dictionary } = reader.peek()
      const now = Math.min(values, count - done)
      if (dictionary !== undefined) this.#readPlaces(reader, dictionary, slices, at + done, now)
      else {
        this.#columns[0].read(reader, this.#numbers[0], 0, now)
        this.#putSlices(this.#numbers[0], slices, at + done, now)
      }
      done += now
    }
  }

  /** Straight from the places in a dictionary to slices. */
  #readPlaces(reader: ColumnReader, dictionary: Dictionary, slices: Int32Array, at: number, count: number) {
    if (this.#dictionary !== dictionary) {
      this.#dictionary = dictionary
      this.#ofPlaces.begin(dictionary.length)
    }
    for (let done = 0; done < count; ) {
      const found = reader.findPlaces(this.#ofPlaces, slices, at + done, count - done)
      if (found === undefined) return this.#readWithGaps(reader, dictionary, slices, at, count)
      done += found
      if (done < count) this.#learn(dictionary, this.#ofPlaces.missing)
    }
  }

  #learn(dictionary: Dictionary, place: number) {
    const value = dictionary[place]
    if (value === undefined) throw damaged()
    this.#ofPlaces.set(place, this.#sliceOf(this.#columns[0].numberOfValue(value)))
  }

  #readWithGaps(reader: ColumnReader, dictionary: Dictionary, slices: Int32Array, at: number, count: number) {
    const [column] = this.#columns
    const nulls = new Set<number>()
    reader.readPlaces(slices, at, count, (row) => nulls.add(row))
    for (let i = at; i < at + count; i++) {
      const place = slices[i]
      if (!this.#ofPlaces.has(place) && !nulls.has(i)) this.#learn(dictionary, place)
      slices[i] = this.#ofPlaces.get(place)
    }
    for (const row of nulls) slices[row] = this.#sliceOf(column.numberOf(null))
  }

  #readSeveral(readers: readonly ColumnReader[], slices: Int32Array, at: number, count: number) {
    for (const [i, reader] of readers.entries()) this.#columns[i].read(reader, this.#numbers[i], 0, count)
    const [first, ...others] = this.#numbers
    for (const [i, other] of others.entries()) this.#pairs[i].combine(first, other, count)
    this.#putSlices(first, slices, at, count)
  }

  #putSlices(numbers: Int32Array, slices: Int32Array, at: number, count: number) {
    for (let i = 0; i < count; i++) {
      const number = numbers[i]
      const known = number < this.#ofNumber.length ? this.#ofNumber[number] : UNKNOWN
      slices[at + i] = known === UNKNOWN ? this.#sliceOf(number) : known
    }
  }

  #sliceOf(number: number): number {
    if (number >= this.#ofNumber.length) {
      const longer = new Int32Array(2 * number + 16).fill(UNKNOWN)
      longer.set(this.#ofNumber)
      this.#ofNumber = longer
    }
    if (this.#ofNumber[number] === UNKNOWN) this.#ofNumber[number] = this.#newSlice(number)
    return this.#ofNumber[number]
  }

  #newSlice(number: number): number {
    const key: Part[] = []
    let rest = number
    for (let i = this.#pairs.length - 1; i >= 0; i--) {
      const [before, own] = this.#pairs[i].pairOf(rest)
      key.unshift(this.#columns[i + 1].parts[own])
      rest = before
    }
    return this.#state.sliceOf([this.#columns[0].parts[rest], ...key])
  }
}

/** Numbers pairs of numbers as they come. */
class PairNumbers {
  readonly #small = new Int32Array(MOST_PAIRED ** 2).fill(-1)
  readonly #large = new Map<number, number>()
  readonly #pairs: (readonly [number, number])[] = []

  /** Writes the numbers of the pairs over the first ones. */
  combine(first: Int32Array, second: Int32Array, count: number) {
    const small = this.#small
    for (let i = 0; i < count; i++) {
      const [a, b] = [first[i], second[i]]
      const known = a < MOST_PAIRED && b < MOST_PAIRED ? small[a * MOST_PAIRED + b] : -1
      first[i] = known >= 0 ? known : this.#numberOf(a, b)
    }
  }

  pairOf(number: number): readonly [number, number] {
    return this.#pairs[number]
  }

  #numberOf(a: number, b: number): number {
    const pair = a * 2 ** 26 + b
    const known = this.#large.get(pair)
    if (known !== undefined) return known
    const number = this.#pairs.push([a, b]) - 1
    if (a < MOST_PAIRED && b < MOST_PAIRED) this.#small[a * MOST_PAIRED + b] = number
    else this.#large.set(pair, number)
    return number
  }
}

/** Finds the hashes of the clusters of rows. */
export class ClusterReader {
  readonly #column: ParquetColumn
  readonly #seed: number
  readonly #numbers: Float64Array
  readonly #places: Int32Array
  #ofPlaces = new Uint32Array(0)
  #dictionary: Dictionary | undefined

  constructor(column: ParquetColumn, seed: number, rows: number) {
    this.#column = column
    this.#seed = seed
    this.#numbers = new Float64Array(rows)
    this.#places = new Int32Array(rows)
  }

  read(reader: ColumnReader, hashes: Uint32Array, at: number, count: number): void {
    for (let done = 0; done < count; ) {
      const { values, dictionary } = reader.peek()
      const now = Math.min(values, count - done)
      const nulls: number[] = []
      if (dictionary !== undefined) this.#readPlaces(reader, dictionary, hashes, at + done, now, nulls)
      else this.#readNumbers(reader, hashes, at + done, now, nulls)
      for (const row of nulls) hashes[at + done + row] = this.#hashOf(null)
      done += now
    }
  }

  #readPlaces(
    reader: ColumnReader,
    dictionary: Dictionary,
    hashes: Uint32Array,
    at: number,
    count: number,
    nulls: number[],
  ) {
    if (this.#dictionary !== dictionary) {
      this.#dictionary = dictionary
      this.#ofPlaces = Uint32Array.from(dictionary as readonly string[], (value) =>
        this.#hashOf(partOf(this.#column, value)),
      )
    }
    reader.readPlaces(this.#places, 0, count, (row) => nulls.push(row))
    const ofPlaces = this.#ofPlaces
    for (let i = 0; i < count; i++) hashes[at + i] = ofPlaces[placeIn(ofPlaces, this.#places[i])]
  }

  #readNumbers(reader: ColumnReader, hashes: Uint32Array, at: number, count: number, nulls: number[]) {
    reader.readNumbers(this.#numbers, 0, count, (row) => nulls.push(row))
    for (let i = 0; i < count; i++) hashes[at + i] = this.#hashOf(partOf(this.#column, this.#numbers[i]))
  }

  #hashOf(part: Part): number {
    return hashOfText(String(part), this.#seed)
  }
}
