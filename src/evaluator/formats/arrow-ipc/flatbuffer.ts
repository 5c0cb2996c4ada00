/** Just enough of FlatBuffers to read the metadata of Arrow. Every access is checked, because files may be anything. */

/** A table: fields by their numbers, each at an offset that its vtable has. */
export class FlatTable {
  readonly #bytes: Buffer
  readonly #at: number
  readonly #vtable: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
    this.#vtable = at - bytes.readInt32LE(at)
  }

  static root(bytes: Buffer): FlatTable {
    return new FlatTable(bytes, bytes.readUInt32LE(0))
  }

  byte(field: number, fallback = 0): number {
    const at = this.#place(field)
    return at === 0 ? fallback : this.#bytes.readUInt8(at)
  }

  short(field: number, fallback = 0): number {
    const at = this.#place(field)
    return at === 0 ? fallback : this.#bytes.readInt16LE(at)
  }

  int(field: number): number {
    const at = this.#place(field)
    return at === 0 ? 0 : this.#bytes.readInt32LE(at)
  }

  /** @throws Error for a number that no double is exact for */
  long(field: number): number {
    const at = this.#place(field)
    return at === 0 ? 0 : longAt(this.#bytes, at)
  }

  text(field: number): string {
    const at = this.#reference(field)
    if (at === 0) return ''
    const length = this.#bytes.readUInt32LE(at)
    if (at + 4 + length > this.#bytes.length) throw new Error('a name in the metadata is cut off')
    return this.#bytes.subarray(at + 4, at + 4 + length).toString('utf8')
  }

  table(field: number): FlatTable | undefined {
    const at = this.#reference(field)
    return at === 0 ? undefined : new FlatTable(this.#bytes, at)
  }

  tables(field: number): FlatTable[] {
    const { start, count } = this.#vector(field, 4)
    return Array.from({ length: count }, (_, i) => {
      const at = start + 4 * i
      return new FlatTable(this.#bytes, at + this.#bytes.readUInt32LE(at))
    })
  }

  /** Structures of two longs. */
  pairs(field: number): [number, number][] {
    const { start, count } = this.#vector(field, 16)
    return Array.from({ length: count }, (_, i) => {
      const at = start + 16 * i
      return [longAt(this.#bytes, at), longAt(this.#bytes, at + 8)]
    })
  }

  /** Where a field is; 0 if it has its default. */
  #place(field: number): number {
    const entry = 4 + 2 * field
    if (entry >= this.#bytes.readUInt16LE(this.#vtable)) return 0
    const offset = this.#bytes.readUInt16LE(this.#vtable + entry)
    return offset === 0 ? 0 : this.#at + offset
  }

  #reference(field: number): number {
    const at = this.#place(field)
    return at === 0 ? 0 : at + this.#bytes.readUInt32LE(at)
  }

  #vector(field: number, width: number): { start: number; count: number } {
    const at = this.#reference(field)
    if (at === 0) return { start: 0, count: 0 }
    const count = this.#bytes.readUInt32LE(at)
    if (at + 4 + count * width > this.#bytes.length) throw new Error('a list in the metadata is cut off')
    return { start: at + 4, count }
  }
}

function longAt(bytes: Buffer, at: number): number {
  const long = Number(bytes.readBigInt64LE(at))
  if (!Number.isSafeInteger(long)) throw new Error('a number in the metadata is too large')
  return long
}
