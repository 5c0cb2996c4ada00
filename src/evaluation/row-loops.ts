/**
 * The loops over the rows of a block, as WebAssembly: what `BinnedSums`, `QuantileSketch` and the hashes of rows do one row
 * at a time, with the same bits. The two lanes of a vector are two sums that belong together: a value and its square.
 */
import {
  type Code,
  constF64x2,
  constI32x4,
  encodeStandaloneModule,
  extractF64,
  F64,
  FunctionBuilder,
  f64,
  get,
  I32,
  IOTA,
  i32,
  ifElse,
  loadF64,
  loadI32,
  loadSplat64,
  loadVector,
  op,
  replaceF64,
  returned,
  set,
  storeF64,
  storeI32,
  storeVector,
  V128,
  whileLoop,
} from '../engines/compiled/wasm-encoder.ts'
import { COARSE, FINE } from './binned-sums.ts'

/**
 * Bytes of the sums of a slice: its bins, two lanes each. What is added is the bits of a part and its rounder together, as
 * integers: as many rounders have to be taken away again as there were rows, see `sumOfParts`.
 */
export const SUMS_BYTES = 16 * FINE.count
/** Bytes of the smallest and the largest loss of a slice; the largest has the other sign. */
export const EXTREMES_BYTES = 16
/** Bytes of a bucket: its bins, and how many rows it has. */
export const BUCKET_BYTES = 8 * (COARSE.count + 1)
/** Pages of a sketch, and bins of a page. */
export const [SKETCH_PAGES, SKETCH_BINS] = [1024, 512]

/**
 * The parts that were added to a bin.
 *
 * @param added the bits in the bin
 * @param rounder that the parts were rounded by
 * @param rows that were added
 */
export function sumOfParts(added: bigint, rounder: number, rows: number): number {
  double[0] = rounder
  // The unit of a part is the last digit of its rounder, which is 1.5 times a power of two.
  const unit = Math.max(rounder / (1.5 * 2 ** 52), Number.MIN_VALUE)
  return Number(BigInt.asIntN(64, added - BigInt(rows) * bits[0])) * unit
}

const double = new Float64Array(1)
const bits = new BigInt64Array(double.buffer)

/** All places are bytes of the memory. Rows that do not count have a negative slice and cell. */
export interface RowLoops {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number }
  /** The first of the integers that is negative, or their number. */
  firstNegative(count: number, integers: number): number
  /** The largest size of the numbers; NaN if one of them is. */
  largest(count: number, numbers: number): number
  /** The same of the products of two. */
  largestProduct(count: number, a: number, b: number): number
  countRows(count: number, slices: number, counts: number): void
  /** What `addSquared` and `findExtremes` do. */
  addRows(
    count: number,
    numbers: number,
    slices: number,
    cells: number,
    rounders: number,
    extremes: number,
  ): void
  /** What `countRows` does, too. */
  addAndCountRows(
    count: number,
    numbers: number,
    slices: number,
    cells: number,
    rounders: number,
    extremes: number,
    counts: number,
  ): void
  /** Adds each number and its square. `rounders` has a vector for each bin. */
  addSquared(count: number, numbers: number, slices: number, cells: number, rounders: number): void
  /** Adds the product of two numbers, and 0. */
  addProducts(count: number, a: number, b: number, slices: number, cells: number, rounders: number): void
  findExtremes(count: number, numbers: number, slices: number, cells: number): void
  /** The cells of rows that follow each other, from the hashes of their places: see `hashRows`. */
  hashCells(count: number, low: number, above: number, seed: number, cells: number): void
  /** The cell of each row, from its slice and its hash, which is written over. */
  findCells(count: number, slices: number, cells: number, buckets: number): void
  addToBuckets(count: number, numbers: number, cells: number, buckets: number, rounders: number): void
  /**
   * Counts numbers in the sketches of their slices, from one row on.
   *
   * @param directory for each slice, the places of its pages
   * @param stride bytes from one slice to the next in the directory; 0 if all share one sketch
   * @returns the first row whose sketch lacks its page, or the number of rows
   */
  sketch(
    from: number,
    count: number,
    numbers: number,
    slices: number,
    directory: number,
    stride: number,
  ): number
}

/** @example const { memory, largest } = openRowLoops() */
export function openRowLoops(): RowLoops {
  module ??= new WebAssembly.Module(encoded())
  return new WebAssembly.Instance(module, {}).exports as unknown as RowLoops
}

let module: WebAssembly.Module | undefined

function encoded(): Uint8Array<ArrayBuffer> {
  const functions = {
    firstNegative: firstNegative(),
    largest: largest(1),
    largestProduct: largest(2),
    countRows: countRows(),
    addRows: addRows(false),
    addAndCountRows: addRows(true),
    addSquared: addPairs('square'),
    addProducts: addPairs('product'),
    findExtremes: findExtremes(),
    hashCells: hashCells(),
    findCells: findCells(),
    addToBuckets: addToBuckets(),
    sketch: sketch(),
  }
  const exports = Object.fromEntries(Object.keys(functions).map((name, i) => [name, i]))
  return encodeStandaloneModule({
    imports: [],
    functions: Object.values(functions),
    exports,
    memory: { pages: 1, data: [] },
  })
}

/** Vectors that are looked at in turn. */
const ABREAST = 4

const add = (a: Code, b: Code) => op('i32.add', a, b)
const scaled = (value: Code, bytes: number) => op('i32.mul', value, i32(bytes))

/** Steps a local forward. */
const step = (local: number, bytes: number) => set(local, add(get(local), i32(bytes)))

/** Adds a loop over the rows, of which the first parameter says how many there are. */
function forRows(f: FunctionBuilder, write: () => void, rows = 1, count: Code = get(0)) {
  const row = f.local(I32)
  const body = f.capture(write)
  const hasRows = rows === 1 ? get(row) : add(get(row), i32(rows - 1))
  f.add(set(row, i32(0)), whileLoop(op('i32.lt_s', hasRows, count), [body, step(row, rows)]))
}

function largest(inputs: 1 | 2): FunctionBuilder {
  const f = new FunctionBuilder(Array(1 + inputs).fill(I32), [F64])
  const places = [1, 2].slice(0, inputs)
  const strange = f.local(V128)
  // Several, so that none waits for the one before.
  const most = Array.from({ length: ABREAST }, () => f.local(V128))
  const note = (into: number, load: (place: Code) => Code) => {
    const [a, b] = places.map((place) => load(get(place)))
    const value = f.let(b === undefined ? a : op('f64x2.mul', a, b))
    f.add(set(into, op('f64x2.pmax', get(into), op('f64x2.abs', value))))
    f.add(set(strange, op('v128.or', get(strange), op('f64x2.ne', value, value))))
  }
  const move = (bytes: number) => f.add(...places.map((place) => step(place, bytes)))
  const whole = f.let(op('i32.and', get(0), i32(-2 * ABREAST)), I32)
  forRows(
    f,
    () => {
      for (const [i, into] of most.entries()) note(into, (place) => loadVector(place, 16 * i))
      move(16 * ABREAST)
    },
    2 * ABREAST,
    whole,
  )
  const rest = f.let(op('i32.sub', get(0), whole), I32)
  forRows(
    f,
    () => {
      note(most[0], (place) => op('f64x2.splat', loadF64(place)))
      move(8)
    },
    1,
    rest,
  )
  const both = f.let(most.map(get).reduce((a, b) => op('f64x2.pmax', a, b)))
  f.add(ifElse(op('v128.any_true', get(strange)), returned(f64(Number.NaN))))
  f.add(op('f64.max', extractF64(both, 0), extractF64(both, 1)))
  return f
}

function firstNegative(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32], [I32])
  const [count, numbers] = [0, 1]
  const row = f.local(I32)
  const isOk = op('i32.ge_s', loadI32(get(numbers)), i32(0))
  const body = [
    step(row, 1),
    step(numbers, 4),
    ifElse(op('i32.lt_s', get(row), get(count)), [], returned(get(count))),
  ]
  skipPositive(f, row, count, numbers)
  f.add(ifElse(op('i32.lt_s', get(row), get(count)), [], returned(get(count))))
  f.add(whileLoop(isOk, body), get(row))
  return f
}

/** Skips integers of which none is negative, sixteen at a time. */
function skipPositive(f: FunctionBuilder, row: number, count: number, numbers: number) {
  const four = (i: number) => loadVector(get(numbers), 16 * i)
  const sixteen = op('v128.or', op('v128.or', four(0), four(1)), op('v128.or', four(2), four(3)))
  const isThere = op('i32.le_s', add(get(row), i32(16)), get(count))
  const isOk = op('i32.eqz', op('v128.any_true', op('i32x4.lt_s', sixteen, constI32x4(0))))
  f.add(whileLoop(op('i32.and', isThere, isOk), [step(row, 16), step(numbers, 64)]))
}

function countRows(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32], [])
  const [, slices, counts] = [0, 1, 2]
  forRows(f, () => {
    ifCounts(f, slices, (slice) => {
      addOne(f, get(counts), slice)
    })
    f.add(step(slices, 4))
  })
  return f
}

function addRows(counts: boolean): FunctionBuilder {
  const f = new FunctionBuilder(Array(counts ? 7 : 6).fill(I32), [])
  const [, numbers, slices, cells, rounders, extremes, rows] = [0, 1, 2, 3, 4, 5, 6]
  const own = roundersAt(f, get(rounders), FINE.count)
  forRows(f, () => {
    ifCounts(f, slices, (slice) => {
      const number = f.let(loadSplat64(get(numbers)))
      if (counts) addOne(f, get(rows), slice)
      addExtremes(f, number, add(get(extremes), scaled(slice, EXTREMES_BYTES)))
      const pair = f.let(op('f64x2.mul', number, replaceF64(constF64x2(1), 1, extractF64(number, 0))))
      addParts(f, pair, own, f.let(add(get(cells), scaled(slice, SUMS_BYTES)), I32))
    })
    f.add(step(slices, 4), step(numbers, 8))
  })
  return f
}

function addOne(f: FunctionBuilder, counts: Code, slice: Code) {
  const place = f.let(add(counts, scaled(slice, 8)), I32)
  f.add(storeF64(place, op('f64.add', loadF64(place), f64(1))))
}

/** Code for rows that count. */
function ifCounts(f: FunctionBuilder, slices: number, write: (slice: Code) => void) {
  const slice = f.let(loadI32(get(slices)), I32)
  f.add(
    ifElse(
      op('i32.ge_s', slice, i32(0)),
      f.capture(() => write(slice)),
    ),
  )
}

function addPairs(kind: 'square' | 'product'): FunctionBuilder {
  const f = new FunctionBuilder(Array(kind === 'square' ? 5 : 6).fill(I32), [])
  const numbers = kind === 'square' ? [1] : [1, 2]
  const [slices, cells, rounders] = [0, 1, 2].map((place) => place + 1 + numbers.length)
  const own = roundersAt(f, get(rounders), FINE.count)
  forRows(f, () => {
    ifCounts(f, slices, (slice) => {
      const cell = f.let(add(get(cells), scaled(slice, SUMS_BYTES)), I32)
      const [a, b] = numbers.map((place) => f.let(loadF64(get(place)), F64))
      const pair =
        b === undefined
          ? op('f64x2.mul', op('f64x2.splat', a), replaceF64(constF64x2(1), 1, a))
          : replaceF64(constF64x2(0), 0, op('f64.mul', a, b))
      addParts(f, f.let(pair), own, cell)
    })
    f.add(step(slices, 4), ...numbers.map((place) => step(place, 8)))
  })
  return f
}

function roundersAt(f: FunctionBuilder, place: Code, count: number): Code[] {
  return Array.from({ length: count }, (_, bin) => f.let(loadVector(place, 16 * bin)))
}

/** Splits two terms, and adds each part to its bin. */
function addParts(f: FunctionBuilder, terms: Code, rounders: readonly Code[], cell: Code) {
  let rest = terms
  rounders.forEach((rounder, bin) => {
    // Integers are added beside the floating-point units, which are busy with the parts.
    const raised = f.let(op('f64x2.add', rest, rounder))
    f.add(storeVector(cell, op('i64x2.add', loadVector(cell, 16 * bin), raised), 16 * bin))
    if (bin < rounders.length - 1) rest = f.let(op('f64x2.sub', rest, op('f64x2.sub', raised, rounder)))
  })
}

function findExtremes(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32], [])
  const [, numbers, slices, cells] = [0, 1, 2, 3]
  forRows(f, () => {
    ifCounts(f, slices, (slice) => {
      addExtremes(f, f.let(loadSplat64(get(numbers))), add(get(cells), scaled(slice, EXTREMES_BYTES)))
    })
    f.add(step(slices, 4), step(numbers, 8))
  })
  return f
}

/** Which of two zeros it is depends on the order. */
function addExtremes(f: FunctionBuilder, number: Code, place: Code) {
  const cell = f.let(place, I32)
  const both = op('v128.xor', number, replaceF64(constF64x2(0), 1, f64(-0)))
  f.add(storeVector(cell, op('f64x2.pmin', loadVector(cell), both)))
}

/** The finalizer of MurmurHash3, four at a time. */
function mixed(f: FunctionBuilder, words: Code): Code {
  const shifted = (h: Code, bits: number) => f.let(op('v128.xor', h, op('i32x4.shr_u', h, i32(bits))))
  const times = (h: Code, factor: number) => f.let(op('i32x4.mul', h, constI32x4(factor)))
  return shifted(times(shifted(times(shifted(words, 16), 0x85ebca6b | 0), 13), 0xc2b2ae35 | 0), 16)
}

/** A multiple of four rows. The lower half of their places must not overflow within them. */
function hashCells(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32, I32], [])
  const [, low, above, seed, cells] = [0, 1, 2, 3, 4]
  const words = f.local(V128)
  const [aboves, seeds] = [above, seed].map((local) => f.let(op('i32x4.splat', get(local))))
  f.add(set(words, op('i32x4.add', op('i32x4.splat', get(low)), IOTA)))
  forRows(
    f,
    () => {
      const first = mixed(f, f.let(op('v128.xor', get(words), seeds)))
      const second = mixed(f, f.let(op('i32x4.add', first, aboves)))
      f.add(storeVector(get(cells), second), step(cells, 16))
      f.add(set(words, op('i32x4.add', get(words), constI32x4(4))))
    },
    4,
  )
  return f
}

function findCells(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32], [])
  const [, slices, cells, buckets] = [0, 1, 2, 3]
  const [mask, count] = [
    f.let(op('i32x4.splat', op('i32.sub', get(buckets), i32(1)))),
    f.let(op('i32x4.splat', get(buckets))),
  ]
  forRows(
    f,
    () => {
      const slice = f.let(loadVector(get(slices)))
      const cell = op(
        'i32x4.add',
        op('i32x4.mul', slice, count),
        op('v128.and', loadVector(get(cells)), mask),
      )
      const isOut = op('i32x4.lt_s', slice, constI32x4(0))
      f.add(storeVector(get(cells), op('v128.or', cell, isOut)), step(slices, 16), step(cells, 16))
    },
    4,
  )
  return f
}

function addToBuckets(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32, I32], [])
  const [, numbers, cells, buckets, rounders] = [0, 1, 2, 3, 4]
  const own = Array.from({ length: COARSE.count }, (_, bin) => f.let(loadF64(get(rounders), 16 * bin), F64))
  forRows(f, () => {
    ifCounts(f, cells, (index) => {
      const cell = f.let(add(get(buckets), scaled(index, BUCKET_BYTES)), I32)
      let rest = f.let(loadF64(get(numbers)), F64)
      const parts = own.map((rounder) => {
        const part = f.let(op('f64.sub', op('f64.add', rest, rounder), rounder), F64)
        rest = f.let(op('f64.sub', rest, part), F64)
        return part
      })
      const terms = [...parts, f64(1)]
      for (let bin = 0; bin < terms.length; bin += 2) {
        const pair = replaceF64(op('f64x2.splat', terms[bin]), 1, terms[bin + 1])
        f.add(storeVector(cell, op('f64x2.add', loadVector(cell, 8 * bin), pair), 8 * bin))
      }
    })
    f.add(step(cells, 4), step(numbers, 8))
  })
  return f
}

function sketch(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32, I32, I32], [I32])
  const [from, count, numbers, slices, directory, stride] = [0, 1, 2, 3, 4, 5]
  f.add(set(numbers, add(get(numbers), scaled(get(from), 8))))
  f.add(set(slices, add(get(slices), scaled(get(from), 4))))
  const body = f.capture(() => {
    ifCounts(f, slices, (slice) => {
      // The upper half of the number: sign, exponent and the first digits.
      const word = f.let(loadI32(get(numbers), 4), I32)
      const place = op('i32.shl', op('i32.shr_u', word, i32(22)), i32(2))
      const entry = add(add(get(directory), op('i32.mul', slice, get(stride))), place)
      const page = f.let(loadI32(entry), I32)
      f.add(ifElse(op('i32.eqz', page), returned(get(from))))
      const bin = op('i32.and', op('i32.shr_u', word, i32(11)), i32((SKETCH_BINS - 1) * 4))
      const at = f.let(add(page, bin), I32)
      f.add(storeI32(at, add(loadI32(at), i32(1))))
    })
    f.add(step(slices, 4), step(numbers, 8), step(from, 1))
  })
  f.add(whileLoop(op('i32.lt_s', get(from), get(count)), body), get(count))
  return f
}
