/**
 * Runs and bit-packed groups of small integers: how Parquet writes levels, and the places of values in a dictionary.
 *
 * @see https://parquet.apache.org/docs/file-format/data-pages/encodings/
 */
export class HybridReader {
  readonly #bytes: Uint8Array
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
    this.#width = width
    this.#at = at
    this.#end = end
  }

  /** One group without a head, as booleans are written. */
  static packed(bytes: Uint8Array, width: number, at: number, count: number): HybridReader {
    const made = new HybridReader(bytes, width, at, bytes.length)
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
    if (width <= 24) {
      const mask = (1 << width) - 1
      for (let i = 0; i < count; i++, bit += width) {
        const byte = bit >>> 3
        const word = bytes[byte] | (bytes[byte + 1] << 8) | (bytes[byte + 2] << 16) | (bytes[byte + 3] << 24)
        into[at + i] = (word >>> (bit & 7)) & mask
      }
    } else
      for (let i = 0; i < count; i++, bit += width) {
        let value = 0
        for (let k = 0; k < width; k++) value |= ((bytes[(bit + k) >>> 3] >>> ((bit + k) & 7)) & 1) << k
        into[at + i] = value
      }
    this.#bit = bit
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

const damaged = () => new Error('packed integers are damaged')
