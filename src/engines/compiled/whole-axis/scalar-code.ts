/**
 * Scalar code for functions that walk along an axis one element at a time: loops over lines of memory, and numbers in it. Whatever
 * the elements are stored as, arithmetic is in float64, and a result is rounded once.
 */
import {
  type Code,
  type FunctionBuilder,
  get,
  I32,
  i32,
  loadF32,
  loadF64,
  loadI32,
  op,
  select,
  set,
  storeF32,
  storeF64,
  storeI32,
  truncatedF64,
  whileLoop,
} from '../wasm-encoder.ts'

/** How the elements of an array are stored. */
export type ElementKind = 'f32' | 'f64' | 'i32'

/** Elements at equal distances in memory. The stride is in bytes. */
export interface Line {
  readonly start: Code
  readonly stride: Code
}

/** Bytes of a float64. */
export const DOUBLE = 8

/** An element as a float64. */
export function loadNumber(kind: ElementKind, address: Code): Code {
  if (kind === 'f64') return loadF64(address)
  return kind === 'f32' ? op('f64.promote_f32', loadF32(address)) : op('f64.convert_i32_s', loadI32(address))
}

export function storeNumber(kind: ElementKind, address: Code, value: Code): Code {
  if (kind === 'f64') return storeF64(address, value)
  return kind === 'f32'
    ? storeF32(address, op('f32.demote_f64', value))
    : storeI32(address, truncatedF64(value))
}

/** An element that is an integer as an int32; the nearest one if it is beyond their range. */
export function loadInteger(kind: ElementKind, address: Code): Code {
  return kind === 'i32' ? loadI32(address) : truncatedF64(loadNumber(kind, address))
}

export function storeInteger(kind: ElementKind, address: Code, value: Code): Code {
  return kind === 'i32'
    ? storeI32(address, value)
    : storeNumber(kind, address, op('f64.convert_i32_s', value))
}

export const plus = (a: Code, b: Code): Code => op('i32.add', a, b)
export const times = (a: Code, b: Code): Code => op('i32.mul', a, b)
/** The address of an element of an array of float64. */
export const doubleAt = (start: Code, place: Code): Code => plus(start, op('i32.shl', place, i32(3)))

/** An integer in a local that changes. */
export function counter(f: FunctionBuilder, start: Code): { readonly value: Code; set(value: Code): void } {
  const local = f.local(I32)
  f.add(set(local, start))
  return { value: get(local), set: (value) => f.add(set(local, value)) }
}

/** For each element of lines of the same length, in order: where it is in each line, and its place. */
export function walk(
  f: FunctionBuilder,
  count: Code,
  lines: readonly Line[],
  turn: (at: readonly Code[], place: Code) => void,
) {
  const pointers = lines.map(({ start }) => counter(f, start))
  const place = counter(f, i32(0))
  const body = f.capture(() => {
    turn(
      pointers.map(({ value }) => value),
      place.value,
    )
    lines.forEach(({ stride }, i) => {
      pointers[i].set(plus(pointers[i].value, stride))
    })
    place.set(plus(place.value, i32(1)))
  })
  f.add(whileLoop(op('i32.lt_s', place.value, count), body))
}

/** For each place from the first to before the end. */
export function each(f: FunctionBuilder, first: Code, end: Code, turn: (place: Code) => void, step = 1) {
  const place = counter(f, first)
  const body = f.capture(() => {
    turn(place.value)
    place.set(plus(place.value, i32(step)))
  })
  f.add(whileLoop(op('i32.lt_s', place.value, end), body))
}

/** `a` or `b`, whichever is smaller. */
export function smaller(f: FunctionBuilder, a: Code, b: Code): Code {
  const [x, y] = [f.let(a, I32), f.let(b, I32)]
  return select(op('i32.lt_s', x, y), x, y)
}

/** A line whose first element is its last. */
export function reversed({ start, stride }: Line, count: Code): Line {
  return {
    start: plus(start, times(op('i32.sub', count, i32(1)), stride)),
    stride: op('i32.sub', i32(0), stride),
  }
}
