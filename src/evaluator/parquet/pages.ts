/** The pages of a column in a row group, one after the other, as they are needed. */
import { readSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { fromZstd } from '../zstd.ts'
import { type ColumnChunk, NotReadHere } from './footer.ts'
import { decompressSnappy } from './snappy.ts'
import { type Struct, ThriftReader } from './thrift.ts'

/** A page is not what it says. DuckDB would take whatever its memory holds for what is missing. */
export class DamagedPage extends Error {
  override readonly name = 'DamagedPage'
}

export interface Page {
  readonly isDictionary: boolean
  /** Values, with those that are missing. */
  readonly values: number
  readonly encoding: number
  /** Levels and values. There are a few more bytes after them, and what an earlier page had there. */
  readonly bytes: Uint8Array
  /** Where they end. */
  readonly end: number
  /** Bytes of the levels, where the page says so (version 2). */
  readonly levels: { readonly repeated: number; readonly defined: number } | undefined
}

const [DATA, DICTIONARY, DATA_2] = [0, 2, 3]
const [UNCOMPRESSED, SNAPPY, GZIP, ZSTD] = [0, 1, 2, 6]
/** Compression that {@link PageReader} undoes. */
export const CODECS: readonly number[] = [UNCOMPRESSED, SNAPPY, GZIP, ZSTD]

/** Readers of packed integers look a little ahead. */
const SLACK = 8
const FIRST_READ = 64 * 1024
/** DuckDB writes pages of up to 100 MB. */
const MOST_PAGE = 2 ** 27

export class PageReader {
  readonly #file: number
  readonly #codec: number
  /** Where the next bytes of the file are read. */
  #place: number
  readonly #end: number
  /** What was read and not yet used. */
  #buffer = new Uint8Array(0)
  #at = 0
  #filled = 0
  /** Memory of the last page, for the next one. */
  #page = new Uint8Array(0)

  /** @param memory of a reader that has ended, to be used again */
  constructor(file: number, { codec, start, bytes }: ColumnChunk, memory?: PageReader) {
    if (!CODECS.includes(codec)) throw new NotReadHere()
    this.#file = file
    this.#codec = codec
    this.#place = start
    this.#end = start + bytes
    if (memory === undefined) return
    this.#buffer = memory.#buffer
    this.#page = memory.#page
  }

  /**
   * The next page, whose memory the page after it is written over.
   *
   * @returns undefined after the last
   */
  next(): Page | undefined {
    for (;;) {
      if (this.#at === this.#filled && this.#place >= this.#end) return undefined
      const head = this.#head()
      const [type, size, packed] = [Number(head.get(1)), Number(head.get(2)), Number(head.get(3))]
      if (!(size >= 0 && size <= MOST_PAGE && packed >= 0 && packed <= MOST_PAGE)) throw damaged()
      this.#fill(packed)
      const bytes = this.#buffer.subarray(this.#at, this.#at + packed)
      this.#at += packed
      if (type === DATA || type === DICTIONARY) return this.#first(head, type === DICTIONARY, bytes, size)
      if (type === DATA_2) return this.#second(head, bytes, size)
    }
  }

  #first(head: Struct, isDictionary: boolean, bytes: Uint8Array, size: number): Page {
    const own = head.get(isDictionary ? 7 : 5) as Struct
    const [values, encoding] = [countIn(own), Number(own.get(2))]
    const page = this.#unpacked(bytes, size, 0)
    return { isDictionary, values, encoding, bytes: page, end: size, levels: undefined }
  }

  /** Levels are not compressed there. */
  #second(head: Struct, bytes: Uint8Array, size: number): Page {
    const own = head.get(8) as Struct
    const [values, encoding] = [countIn(own), Number(own.get(4))]
    const levels = { defined: Number(own.get(5)), repeated: Number(own.get(6)) }
    const kept = levels.defined + levels.repeated
    const isLong = kept > Math.min(size, bytes.length)
    if (!(levels.defined >= 0 && levels.repeated >= 0) || isLong) throw damaged()
    const isPacked = own.get(7) !== false
    const page = isPacked ? this.#unpacked(bytes, size, kept) : this.#copied(bytes, size)
    return { isDictionary: false, values, encoding, bytes: page, end: size, levels }
  }

  /** @param kept bytes at the beginning that are not compressed */
  #unpacked(bytes: Uint8Array, size: number, kept: number): Uint8Array {
    if (this.#codec === UNCOMPRESSED) return this.#copied(bytes, size)
    const page = this.#memory(size)
    page.set(bytes.subarray(0, kept))
    const [from, into] = [bytes.subarray(kept), page.subarray(kept, size)]
    unpack(this.#codec, from, into)
    return page
  }

  #copied(bytes: Uint8Array, size: number): Uint8Array {
    if (bytes.length !== size) throw damaged()
    const page = this.#memory(bytes.length)
    page.set(bytes)
    return page
  }

  #memory(size: number): Uint8Array {
    if (this.#page.length < size + SLACK) this.#page = new Uint8Array(roomy(size + SLACK))
    return this.#page
  }

  /** The header of the next page, whose length nobody says. */
  #head(): Struct {
    for (let bytes = FIRST_READ; ; bytes *= 4) {
      this.#fill(bytes, false)
      try {
        const reader = new ThriftReader(this.#buffer.subarray(0, this.#filled), this.#at)
        const head = reader.struct()
        this.#at = reader.at
        return head
      } catch (error) {
        if (!(error instanceof RangeError) || this.#place >= this.#end) throw damaged()
      }
    }
  }

  /** Reads until so many bytes are there. */
  #fill(bytes: number, isNeeded = true) {
    const there = this.#filled - this.#at
    const more = Math.min(bytes - there, this.#end - this.#place)
    if (isNeeded && there + Math.max(0, more) < bytes) throw damaged()
    if (more <= 0) return
    this.#buffer.copyWithin(0, this.#at, this.#filled)
    ;[this.#at, this.#filled] = [0, there]
    if (this.#buffer.length < there + more) {
      const longer = new Uint8Array(roomy(there + more))
      longer.set(this.#buffer.subarray(0, there))
      this.#buffer = longer
    }
    for (let left = more; left > 0; ) {
      const got = readSync(this.#file, this.#buffer, this.#filled, left, this.#place)
      if (got === 0) throw damaged()
      this.#filled += got
      this.#place += got
      left -= got
    }
  }
}

/** How many values a page has. */
function countIn(head: Struct): number {
  const values = Number(head.get(1))
  if (!(values >= 0 && values <= MOST_PAGE)) throw damaged()
  return values
}

function unpack(codec: number, from: Uint8Array, into: Uint8Array) {
  if (into.length === 0) return
  if (codec === SNAPPY) return decompressSnappy(from, into)
  if (codec === ZSTD) return fromZstd(from, into)
  const unpacked = gunzipSync(from, { maxOutputLength: into.length })
  if (unpacked.length < into.length)
    throw new DamagedPage(`a page unpacks to ${unpacked.length} bytes, and not to ${into.length}, as it says`)
  into.set(unpacked)
}

/** With room for a page that is a little longer. */
function roomy(bytes: number): number {
  return Math.ceil((bytes * 1.1) / 4096) * 4096
}

const damaged = () => new Error('its pages are damaged')
