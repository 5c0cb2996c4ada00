/**
 * The compact protocol of Thrift, in which the metadata of Parquet is written: every field by its number, so that a reader
 * takes what it knows and skips the rest.
 *
 * @see https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
 */

/** Field number -> value. */
export type Struct = ReadonlyMap<number, Value>
export type Value = number | boolean | Uint8Array | Struct | readonly Value[]

const TRUE = 1
const FALSE = 2
const STOP = 0
const BYTE = 3
const [I16, I32, I64] = [4, 5, 6]
const DOUBLE = 7
const BINARY = 8
const [LIST, SET] = [9, 10]
const STRUCT = 12

/** More levels than any metadata has. */
const MOST_DEPTH = 32

export class ThriftReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = at
  }

  /** Where the next byte is read. */
  get at(): number {
    return this.#at
  }

  /** @throws RangeError if the bytes end before it does, Error if it is no such struct */
  struct(depth = 0): Struct {
    if (depth > MOST_DEPTH) throw new Error('metadata is nested too deep')
    const fields = new Map<number, Value>()
    for (let id = 0; ; ) {
      const head = this.#byte()
      if (head === STOP) return fields
      const type = head & 15
      id = head >>> 4 === 0 ? this.#signed() : id + (head >>> 4)
      fields.set(id, type === TRUE || type === FALSE ? type === TRUE : this.#value(type, depth))
    }
  }

  #value(type: number, depth: number): Value {
    switch (type) {
      case TRUE:
      case FALSE:
        return this.#byte() === TRUE
      case BYTE:
        return (this.#byte() << 24) >> 24
      case I16:
      case I32:
      case I64:
        return this.#signed()
      case DOUBLE:
        return this.#double()
      case BINARY:
        return this.#binary()
      case LIST:
      case SET:
        return this.#list(depth)
      case STRUCT:
        return this.struct(depth + 1)
      default:
        throw new Error(`metadata has a value of the unknown type ${type}`)
    }
  }

  #list(depth: number): Value[] {
    const head = this.#byte()
    const short = head >>> 4
    const length = short === 15 ? this.#unsigned() : short
    // Every value takes a byte or more, so that a wrong length ends soon.
    const values: Value[] = []
    for (let i = 0; i < length; i++) values.push(this.#value(head & 15, depth + 1))
    return values
  }

  #binary(): Uint8Array {
    const length = this.#unsigned()
    const start = this.#at
    this.#at += length
    if (this.#at > this.#bytes.length) throw new RangeError('metadata ends early')
    return this.#bytes.subarray(start, this.#at)
  }

  #double(): number {
    this.#at += 8
    return this.#view.getFloat64(this.#at - 8, true)
  }

  /** In zigzag: 0, -1, 1, -2 ... */
  #signed(): number {
    const n = this.#unsigned()
    return n % 2 === 0 ? n / 2 : -(n + 1) / 2
  }

  /** Exact below 2^53, which is more than places and counts need. */
  #unsigned(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#byte()
      value += (byte & 127) * scale
      if (byte < 128) return value
      if (scale > 2 ** 63) throw new Error('metadata has a number that is too long')
    }
  }

  #byte(): number {
    if (this.#at >= this.#bytes.length) throw new RangeError('metadata ends early')
    return this.#bytes[this.#at++]
  }
}
