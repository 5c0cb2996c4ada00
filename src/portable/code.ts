/** Phrases that the functions of a portable kernel are written with. */

import {
  type Code,
  type FunctionBuilder,
  f64,
  I32,
  i32,
  ifElse,
  loadI32,
  op,
  storeI32,
} from '../engines/compiled/wasm-encoder.ts'
import {
  plus as add,
  type ElementKind,
  each,
  loadNumber,
  times as mul,
  storeNumber,
} from '../engines/compiled/whole-axis/scalar-code.ts'
import type { StoredDtype } from './contract.ts'

export { add, mul }
export const sub = (a: Code, b: Code): Code => op('i32.sub', a, b)
export const over = (a: Code, b: Code): Code => op('i32.div_s', a, b)
export const modulo = (a: Code, b: Code): Code => op('i32.rem_s', a, b)
export const and = (...conditions: readonly Code[]): Code =>
  conditions.reduce((a, b) => op('i32.and', a, b), i32(1))
export const or = (...conditions: readonly Code[]): Code =>
  conditions.reduce((a, b) => op('i32.or', a, b), i32(0))
export const not = (condition: Code): Code => op('i32.eqz', condition)
/** A whole number as a real one. */
export const real = (whole: Code): Code => op('f64.convert_i32_s', whole)

/** The product of whole numbers. */
export const product = (factors: readonly Code[]): Code => factors.reduce((a, b) => mul(a, b), i32(1))
/** The product of real numbers, which does not wrap around. */
export const realProduct = (factors: readonly Code[]): Code =>
  factors.reduce((a, b) => op('f64.mul', a, b), f64(1))

/** Bytes of an element. */
export function bytesOf(dtype: StoredDtype): 4 | 8 {
  return dtype === 'float64' ? 8 : 4
}

/** How functions that walk along an axis call it. */
function kindOf(dtype: StoredDtype): ElementKind {
  return dtype === 'int32' ? 'i32' : dtype === 'float64' ? 'f64' : 'f32'
}

/** The address of an element. */
export function elementAt(dtype: StoredDtype, base: Code, element: Code): Code {
  return add(base, op('i32.shl', element, i32(bytesOf(dtype) === 8 ? 3 : 2)))
}

/** An element as float64, whatever it is stored as. */
export function loadReal(dtype: StoredDtype, address: Code): Code {
  return loadNumber(kindOf(dtype), address)
}

export function storeReal(dtype: StoredDtype, address: Code, value: Code): Code {
  return storeNumber(kindOf(dtype), address, value)
}

/** Rounds a float64 to what an element can hold. */
export function rounded(dtype: StoredDtype, value: Code): Code {
  return dtype === 'float32' ? op('f64.promote_f32', op('f32.demote_f64', value)) : value
}

/** `for (i = 0; i < count; i++) turn(i)` */
export function countUp(f: FunctionBuilder, count: Code, turn: (i: Code) => void) {
  each(f, i32(0), f.let(count, I32), turn)
}

/** `if (condition) then()` */
export function when(f: FunctionBuilder, condition: Code, then: () => void, otherwise?: () => void) {
  const yes = f.capture(then)
  f.add(ifElse(condition, yes, otherwise === undefined ? [] : f.capture(otherwise)))
}

export const storeWord = (at: number, value: Code): Code => storeI32(i32(at), value)
export const loadWord = (at: number): Code => loadI32(i32(at))
