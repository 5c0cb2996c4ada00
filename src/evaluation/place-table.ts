/**
 * What the places in a dictionary stand for. Packed places are unpacked and looked up in WebAssembly: a few instructions for
 * each row, from the first block on.
 */
import {
  type Code,
  encodeStandaloneModule,
  FunctionBuilder,
  get,
  I32,
  i32,
  ifElse,
  loadF64,
  loadI32,
  loadI64,
  op,
  returned,
  set,
  storeF64,
  storeI32,
  whileLoop,
} from '../engines/compiled/wasm-encoder.ts'

/** Packed places that are looked up at once. */
const MOST = 16_384
/** The longest place has four bytes, and the last one is loaded with eight. */
const PACKED_BYTES = 4 * MOST + 16
const FOUND = PACKED_BYTES
/** Where the table begins. */
const TABLE = FOUND + 8 * MOST
const PAGE = 65_536
/** No slice: the entry is not known yet. */
const UNKNOWN = -1

/** All places are bytes of the memory. */
interface Loops {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number }
  /** @returns the first row whose place has no entry, which is written instead; or the number of rows */
  integers: LookUp
  numbers: LookUp
}

type LookUp = (
  count: number,
  /** Of the first packed place, from the beginning of the memory. */
  bit: number,
  width: number,
  table: number,
  length: number,
  into: number,
) => number

/** Integers or numbers by their places. */
export class PlaceTable<Entries extends Int32Array | Float64Array> {
  readonly #loops: Loops
  readonly #kind: new (
    buffer: ArrayBuffer,
    place: number,
    length: number,
  ) => Entries
  #entries: Entries
  #found: Entries
  #packed: Uint8Array
  /** The place that has no entry, after a search that ended early. */
  missing = 0

  private constructor(kind: new (buffer: ArrayBuffer, place: number, length: number) => Entries) {
    module ??= new WebAssembly.Module(encoded())
    this.#loops = new WebAssembly.Instance(module, {}).exports as unknown as Loops
    this.#kind = kind
    const { buffer } = this.#loops.memory
    this.#entries = new kind(buffer, TABLE, 0)
    this.#found = new kind(buffer, FOUND, MOST)
    this.#packed = new Uint8Array(buffer, 0, PACKED_BYTES)
  }

  /** Entries are integers from 0 on, which come to be known one by one. */
  static ofIntegers(): PlaceTable<Int32Array> {
    return new PlaceTable<Int32Array>(Int32Array)
  }

  static ofNumbers(): PlaceTable<Float64Array> {
    return new PlaceTable<Float64Array>(Float64Array)
  }

  /** All entries are known. */
  fill(entries: Entries): void {
    this.#resize(entries.length)
    this.#entries.set(entries)
  }

  /** Forgets what was known. */
  begin(length: number): void {
    this.#resize(length)
    this.#entries.fill(UNKNOWN)
  }

  set(place: number, entry: number): void {
    this.#entries[place] = entry
  }

  has(place: number): boolean {
    return this.#entries[place] >= 0
  }

  /** Of places within the dictionary. */
  get(place: number): number {
    return this.#entries[place]
  }

  /**
   * Writes what packed places stand for.
   *
   * @param bit the first one begins with
   * @returns how many were found before one that has no entry: see {@link missing}
   */
  findPacked(
    bytes: Uint8Array,
    bit: number,
    width: number,
    into: Entries,
    at: number,
    count: number,
  ): number {
    for (let done = 0; done < count; ) {
      const now = Math.min(MOST, count - done)
      const first = bit + width * done
      const from = Math.floor(first / 8)
      this.#packed.set(bytes.subarray(from, Math.ceil((first + width * now) / 8)))
      const { integers, numbers } = this.#loops
      const run = this.#entries instanceof Int32Array ? integers : numbers
      const found = run(now, first % 8, width, TABLE, this.#entries.length, FOUND)
      into.set(this.#found.subarray(0, found), at + done)
      done += found
      if (found === now) continue
      this.missing = new Int32Array(this.#loops.memory.buffer, FOUND, 2 * MOST)[this.#wordsOf(found)]
      return done
    }
    return count
  }

  /** The same for places that are all the same one. */
  findAlike(place: number, into: Entries, at: number, count: number): number {
    this.missing = place
    const entry = this.#entries[place]
    if (entry === undefined || (entry === UNKNOWN && this.#entries instanceof Int32Array)) return 0
    into.fill(entry, at, at + count)
    return count
  }

  /** The same for places that are listed. */
  findListed(places: Int32Array, into: Entries, at: number): number {
    for (let i = 0; i < places.length; i++) if (this.findAlike(places[i], into, at + i, 1) === 0) return i
    return places.length
  }

  #wordsOf(entries: number): number {
    return (entries * this.#entries.BYTES_PER_ELEMENT) / 4
  }

  #resize(length: number) {
    const { memory } = this.#loops
    const missing = TABLE + 8 * length - memory.buffer.byteLength
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE))
    const { buffer } = memory
    this.#entries = new this.#kind(buffer, TABLE, length)
    this.#found = new this.#kind(buffer, FOUND, MOST)
    this.#packed = new Uint8Array(buffer, 0, PACKED_BYTES)
  }
}

let module: WebAssembly.Module | undefined

function encoded(): Uint8Array<ArrayBuffer> {
  return encodeStandaloneModule({
    imports: [],
    functions: [lookUp('integers'), lookUp('numbers')],
    exports: { integers: 0, numbers: 1 },
    memory: { pages: Math.ceil(TABLE / PAGE), data: [] },
  })
}

const add = (a: Code, b: Code) => op('i32.add', a, b)

function lookUp(kind: 'integers' | 'numbers'): FunctionBuilder {
  const f = new FunctionBuilder(Array(6).fill(I32), [I32])
  const [count, bit, width, table, length, into] = [0, 1, 2, 3, 4, 5]
  const row = f.local(I32)
  // A width of 32 keeps all bits: shifts count modulo 32.
  const unused = op('i32.and', op('i32.sub', i32(32), get(width)), i32(31))
  const mask = f.let(op('i32.shr_u', i32(-1), unused), I32)
  const shift = kind === 'integers' ? 2 : 3
  const body = f.capture(() => {
    const word = loadI64(op('i32.shr_u', get(bit), i32(3)))
    const packed = op('i64.shr_u', word, op('i64.extend_i32_u', op('i32.and', get(bit), i32(7))))
    const place = f.let(op('i32.and', op('i32.wrap_i64', packed), mask), I32)
    const stop = [storeI32(get(into), place), returned(get(row))]
    f.add(ifElse(op('i32.lt_u', place, get(length)), [], stop))
    const entry = add(get(table), op('i32.shl', place, i32(shift)))
    if (kind === 'numbers') f.add(storeF64(get(into), loadF64(entry)))
    else {
      const found = f.let(loadI32(entry), I32)
      f.add(ifElse(op('i32.lt_s', found, i32(0)), stop), storeI32(get(into), found))
    }
    f.add(set(into, add(get(into), i32(1 << shift))), set(bit, add(get(bit), get(width))))
    f.add(set(row, add(get(row), i32(1))))
  })
  f.add(whileLoop(op('i32.lt_s', get(row), get(count)), body), get(row))
  return f
}
