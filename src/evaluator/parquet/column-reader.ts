/** Decodes a column of a row group, some rows at a time, straight into arrays. */

import { PlaceTable } from '../../evaluation/place-table.ts'
import { type ColumnChunk, NotReadHere, type ParquetColumn } from './footer.ts'
import { HybridReader } from './hybrid.ts'
import { type Page, PageReader } from './pages.ts'

/** What the values of a dictionary are: numbers as float64, texts as texts. */
export type Dictionary = Float64Array | readonly string[]

const [PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY, STREAM_SPLIT] = [0, 2, 3, 8, 9]

/** What booleans are places in. */
const TRUTHS = Float64Array.of(0, 1)

/** Reads the next places in a dictionary. */
type Places = Pick<HybridReader, 'read' | 'find'>

/** The current page. */
interface Open {
  /** Values that were not yet read, with those that are missing. */
  left: number
  /** The level of each value; undefined if all are there. */
  readonly defined: Uint8Array | undefined
  readonly repeated: Uint8Array | undefined
  /** Where the next level is. */
  level: number
  readonly bytes: Uint8Array
  /** Where the next plain value is. */
  at: number
  /** Where the values end. */
  readonly end: number
  /** Places in a dictionary, if the page has those. */
  readonly places: Places | undefined
  readonly dictionary: Dictionary | undefined
  readonly isSplit: boolean
  /** Values that are there, for bytes that are split into streams. */
  readonly there: number
}

/** Told of a row that has no usable value, and why: it is null, or a list of another length. */
export type OnGap = (row: number, why: 'null' | number) => void

export class ColumnReader {
  readonly #column: ParquetColumn
  readonly #pages: PageReader
  /** Of the row group. */
  #dictionary: Dictionary | undefined
  #open: Open | undefined
  /** Of the numbers of a dictionary. */
  #table: PlaceTable<Float64Array> | undefined
  #tableOf: Dictionary | undefined

  /**
   * @param before the reader of the column in the row group before, whose memory is used again
   * @throws NotReadHere
   */
  constructor(file: number, column: ParquetColumn, chunk: ColumnChunk, before?: ColumnReader) {
    if (column.type === undefined || column.physical === undefined) throw new NotReadHere()
    this.#column = column
    this.#pages = new PageReader(file, chunk, before === undefined ? undefined : before.#pages)
    this.#table = before === undefined ? undefined : before.#table
  }

  /** How many of the next values lie together, and the dictionary that they are places in, if they are. */
  peek(): { readonly values: number; readonly dictionary: Dictionary | undefined } {
    const { left, dictionary } = this.#current()
    return { values: left, dictionary }
  }

  /**
   * Reads the next values as numbers, 0 for those that are missing.
   *
   * @param onNull is told which those are
   */
  readNumbers(into: Float64Array, at: number, count: number, onNull: (row: number) => void): void {
    for (let done = 0; done < count; ) {
      const page = this.#current()
      const now = Math.min(count - done, page.left)
      this.#readDefined(page, now, into, at + done, onNull, (values, to) =>
        this.#decode(page, into, to, values),
      )
      done += now
    }
  }

  /**
   * Reads the next values as places in the dictionary of {@link peek}, which must have so many of them.
   *
   * @throws NotReadHere if they are not
   */
  readPlaces(into: Int32Array, at: number, count: number, onNull: (row: number) => void): void {
    const page = this.#current()
    const { places } = page
    if (places === undefined || page.left < count) throw new NotReadHere()
    this.#readDefined(page, count, into, at, onNull, (values, to) => places.read(into, to, values))
  }

  /**
   * Reads what the next places in the dictionary of {@link peek} stand for, as long as it is known.
   *
   * @returns how many that were; undefined if some values are missing, which {@link readPlaces} can tell
   */
  findPlaces(table: PlaceTable<Int32Array>, into: Int32Array, at: number, count: number): number | undefined {
    const page = this.#current()
    const { places } = page
    if (places === undefined || page.left < count) throw new NotReadHere()
    if (page.defined !== undefined) return undefined
    const found = places.find(table, into, at, count)
    page.left -= found
    page.level += found
    return found
  }

  /** Reads the next lists, which should all have the same length. */
  readLists(into: Float64Array, at: number, count: number, width: number, onGap: OnGap): void {
    for (let done = 0; done < count; ) {
      const page = this.#current()
      const regular = this.#regularLists(page, count - done, width)
      if (regular > 0) {
        this.#decode(page, into, (at + done) * width, regular * width)
        page.level += regular * width
        page.left -= regular * width
        done += regular
      } else {
        this.#readOddList(page, into, at + done, width, onGap)
        done++
      }
    }
  }

  /** How many of the next lists have this length and no gaps. */
  #regularLists({ defined, repeated, level, left }: Open, most: number, width: number): number {
    const { mostDefined } = this.#column
    if (repeated === undefined) return 0
    const end = Math.min(level + most * width, level + Math.floor(left / width) * width)
    let at = level
    for (; at < end; at += width) {
      if (repeated[at] !== 0 || (defined !== undefined && defined[at] !== mostDefined)) break
      let k = 1
      for (; k < width; k++)
        if (repeated[at + k] !== 1 || (defined !== undefined && defined[at + k] !== mostDefined)) break
      // The next list must begin there. The last list of a page may go on in the next one.
      if (k < width || at + width >= level + left || repeated[at + width] !== 0) break
    }
    return (at - level) / width
  }

  /** A list of any length, which may go on in the pages after this one. */
  #readOddList(page: Open, into: Float64Array, row: number, width: number, onGap: OnGap) {
    const { repeated, defined, level } = page
    if (repeated === undefined || repeated[level] !== 0) throw new NotReadHere()
    const isNull = defined !== undefined && defined[level] === 0 && this.#column.isOptional
    const pieces = [this.#readPiece(page)]
    for (let open = page; open.left === 0; ) {
      const next = this.#nextPage()
      if (next === undefined || !isInList(next)) break
      pieces.push(this.#readPiece(next))
      open = next
    }
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    const values = pieces.reduce((sum, piece) => sum + piece.values.length, 0)
    if (isNull) return onGap(row, 'null')
    if (length !== width) return onGap(row, length)
    if (values !== length) return onGap(row, 'null')
    let at = row * width
    for (const piece of pieces) {
      into.set(piece.values, at)
      at += piece.values.length
    }
  }

  /** What a page has of a list: how long that is, and the values that are there. */
  #readPiece(page: Open): { readonly length: number; readonly values: Float64Array } {
    const { mostDefined } = this.#column
    const { defined } = page
    let [there, length] = [0, 0]
    do {
      const level = defined === undefined ? mostDefined : defined[page.level]
      if (level === mostDefined) there++
      // Below that, the list itself is missing or empty.
      if (level >= mostDefined - Number(this.#hasOptionalElements)) length++
      page.level++
      page.left--
    } while (page.left > 0 && isInList(page))
    const values = new Float64Array(there)
    this.#decode(page, values, 0, there)
    return { length, values }
  }

  get #hasOptionalElements(): boolean {
    return this.#column.mostDefined - 1 - Number(this.#column.isOptional) > 0
  }

  /** Values that are there are read together, and then put in their places. */
  #readDefined(
    page: Open,
    count: number,
    into: Float64Array | Int32Array,
    at: number,
    onNull: (row: number) => void,
    decode: (values: number, to: number) => void,
  ) {
    const { defined, level } = page
    page.left -= count
    page.level += count
    if (defined === undefined) return decode(count, at)
    const { mostDefined } = this.#column
    let values = 0
    for (let i = 0; i < count; i++) if (defined[level + i] === mostDefined) values++
    decode(values, at)
    if (values === count) return
    for (let i = count - 1, from = at + values - 1; i >= 0; i--) {
      if (defined[level + i] === mostDefined) into[at + i] = into[from--]
      else into[at + i] = 0
    }
    for (let i = 0; i < count; i++) if (defined[level + i] !== mostDefined) onNull(at + i)
  }

  #current(): Open {
    if (this.#open !== undefined && this.#open.left > 0) return this.#open
    const page = this.#nextPage()
    if (page === undefined) throw new Error('a column ends early')
    return page
  }

  /** The next page that has values; undefined after the last. */
  #nextPage(): Open | undefined {
    for (let page = this.#pages.next(); page !== undefined; page = this.#pages.next()) {
      if (page.isDictionary) this.#dictionary = this.#dictionaryOf(page)
      else this.#open = this.#opened(page)
      if (!page.isDictionary && page.values > 0) return this.#open
    }
    return undefined
  }

  #opened({ values, encoding, bytes, end, levels }: Page): Open {
    const { isList, mostDefined } = this.#column
    let at = 0
    const levelsOf = (most: number, length: number | undefined): Uint8Array | undefined => {
      if (most === 0) return undefined
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      const [from, size] = length === undefined ? [at + 4, view.getUint32(at, true)] : [at, length]
      at = from + size
      if (at > end) throw new Error('levels end early')
      const reader = new HybridReader(bytes, 32 - Math.clz32(most), from, at)
      if (reader.skipIfAll(most, values)) return undefined
      const found = new Uint8Array(values)
      new HybridReader(bytes, 32 - Math.clz32(most), from, at).read(found, 0, values)
      return found
    }
    const repeated = levelsOf(isList ? 1 : 0, levels?.repeated)
    const defined = levelsOf(mostDefined, levels?.defined)
    const there = defined === undefined ? values : countOf(defined, mostDefined)
    return {
      left: values,
      defined,
      repeated,
      level: 0,
      bytes,
      at,
      end,
      ...this.#placesOf(bytes, [at, end], encoding, there),
      isSplit: encoding === STREAM_SPLIT,
      there,
    }
  }

  #placesOf(
    bytes: Uint8Array,
    [at, end]: readonly [number, number],
    encoding: number,
    there: number,
  ): Pick<Open, 'places' | 'dictionary'> {
    const { physical } = this.#column
    const dictionary = this.#dictionary
    // A page of nulls has no width.
    if (there === 0) return NO_PLACES
    if (encoding === PLAIN_DICTIONARY || encoding === RLE_DICTIONARY) {
      if (dictionary === undefined) throw new Error('a dictionary is missing')
      return { places: new HybridReader(bytes, bytes[at], at + 1, end), dictionary }
    }
    if (physical === 'BOOLEAN' && encoding === PLAIN)
      return { places: HybridReader.packed(bytes, 1, [at, end], there), dictionary: TRUTHS }
    if (physical === 'BOOLEAN' && encoding === RLE)
      return { places: new HybridReader(bytes, 1, at + 4, end), dictionary: TRUTHS }
    if (physical === 'BYTE_ARRAY' && encoding === PLAIN)
      return ownDictionaryOf(textsOf(bytes.subarray(0, end), at, there))
    if (encoding === PLAIN || (encoding === STREAM_SPLIT && physical !== 'BYTE_ARRAY')) return NO_PLACES
    throw new NotReadHere()
  }

  /** Decodes values that are there. */
  #decode(page: Open, into: Float64Array, at: number, count: number) {
    if (count === 0) return
    if (page.places !== undefined) this.#lookUp(page, page.places, into, at, count)
    else if (page.isSplit) this.#join(page, into, at, count)
    else page.at += this.#plain(page.bytes, [page.at, page.end], into, at, count)
  }

  #lookUp({ dictionary }: Open, places: Places, into: Float64Array, at: number, count: number) {
    if (!(dictionary instanceof Float64Array)) throw new NotReadHere()
    if (this.#table === undefined || this.#tableOf !== dictionary) {
      this.#table ??= PlaceTable.ofNumbers()
      this.#table.fill(dictionary)
      this.#tableOf = dictionary
    }
    if (places.find(this.#table, into, at, count) < count) throw new Error('a dictionary is damaged')
  }

  /** @returns how many bytes that were */
  #plain(
    bytes: Uint8Array,
    [from, end]: readonly [number, number],
    into: Float64Array,
    at: number,
    count: number,
  ): number {
    const { physical } = this.#column
    const isUnsigned = this.#column.type!.startsWith('U')
    const size = physical === 'DOUBLE' || physical === 'INT64' ? 8 : 4
    if (physical === 'BOOLEAN' || physical === 'BYTE_ARRAY') throw new NotReadHere()
    if (from + size * count > end) throw new Error('a page ends early')
    if (physical === 'DOUBLE') {
      new Uint8Array(into.buffer, into.byteOffset + 8 * at, 8 * count).set(
        bytes.subarray(from, from + 8 * count),
      )
      return 8 * count
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    if (physical === 'FLOAT') {
      const values = new Float32Array(aligned(bytes, from, 4 * count))
      into.set(values, at)
    } else if (physical === 'INT32') {
      const own = aligned(bytes, from, 4 * count)
      into.set(isUnsigned ? new Uint32Array(own) : new Int32Array(own), at)
    } else
      for (let i = 0; i < count; i++) {
        const low = view.getUint32(from + 8 * i, true)
        const place = from + 8 * i + 4
        const high = isUnsigned ? view.getUint32(place, true) : view.getInt32(place, true)
        into[at + i] = high * 2 ** 32 + low
      }
    return size * count
  }

  /** The first bytes of all values, then their second bytes, and so on. */
  #join(page: Open, into: Float64Array, at: number, count: number) {
    const { physical } = this.#column
    if (physical !== 'DOUBLE' && physical !== 'FLOAT') throw new NotReadHere()
    const size = physical === 'DOUBLE' ? 8 : 4
    // The place of the next value is that of its first byte.
    if (page.at + (size - 1) * page.there + count > page.end) throw new Error('a page ends early')
    const joined = new Uint8Array(size * count)
    for (let k = 0; k < size; k++)
      for (let i = 0; i < count; i++) joined[i * size + k] = page.bytes[page.at + k * page.there + i]
    page.at += count
    into.set(size === 8 ? new Float64Array(joined.buffer) : new Float32Array(joined.buffer), at)
  }

  #dictionaryOf({ bytes, end, values: count }: Page): Dictionary {
    const { physical } = this.#column
    // Every value has four bytes or more.
    if (4 * count > end) throw new Error('a dictionary is damaged')
    if (physical !== 'BYTE_ARRAY') {
      const values = new Float64Array(count)
      this.#plain(bytes, [0, end], values, 0, count)
      return values
    }
    return textsOf(bytes.subarray(0, end), 0, count)
  }
}

/** Whether the next value belongs to the list of the value before. Without levels, all of the page do. */
function isInList({ repeated, level }: Open): boolean {
  return repeated === undefined || repeated[level] === 1
}

const NO_PLACES = { places: undefined, dictionary: undefined }

/** Texts, each after its length. */
function textsOf(bytes: Uint8Array, from: number, count: number): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const texts: string[] = []
  for (let at = from; texts.length < count; ) {
    const length = view.getUint32(at, true)
    if (at + 4 + length > bytes.length) throw new Error('texts end early')
    texts.push(decoder.decode(bytes.subarray(at + 4, at + 4 + length)))
    at += 4 + length
  }
  return texts
}

/** A page that was written without a dictionary gets one of its own. */
function ownDictionaryOf(texts: readonly string[]): {
  readonly places: Places
  readonly dictionary: Dictionary
} {
  const known = new Map<string, number>()
  const places = Int32Array.from(texts, (text) => {
    const place = known.get(text) ?? known.size
    known.set(text, place)
    return place
  })
  return { places: new ListedPlaces(places), dictionary: [...known.keys()] }
}

class ListedPlaces implements Places {
  readonly #places: Int32Array
  #next = 0

  constructor(places: Int32Array) {
    this.#places = places
  }

  read(into: Int32Array | Uint8Array, at: number, count: number) {
    into.set(this.#places.subarray(this.#next, this.#next + count), at)
    this.#next += count
  }

  find<Entries extends Int32Array | Float64Array>(
    table: PlaceTable<Entries>,
    into: Entries,
    at: number,
    count: number,
  ): number {
    const found = table.findListed(this.#places.subarray(this.#next, this.#next + count), into, at)
    this.#next += found
    return found
  }
}

/** Bytes at a place that typed arrays accept. */
function aligned(bytes: Uint8Array, from: number, length: number): ArrayBuffer {
  return bytes.slice(from, from + length).buffer as ArrayBuffer
}

function countOf(levels: Uint8Array, most: number): number {
  let count = 0
  for (let i = 0; i < levels.length; i++) if (levels[i] === most) count++
  return count
}
