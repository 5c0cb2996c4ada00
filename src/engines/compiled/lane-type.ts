/**
 * The element type of a kernel: four float32 or two float64 in the lanes of a vector. Planner, emitter and memory layout
 * are the same for both; what differs between them is here and, for functions of more than a few instructions, in the
 * math library. In float32 lanes an index is an int32; in float64 lanes it is a float64, because WebAssembly converts
 * no 64-bit integers to numbers.
 */
import type { Precision } from '../../tensor.ts'
import {
  type Code,
  constF32x4,
  constF64x2,
  constI32x4,
  constI64x2,
  extractF32,
  extractF64,
  F32,
  F64,
  type FunctionBuilder,
  IOTA,
  loadHalf,
  loadLane,
  loadLowHalf,
  loadSplat,
  loadSplat64,
  loadVector,
  op,
  replaceF32,
  replaceF64,
  type SimdOp,
  shuffle,
  storeHalf,
  storeLane,
} from './wasm-encoder.ts'

/** The names of the instructions with a prefix. */
type Named<Prefix extends string> = SimdOp extends infer Name
  ? Name extends `${Prefix}.${infer Own}`
    ? Own
    : never
  : never

/** Instructions on lanes that both types have. */
export type LaneOp = Named<'f32x4'> & Named<'f64x2'>

/** How the elements of a buffer are stored, and how they reach the lanes. */
export interface StoredType {
  /** Bytes of one element. */
  readonly bytes: 4 | 8
  /** Whether the lanes contain the bits that are stored, so that vectors can be moved as they are. */
  readonly isNative: boolean
  /** One element, in all lanes. */
  splat(address: Code, offset: number): Code
  /** Neighbors in memory. */
  vector(address: Code, offset: number): Code
  /** Adds one element to the raw contents of a vector. */
  lane(address: Code, vector: Code, lane: number, offset: number): Code
  /** Raw contents -> lanes. */
  converted(raw: Code): Code
}

export interface LaneType {
  readonly precision: Precision
  /** Number of lanes that are used. */
  readonly count: 4 | 2 | 1
  readonly places: readonly number[]
  /** The type of one lane as an argument of a function. */
  readonly scalar: typeof F32 | typeof F64
  /** How results, scratch memory and inputs of the kernel's own precision are stored. */
  readonly native: StoredType
  /** How class indices are stored. */
  readonly index: StoredType
  /** How float32 inputs are stored. */
  readonly narrow: StoredType
  /** Bits that are cleared for, and the least result of, a test for infinities and NaN as 32-bit integers. */
  readonly finite: { readonly magnitude: Code; readonly limit: Code }
  op(name: LaneOp, ...operands: Code[]): Code
  constant(value: number): Code
  /** Instructions on the bits of the lanes as integers, which are as wide as the lanes. */
  bits(name: 'add' | 'sub' | 'shl' | 'shr_s', ...operands: Code[]): Code
  integer(value: number): Code
  /** a * b + c, rounded once where the machine can. */
  fused(a: Code, b: Code, c: Code): Code
  /** Rounds a number that JavaScript has computed. */
  round(value: number): number
  storeOne(address: Code, value: Code, lane: number, offset: number): Code
  extract(vector: Code, lane: number): Code
  /** One lane as float64, and back. */
  widened(value: Code): Code
  narrowed(value: Code): Code
  replace(vector: Code, lane: number, value: Code): Code
  /** Swaps the lanes at a distance that is a power of two, for horizontal reductions. */
  swapped(vector: Code, distance: number): Code
  /** The index in all lanes, or successive indices from it on. */
  indexSplat(index: Code): Code
  indices(first: Code): Code
  indexAdd(indices: Code, steps: number): Code
  /** Compares indices, or truth values. */
  compareWhole(name: 'eq' | 'lt' | 'le', areTruths: boolean, a: Code, b: Code): Code
  /** An index as a number. */
  indexToReal(value: Code): Code
  /** An index as it is, or a number without its fraction, as int32 in the first lanes of the vector. */
  toInt32(value: Code, isIndex: boolean): Code
  /** Rows of as many vectors as there are lanes become columns. */
  transposed(f: FunctionBuilder, rows: readonly Code[]): Code[]
}

const WORD: StoredType = {
  bytes: 4,
  isNative: true,
  splat: loadSplat,
  vector: loadVector,
  lane: loadLane,
  converted: (raw) => raw,
}

const WHOLE = { eq: 'i32x4.eq', lt: 'i32x4.lt_s', le: 'i32x4.le_s' } as const

export const FLOAT32: LaneType = {
  precision: 'float32',
  count: 4,
  places: [0, 1, 2, 3],
  scalar: F32,
  native: WORD,
  index: WORD,
  narrow: WORD,
  finite: { magnitude: constI32x4(0x7fffffff), limit: constI32x4(0x7f800000) },
  op: (name, ...operands) => op(`f32x4.${name}`, ...operands),
  constant: constF32x4,
  bits: (name, ...operands) => op(`i32x4.${name}`, ...operands),
  integer: constI32x4,
  fused: (a, b, c) => op('f32x4.relaxed_madd', a, b, c),
  round: Math.fround,
  storeOne: storeLane,
  extract: extractF32,
  widened: (value) => op('f64.promote_f32', value),
  narrowed: (value) => op('f32.demote_f64', value),
  replace: replaceF32,
  swapped: (vector, distance) => shuffle(vector, vector, distance === 2 ? [2, 3, 0, 1] : [1, 0, 3, 2]),
  indexSplat: (index) => op('i32x4.splat', index),
  indices: (first) => op('i32x4.add', op('i32x4.splat', first), IOTA),
  indexAdd: (indices, steps) => op('i32x4.add', indices, constI32x4(steps)),
  compareWhole: (name, _, a, b) => op(WHOLE[name], a, b),
  indexToReal: (value) => op('f32x4.convert_i32x4_s', value),
  toInt32: (value, isIndex) => (isIndex ? value : op('i32x4.trunc_sat_f32x4_s', value)),
  transposed: transposedFours,
}

/** 32-bit elements in float64 lanes: two of them are loaded into the lower half of a vector and converted. */
function widened(conversion: 'f64x2.promote_low_f32x4' | 'f64x2.convert_low_i32x4_s'): StoredType {
  const converted = (raw: Code) => op(conversion, raw)
  return {
    bytes: 4,
    isNative: false,
    splat: (address, offset) => converted(loadSplat(address, offset)),
    vector: (address, offset) => converted(loadLowHalf(address, offset)),
    lane: loadLane,
    converted,
  }
}

const toFloat64 = (whole: Code) => op('f64x2.convert_low_i32x4_s', whole)

export const FLOAT64: LaneType = {
  precision: 'float64',
  count: 2,
  places: [0, 1],
  scalar: F64,
  native: {
    bytes: 8,
    isNative: true,
    splat: loadSplat64,
    vector: loadVector,
    lane: loadHalf,
    converted: (raw) => raw,
  },
  index: widened('f64x2.convert_low_i32x4_s'),
  narrow: widened('f64x2.promote_low_f32x4'),
  // The upper half of a number has its exponent. The lower half is cleared, and so below its limit.
  finite: {
    magnitude: constI64x2(0x7fffffff_00000000n),
    limit: constI64x2(0x7ff00000_00000001n),
  },
  op: (name, ...operands) => op(`f64x2.${name}`, ...operands),
  constant: constF64x2,
  bits: (name, ...operands) => op(`i64x2.${name}`, ...operands),
  integer: (value) => constI64x2(BigInt(value)),
  fused: (a, b, c) => op('f64x2.relaxed_madd', a, b, c),
  round: (value) => value,
  storeOne: storeHalf,
  extract: extractF64,
  widened: (value) => value,
  narrowed: (value) => value,
  replace: replaceF64,
  swapped: (vector) => shuffle(vector, vector, [2, 3, 0, 1]),
  indexSplat: (index) => toFloat64(op('i32x4.splat', index)),
  indices: (first) => toFloat64(op('i32x4.add', op('i32x4.splat', first), IOTA)),
  indexAdd: (indices, steps) => op('f64x2.add', indices, constF64x2(steps)),
  compareWhole: (name, areTruths, a, b) => op(areTruths ? WHOLE[name] : (`f64x2.${name}` as const), a, b),
  indexToReal: (value) => value,
  toInt32: (value) => op('i32x4.trunc_sat_f64x2_s_zero', value),
  transposed: transposedPairs,
}

/** The lanes of a precision. */
export function lanesOf(precision: Precision): LaneType {
  return precision === 'float64' ? FLOAT64 : FLOAT32
}

/** The same type where only the first lane is used: every iteration of a loop computes one element. */
export function firstLaneOf(lane: LaneType): LaneType {
  return { ...lane, count: 1, places: [0] }
}

type Picks = readonly [number, number, number, number]

function transposedFours(f: FunctionBuilder, [a, b, c, d]: readonly Code[]): Code[] {
  const pair = (x: Code, y: Code, picks: Picks) => f.let(shuffle(x, y, picks))
  const [lowAB, lowCD] = [pair(a, b, [0, 4, 1, 5]), pair(c, d, [0, 4, 1, 5])]
  const [highAB, highCD] = [pair(a, b, [2, 6, 3, 7]), pair(c, d, [2, 6, 3, 7])]
  return [
    pair(lowAB, lowCD, [0, 1, 4, 5]),
    pair(lowAB, lowCD, [2, 3, 6, 7]),
    pair(highAB, highCD, [0, 1, 4, 5]),
    pair(highAB, highCD, [2, 3, 6, 7]),
  ]
}

function transposedPairs(f: FunctionBuilder, [a, b]: readonly Code[]): Code[] {
  return [f.let(shuffle(a, b, [0, 1, 4, 5])), f.let(shuffle(a, b, [2, 3, 6, 7]))]
}
