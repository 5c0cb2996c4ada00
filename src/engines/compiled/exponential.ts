/**
 * exp and related functions, for both lane types: x = n ln 2 + r with an integer n, a polynomial in r, and 2^n from its
 * bits (Cody and Waite 1980, ch. 6). The types differ only in their constants.
 */
import { factorial } from '../../language/gamma.ts'
import { economize, interpolate } from './chebyshev.ts'
import { horner, madd, type Writer, withSignOf } from './lane-math.ts'
import type { LaneType } from './lane-type.ts'
import { type Code, type FunctionBuilder, i32 } from './wasm-encoder.ts'
import type { TargetFeatures } from './wide.ts'

interface ExpConstants {
  /** 1.5 * 2^m for m bits after the point: adding it to a small number rounds that to an integer, which is then in the low bits. */
  readonly rounder: number
  /** Its bits. */
  readonly rounderBits: number
  /** The exponent of 2^0, and the bits after it. */
  readonly bias: number
  readonly mantissa: number
  /** ln 2 in two parts, the first of which has so few bits that its product with n is exact. */
  readonly ln2High: number
  readonly ln2Low: number
  /** e^r - 1 - r over r^2 on [-ln 2 / 2, ln 2 / 2], from the highest power down. */
  readonly tail: readonly number[]
  /** Beyond these, exp is 0 or infinity. */
  readonly lowest: number
  readonly highest: number
  /** From here down, expm1 is -1; from here up, tanh is 1. */
  readonly expm1Lowest: number
  readonly tanhHighest: number
}

const END = Math.LN2 / 2

function tailOf(degree: number): number[] {
  return interpolate(tail, -END, END, degree)
    .map((coefficient, power) => coefficient / END ** power)
    .reverse()
}

/** The same in float64, from the coefficients of the series. */
export function economizedTail(degree: number): number[] {
  return economize((k) => 1 / factorial(k + 2), END, degree, { symmetric: true }).reverse()
}

/** Its series, whose terms vanish after the twelfth. */
function tail(r: number): number {
  let [term, sum] = [1 / 2, 0]
  for (let power = 3; power < 16; power++) {
    sum += term
    term *= r / power
  }
  return sum
}

const CONSTANTS: Readonly<Record<LaneType['precision'], ExpConstants>> = {
  float32: {
    rounder: 12582912,
    rounderBits: 0x4b400000,
    bias: 127,
    mantissa: 23,
    // Cephes' expf (Moshier, https://www.netlib.org/cephes/).
    ln2High: 0.693359375,
    ln2Low: -2.1219444e-4,
    // One more coefficient would gain a tenth of an ulp.
    tail: tailOf(4),
    lowest: -105,
    highest: 89,
    expm1Lowest: -30,
    tanhHighest: 10,
  },
  float64: {
    rounder: 1.5 * 2 ** 52,
    rounderBits: 0x4338 * 2 ** 48,
    bias: 1023,
    mantissa: 52,
    // fdlibm's e_exp.c (Sun Microsystems 1993, https://www.netlib.org/fdlibm/).
    ln2High: 0.6931471803691238,
    ln2Low: 1.9082149292705877e-10,
    tail: economizedTail(9),
    lowest: -746,
    highest: 710,
    expm1Lowest: -40,
    tanhHighest: 22,
  },
}

/** ln 2 in two parts, as `exp` splits it. */
export function splitLn2({ precision }: LaneType): { high: number; low: number } {
  const { ln2High, ln2Low } = CONSTANTS[precision]
  return { high: ln2High, low: ln2Low }
}

/** (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2. */
export function expTail(lane: LaneType, target: TargetFeatures, r: Code): Code {
  return horner(lane, target, r, CONSTANTS[lane.precision].tail)
}

/** Range reduction: x = n ln 2 + r with an integer n, also as integers k. */
export function reduceExp(
  lane: LaneType,
  f: FunctionBuilder,
  target: TargetFeatures,
  x: Code,
): { n: Code; k: Code; r: Code } {
  const { rounder, rounderBits, ln2High, ln2Low } = CONSTANTS[lane.precision]
  const rounded = f.let(madd(lane, target, x, lane.constant(Math.LOG2E), lane.constant(rounder)))
  const n = f.let(lane.op('sub', rounded, lane.constant(rounder)))
  const k = f.let(lane.bits('sub', rounded, lane.integer(rounderBits)))
  const high = madd(lane, target, n, lane.constant(-ln2High), x)
  return { n, k, r: f.let(madd(lane, target, n, lane.constant(-ln2Low), high)) }
}

/** A whole number of small magnitude as integers. */
export function integerOf(lane: LaneType, n: Code): Code {
  const { rounder, rounderBits } = CONSTANTS[lane.precision]
  return lane.bits('sub', lane.op('add', n, lane.constant(rounder)), lane.integer(rounderBits))
}

/** x limited to a range. NaN passes through pmin and pmax in this order. */
function within(lane: LaneType, x: Code, low: number, high: number): Code {
  return lane.op('pmin', lane.op('pmax', x, lane.constant(low)), lane.constant(high))
}

/** The range in which expm1 is neither -1 nor infinite. */
export function clampForExpm1(lane: LaneType, x: Code): Code {
  const { expm1Lowest, highest } = CONSTANTS[lane.precision]
  return within(lane, x, expm1Lowest, highest)
}

export function exp(lane: LaneType, f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const { lowest, highest } = CONSTANTS[lane.precision]
  const { k, r } = reduceExp(lane, f, target, f.let(within(lane, x, lowest, highest)))
  const tail = f.let(expTail(lane, target, r))
  const power = f.let(lane.op('add', madd(lane, target, lane.op('mul', r, r), tail, r), lane.constant(1)))
  return scaleByPower(lane, f, power, k)
}

/** x * 2^k in two steps, so that neither power overflows and denormals are rounded once. */
export function scaleByPower(lane: LaneType, f: FunctionBuilder, x: Code, k: Code): Code {
  const half = f.let(lane.bits('shr_s', k, i32(1)))
  const first = lane.op('mul', x, powerOfTwo(lane, half))
  return lane.op('mul', first, powerOfTwo(lane, lane.bits('sub', k, half)))
}

/** 2^k, constructed from its bits, for a normal result. */
export function powerOfTwo(lane: LaneType, k: Code): Code {
  const { bias, mantissa } = CONSTANTS[lane.precision]
  return lane.bits('shl', lane.bits('add', k, lane.integer(bias)), i32(mantissa))
}

/** tanh |x| = (e^2|x| - 1) / (e^2|x| + 1), with the sign restored. */
export function tanh(
  lane: LaneType,
  expm1: Writer,
  f: FunctionBuilder,
  target: TargetFeatures,
  x: Code,
): Code {
  const { tanhHighest } = CONSTANTS[lane.precision]
  const magnitude = lane.op('pmin', lane.op('abs', x), lane.constant(tanhHighest))
  const grown = f.let(expm1(f, target, f.let(lane.op('mul', magnitude, lane.constant(2)))))
  const ratio = lane.op('div', grown, lane.op('add', grown, lane.constant(2)))
  return withSignOf(lane, ratio, x)
}
