import type { PlaceTable } from '../../evaluation/place-table.ts'

/**
 * Runs and bit-packed groups of small integers: how Parquet writes levels, and the places of values in a dictionary.
 *
 * @see https://parquet.apache.org/docs/file-format/data-pages/encodings/
 */
export class HybridReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #width: number
  #at: number
  readonly #end: number
  /** What is left of the run. */
  #left = 0
  #isPacked = false
  #value = 0
  /** The bit that the next packed value begins with. */
  #bit = 0

  /** @param width bits of each integer, at most 32 */
  constructor(bytes: Uint8Array, width: number, at: number, end: number) {
    if (width > 32 || end > bytes.length) throw damaged()
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#width = width
    this.#at = at
    this.#end = end
  }

  /** One group without a head, as booleans are written. */
  static packed(
    bytes: Uint8Array,
    width: number,
    [at, end]: readonly [number, number],
    count: number,
  ): HybridReader {
    const made = new HybridReader(bytes, width, at, end)
    made.#isPacked = true
    made.#left = count
    made.#bit = at * 8
    return made
  }

  /** Reads the next integers. */
  read(into: Int32Array | Uint8Array, at: number, count: number): void {
    for (let done = 0; done < count; ) {
      if (this.#left === 0) this.#nextRun()
      const now = Math.min(this.#left, count - done)
      if (!this.#isPacked) into.fill(this.#value, at + done, at + done + now)
      else this.#unpack(into, at + done, now)
      this.#left -= now
      done += now
    }
  }

  /**
   * Reads the next integers as places, and writes what they stand for.
   *
   * @returns how many were read before one that has no entry: see {@link PlaceTable.missing}
   */
  find<Entries extends Int32Array | Float64Array>(
    table: PlaceTable<Entries>,
    into: Entries,
    at: number,
    count: number,
  ): number {
    for (let done = 0; done < count; ) {
      if (this.#left === 0) this.#nextRun()
      const now = Math.min(this.#left, count - done)
      const found = this.#findIn(table, into, at + done, now)
      this.#left -= found
      done += found
      if (found < now) return done
    }
    return count
  }

  #findIn<Entries extends Int32Array | Float64Array>(
    table: PlaceTable<Entries>,
    into: Entries,
    at: number,
    count: number,
  ): number {
    const width = this.#width
    if (!this.#isPacked || width === 0)
      return table.findAlike(this.#isPacked ? 0 : this.#value, into, at, count)
    if (Math.ceil((this.#bit + width * count) / 8) > this.#end) throw damaged()
    const found = table.findPacked(this.#bytes, this.#bit, width, into, at, count)
    this.#bit += width * found
    return found
  }

  /** Whether the next integers are all the same one, without looking at each. They are then read. */
  skipIfAll(value: number, count: number): boolean {
    for (let left = count; left > 0; ) {
      if (this.#left === 0) this.#nextRun()
      if (this.#isPacked || this.#value !== value) return false
      const now = Math.min(left, this.#left)
      this.#left -= now
      left -= now
    }
    return true
  }

  #nextRun() {
    const head = this.#unsigned()
    const count = Math.floor(head / 2)
    if (count === 0) throw damaged()
    this.#isPacked = head % 2 === 1
    if (this.#isPacked) {
      this.#left = count * 8
      this.#bit = this.#at * 8
      this.#at += count * this.#width
      return
    }
    this.#left = count
    this.#value = 0
    for (let i = 0; i < Math.ceil(this.#width / 8); i++) this.#value |= this.#bytes[this.#at++] << (8 * i)
  }

  #unpack(into: Int32Array | Uint8Array, at: number, count: number) {
    const bytes = this.#bytes
    const width = this.#width
    let bit = this.#bit
    if (Math.ceil((bit + width * count) / 8) > this.#end) throw damaged()
    if (width <= 24) unpackNarrow(this.#view, width, bit, into, at, count)
    else
      for (let i = 0; i < count; i++, bit += width) {
        let value = 0
        for (let k = 0; k < width; k++) value |= ((bytes[(bit + k) >>> 3] >>> ((bit + k) & 7)) & 1) << k
        into[at + i] = value
      }
    this.#bit += width * count
  }

  #unsigned(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      if (this.#at >= this.#end || scale > 2 ** 35) throw damaged()
      const byte = this.#bytes[this.#at++]
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
}

/** Each value is within four bytes. */
function unpackNarrow(
  view: DataView,
  width: number,
  from: number,
  into: Int32Array | Uint8Array,
  at: number,
  count: number,
) {
  const mask = (1 << width) - 1
  // The last values may be too near to the end for a load of four bytes.
  const safe = Math.min(
    count,
    Math.max(0, Math.floor(((view.byteLength - 4) * 8 - from) / Math.max(1, width))),
  )
  let bit = from
  for (let i = 0; i < safe; i++, bit += width)
    into[at + i] = (view.getInt32(bit >>> 3, true) >>> (bit & 7)) & mask
  for (let i = safe; i < count; i++, bit += width) {
    let word = 0
    for (let k = 0; k < 4 && (bit >>> 3) + k < view.byteLength; k++)
      word |= view.getUint8((bit >>> 3) + k) << (8 * k)
    into[at + i] = (word >>> (bit & 7)) & mask
  }
}

const damaged = () => new Error('packed integers are damaged')
