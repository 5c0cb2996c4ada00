/**
 * Float64 arithmetic on two SIMD lanes at a time, in which plain polynomials are accurate enough for float32 results; also
 * the splitting of a float32 into exponent and mantissa, for logarithms.
 */
import { interpolate } from './chebyshev.ts'
import {
  type Code,
  constF32x4,
  constF64x2,
  constI32x4,
  type FunctionBuilder,
  i32,
  op,
  shuffle,
} from './wasm-encoder.ts'

/** What the runtime supports beyond fixed-width SIMD. */
export interface TargetFeatures {
  /** Relaxed SIMD: a multiply and an add in one step, rounded once where the machine can. */
  readonly relaxed: boolean
  /** Whether functions of the library are called where they would be inlined: some compilers give up on long functions. */
  readonly outlined?: boolean
}

/** Lane by lane. */
export const bitselect = (test: Code, yes: Code, no: Code): Code => op('v128.bitselect', yes, no, test)

/** a * b + c. */
export function maddWide({ relaxed }: TargetFeatures, a: Code, b: Code, c: Code): Code {
  return relaxed ? op('f64x2.relaxed_madd', a, b, c) : op('f64x2.add', op('f64x2.mul', a, b), c)
}

/** Horner's rule, coefficients from the lowest power up. */
export function hornerWide(target: TargetFeatures, x: Code, coefficients: readonly number[]): Code {
  const [highest, ...rest] = [...coefficients].reverse()
  return rest.reduce<Code>(
    (sum, coefficient) => maddWide(target, sum, x, constF64x2(coefficient)),
    constF64x2(highest),
  )
}

/** Which lanes are worked on. */
export type Lanes = readonly [number, number, number, number]
export const LOW: Lanes = [0, 1, 0, 1]
export const HIGH: Lanes = [2, 3, 2, 3]

/** Runs a function of float64 pairs on both halves of a vector. */
export function mapHalvesAsFloat64(f: FunctionBuilder, x: Code, run: (pair: Code) => Code): Code {
  return mapHalves(f, (lanes) => run(promoted(f, x, lanes)))
}

/** The same where more than one vector is read. */
export function mapHalves(f: FunctionBuilder, run: (lanes: Lanes) => Code): Code {
  const [low, high] = [LOW, HIGH].map((lanes) => f.let(op('f32x4.demote_f64x2_zero', run(lanes))))
  return shuffle(low, high, [0, 1, 4, 5])
}

/** Two lanes as float64. */
export function promoted(f: FunctionBuilder, x: Code, lanes: Lanes): Code {
  return f.let(op('f64x2.promote_low_f32x4', lanes === LOW ? x : shuffle(x, x, lanes)))
}

export const addWide = (a: Code, b: Code) => op('f64x2.add', a, b)
export const subWide = (a: Code, b: Code) => op('f64x2.sub', a, b)
export const mulWide = (a: Code, b: Code) => op('f64x2.mul', a, b)

const SMALLEST_NORMAL = 2 ** -126
/** The bits of sqrt(1/2): what is subtracted so that the shift yields the exponent of a mantissa in [sqrt(1/2), sqrt(2)). */
const SQRT_HALF_BITS = 0x3f3504f3

/** x = m 2^e with m in [sqrt(1/2), sqrt(2)), for positive finite x; denormals are scaled up first. */
export function splitExponent(f: FunctionBuilder, x: Code): { m: Code; e: Code } {
  const isTiny = f.let(op('f32x4.lt', x, constF32x4(SMALLEST_NORMAL)))
  const bits = f.let(bitselect(isTiny, op('f32x4.mul', x, constF32x4(2 ** 23)), x))
  const e = f.let(op('i32x4.shr_s', op('i32x4.sub', bits, constI32x4(SQRT_HALF_BITS)), i32(23)))
  const m = f.let(op('i32x4.sub', bits, op('i32x4.shl', e, i32(23))))
  return { m, e: f.let(op('i32x4.sub', e, op('v128.and', isTiny, constI32x4(23)))) }
}

const LOG2_RANGE = [Math.SQRT1_2 - 1.001, Math.SQRT2 - 0.999] as const
/** log2(1 + z) / z. */
const LOG2 = interpolate((z) => (z === 0 ? Math.LOG2E : Math.log1p(z) / z / Math.LN2), ...LOG2_RANGE, 18)

/** log2 of two lanes of m 2^e, given z = m - 1. */
export function log2Wide(f: FunctionBuilder, target: TargetFeatures, z: Code, e: Code, lanes: Lanes): Code {
  const zWide = promoted(f, z, lanes)
  const [low, high] = LOG2_RANGE
  const t = f.let(mulWide(subWide(zWide, constF64x2((low + high) / 2)), constF64x2(2 / (high - low))))
  const fraction = mulWide(zWide, hornerWide(target, t, LOG2))
  return f.let(addWide(op('f64x2.convert_low_i32x4_s', shuffle(e, e, lanes)), fraction))
}
