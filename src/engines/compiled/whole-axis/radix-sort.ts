/**
 * Stable sorting of places by the numbers there: least significant digit radix sort, and insertion sort of short lines. The order is
 * that of unsigned integers with the same order as the numbers (Herf 2001, Radix tricks): equal ones by place, -0 equal to 0, NaN last.
 */
import {
  type Code,
  call,
  F32,
  F64,
  FunctionBuilder,
  f64,
  fillMemory,
  get,
  I32,
  I64,
  i32,
  i64,
  ifElse,
  loadF32,
  loadI32,
  loadI64,
  op,
  select,
  set,
  storeI32,
  storeI64,
  whileLoop,
} from '../wasm-encoder.ts'
import {
  counter,
  DOUBLE,
  type ElementKind,
  each,
  type Line,
  loadNumber,
  plus,
  storeInteger,
  walk,
} from './scalar-code.ts'

/** Bits of a digit: of short lines, whose counters would take longer than their elements, and of long ones. */
export type DigitBits = 8 | 11

/**
 * Longest line that is sorted by insertion: beyond, counting digits is faster (of 64 float32, 17 ns per element instead of 23; of 80
 * float64, whose keys have twice as many digits, 27 either way).
 */
const SHORT: Readonly<Record<ElementKind, number>> = { f32: 48, i32: 48, f64: 80 }
/** From here on, fewer passes make up for the longer tables of long digits. */
const LONG = 4096
/** Bytes of an item: the place of an element, and above it 32 bits of its key. */
const ITEM = 8
const SIGN = -(2 ** 31)

/** The functions that sorting calls, by their indices. */
export interface SortParts {
  readonly short: number
  readonly byDigits: Readonly<Record<DigitBits, number>>
}

/** (x, stride, count, places, stride, workspace): the places of the elements in ascending order. */
export function argsort(kind: ElementKind, result: ElementKind, parts: SortParts): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32, I32, I32], [])
  const [x, stride, count, places, placesStride, workspace] = [0, 1, 2, 3, 4, 5].map(get)
  const long = f.capture(() => {
    const sorted = sortedItems(f, kind, { start: x, stride }, count, workspace, parts)
    const lines = [
      { start: sorted, stride: i32(ITEM) },
      { start: places, stride: placesStride },
    ]
    walk(f, count, lines, ([item, to]) => f.add(storeInteger(result, to, loadI32(item))))
  })
  const short = call(parts.short, x, stride, count, places, placesStride, workspace)
  f.add(ifElse(op('i32.le_s', count, i32(SHORT[kind])), short, long))
  return f
}

/** The address of the items in order. A key of 64 bits is sorted by its lower half first, then by its upper half. */
function sortedItems(
  f: FunctionBuilder,
  kind: ElementKind,
  x: Line,
  count: Code,
  workspace: Code,
  { byDigits }: SortParts,
): Code {
  const bytes = op('i32.shl', count, i32(3))
  const [items, spare] = [f.let(workspace, I32), f.let(plus(workspace, bytes), I32)]
  const counters = f.let(plus(spare, bytes), I32)
  const sort = (from: Code, to: Code) => {
    const args = [from, to, count, counters]
    const long = set(sorted, call(byDigits[11], ...args))
    f.add(ifElse(op('i32.lt_s', count, i32(LONG)), set(sorted, call(byDigits[8], ...args)), long))
  }
  const sorted = f.local(I32)
  walk(f, count, [x, { start: items, stride: i32(ITEM) }], ([from, item], place) => {
    f.add(storeI32(item, place), storeI32(item, lowerKey(f, kind, from), 4))
  })
  sort(items, spare)
  if (kind !== 'f64') return get(sorted)
  walk(f, count, [{ start: get(sorted), stride: i32(ITEM) }], ([item]) => {
    const from = plus(x.start, op('i32.mul', loadI32(item), x.stride))
    f.add(
      storeI32(item, op('i32.wrap_i64', op('i64.shr_u', wideKey(f, loadNumber(kind, from)), i64(32n))), 4),
    )
  })
  const other = op('i32.sub', plus(items, spare), get(sorted))
  sort(f.let(get(sorted), I32), f.let(other, I32))
  return get(sorted)
}

/** The key of an element of 32 bits, or the lower half of a wider one. */
function lowerKey(f: FunctionBuilder, kind: ElementKind, address: Code): Code {
  if (kind === 'i32') return op('i32.xor', loadI32(address), i32(SIGN))
  if (kind === 'f64') return op('i32.wrap_i64', wideKey(f, loadNumber(kind, address)))
  const x = f.let(loadF32(address), F32)
  // Adding 0 turns -0 into 0.
  const bits = f.let(op('i32.reinterpret_f32', op('f32.add', x, ZERO_F32)), I32)
  const key = op('i32.xor', bits, op('i32.or', op('i32.shr_s', bits, i32(31)), i32(SIGN)))
  return select(op('f32.ne', x, x), i32(-1), key)
}

const ZERO_F32: Code = [0x43, 0, 0, 0, 0]

/** The same for a float64. */
function wideKey(f: FunctionBuilder, value: Code): Code {
  const x = f.let(value, F64)
  const bits = f.let(op('i64.reinterpret_f64', op('f64.add', x, f64(0))), I64)
  const key = op('i64.xor', bits, op('i64.or', op('i64.shr_s', bits, i64(63n)), i64(-(2n ** 63n))))
  return select(op('f64.ne', x, x), i64(-1n), key)
}

/** (items, spare, count, counters) -> whichever of the two arrays has the items in order of the upper half of each. */
export function sortByDigits(bits: DigitBits): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32], [I32])
  const [items, spare, count, counters] = [0, 1, 2, 3].map(get)
  const passes = Array.from({ length: Math.ceil(32 / bits) }, (_, pass) => pass)
  const bytes = 4 << bits
  const counterOf = (item: Code, pass: number) => plus(counters, digitBytes(loadI32(item, 4), pass, bits))
  f.add(fillMemory(counters, 0, i32(passes.length * bytes)))
  walk(f, count, [{ start: items, stride: i32(ITEM) }], ([item]) => {
    for (const pass of passes) {
      const at = f.let(counterOf(item, pass), I32)
      f.add(storeI32(at, plus(loadI32(at, pass * bytes), i32(1)), pass * bytes))
    }
  })
  for (const pass of passes) {
    const ofFirst = loadI32(counterOf(items, pass), pass * bytes)
    const move = f.capture(() => {
      addressesOfDigits(f, plus(counters, i32(pass * bytes)), bytes, spare)
      walk(f, count, [{ start: items, stride: i32(ITEM) }], ([item]) => {
        const at = f.let(counterOf(item, pass), I32)
        const to = f.let(loadI32(at, pass * bytes), I32)
        f.add(storeI64(to, loadI64(item)), storeI32(at, plus(to, i32(ITEM)), pass * bytes))
      })
      swap(f, 0, 1)
    })
    // Nothing moves if all have the same digit.
    f.add(ifElse(op('i32.ne', ofFirst, count), move))
  }
  f.add(items)
  return f
}

/** Four times a digit of a key. */
function digitBytes(key: Code, pass: number, bits: DigitBits): Code {
  const shift = pass * bits - 2
  const moved = shift < 0 ? op('i32.shl', key, i32(-shift)) : op('i32.shr_u', key, i32(shift))
  return op('i32.and', moved, i32(((1 << bits) - 1) << 2))
}

/** Turns the number of items with each digit into the address of the first of them. */
function addressesOfDigits(f: FunctionBuilder, counters: Code, bytes: number, start: Code) {
  const next = counter(f, start)
  const first = f.let(counters, I32)
  each(
    f,
    first,
    f.let(plus(first, i32(bytes)), I32),
    (at) => {
      const own = f.let(loadI32(at), I32)
      f.add(storeI32(at, next.value))
      next.set(plus(next.value, op('i32.shl', own, i32(3))))
    },
    4,
  )
}

function swap(f: FunctionBuilder, a: number, b: number) {
  const kept = f.let(get(a), I32)
  f.add(set(a, get(b)), set(b, kept))
}

/** The same as `argsort`, for lines that are so short that each element finds its place among the ones before it faster. */
export function insertionSort(kind: ElementKind, result: ElementKind): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32, I32, I32], [])
  const [x, stride, count, places, placesStride, keys] = [0, 1, 2, 3, 4, 5].map(get)
  const order = f.let(plus(keys, op('i32.shl', count, i32(3))), I32)
  walk(f, count, [{ start: x, stride }], ([from], place) => {
    const key = f.let(wideKey(f, loadNumber(kind, from)), I64)
    const at = counter(f, plus(keys, op('i32.shl', place, i32(3))))
    const placeAt = counter(f, plus(order, op('i32.shl', place, i32(2))))
    const isLess = op('i64.lt_u', key, loadI64(op('i32.sub', at.value, i32(DOUBLE))))
    const moveUp = f.capture(() => {
      f.add(storeI64(at.value, loadI64(op('i32.sub', at.value, i32(DOUBLE)))))
      f.add(storeI32(placeAt.value, loadI32(op('i32.sub', placeAt.value, i32(4)))))
      at.set(op('i32.sub', at.value, i32(DOUBLE)))
      placeAt.set(op('i32.sub', placeAt.value, i32(4)))
    })
    f.add(whileLoop(op('i32.and', op('i32.lt_u', keys, at.value), isLess), moveUp))
    f.add(storeI64(at.value, key), storeI32(placeAt.value, place))
  })
  const lines = [
    { start: order, stride: i32(4) },
    { start: places, stride: placesStride },
  ]
  walk(f, count, lines, ([from, to]) => f.add(storeInteger(result, to, loadI32(from))))
  return f
}
