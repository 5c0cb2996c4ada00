/**
 * The functions of float64 lanes that float32 computes in another way. The algorithms are those of fdlibm (Sun Microsystems
 * 1993, https://www.netlib.org/fdlibm/), without its branches: all cases are computed in both lanes, and one is selected. The
 * polynomials are not its own but interpolated when the process starts. Each is multiplied by a small factor before it is added to
 * the leading terms, so that the rounding errors of its coefficients do not count.
 */
import { factorial } from '../../language/gamma.ts'
import { economize, interpolate } from './chebyshev.ts'
import {
  clampForExpm1,
  economizedTail,
  expTail,
  integerOf,
  powerOfTwo,
  reduceExp,
  scaleByPower,
  splitLn2,
} from './exponential.ts'
import { horner, isPositive, type LaneSpecificMath, madd, withLogEdges, withSignOf } from './lane-math.ts'
import { FLOAT64 } from './lane-type.ts'
import {
  type Code,
  constF64x2,
  constI32x4,
  constI64x2,
  type FunctionBuilder,
  i32,
  op,
  shuffle,
} from './wasm-encoder.ts'
import { bitselect, type TargetFeatures } from './wide.ts'

const add = (a: Code, b: Code) => op('f64x2.add', a, b)
const sub = (a: Code, b: Code) => op('f64x2.sub', a, b)
const mul = (a: Code, b: Code) => op('f64x2.mul', a, b)
const div = (a: Code, b: Code) => op('f64x2.div', a, b)
const abs = (a: Code) => op('f64x2.abs', a)
const less = (a: Code, b: Code) => op('f64x2.lt', a, b)
const number = constF64x2
const [ONE, TWO, HALF] = [number(1), number(2), number(0.5)]

/** The first 21 bits of a mantissa: products of two such numbers are exact. */
const HIGH_BITS = constI64x2(-(2n ** 32n))
const truncated = (x: Code) => op('v128.and', x, HIGH_BITS)

type Polynomial = readonly number[]

/** A polynomial in the square of x for |x| <= end, from the highest power down. */
function inSquare(coefficient: (power: number) => number, end: number, degree: number): Polynomial {
  return economize(coefficient, end * end, degree).reverse()
}

/** 1, -1, 1, ... */
const alternating = (k: number) => (k % 2 === 0 ? 1 : -1)

const polynomial = (target: TargetFeatures, x: Code, coefficients: Polynomial) =>
  horner(FLOAT64, target, x, coefficients)

/** Rounds to an integer (exponential.ts), and has the exponent of 1 in its low bits. */
const BIASED_ROUNDER = number(1.5 * 2 ** 52 + 1023)
/** From here down, the bits of 2^n are those of 0. */
const FLUSHED = number(-709.1)

/** The lowest bits of the rounded quotient are the exponent of 2^n, and a shift leaves nothing else of it. */
function expUpToZero(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const { high, low } = splitLn2(FLOAT64)
  const limited = f.let(op('f64x2.pmax', x, FLUSHED))
  const rounded = f.let(madd(FLOAT64, target, limited, number(Math.LOG2E), BIASED_ROUNDER))
  const n = f.let(sub(rounded, BIASED_ROUNDER))
  const near = madd(FLOAT64, target, n, number(-high), limited)
  const r = f.let(madd(FLOAT64, target, n, number(-low), near))
  const tail = f.let(expTail(FLOAT64, target, r))
  const power = add(madd(FLOAT64, target, mul(r, r), tail, r), ONE)
  return mul(power, op('i64x2.shl', rounded, i32(52)))
}

/** One more coefficient than exp has: where e^x is near 3/2, its error would count three times. */
const EXPM1 = economizedTail(10)

/**
 * With s = 2^(n-1): e^x - 1 = 2 ((s d + s - 1/2) + s (e^r - 1 - d)), where d is x - n ln 2 but for the second part of ln 2, and
 * exact. Its rounded sum with that part would lose a digit where e^x is near 3/2.
 */
function expm1(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const limited = f.let(clampForExpm1(FLOAT64, x))
  const { n, k, r } = reduceExp(FLOAT64, f, target, limited)
  const { high, low } = splitLn2(FLOAT64)
  const tail = f.let(mul(mul(r, r), f.let(polynomial(target, r, EXPM1))))
  const s = f.let(powerOfTwo(FLOAT64, op('i64x2.sub', k, constI64x2(1n))))
  const near = madd(FLOAT64, target, n, number(-high), limited)
  const leading = madd(FLOAT64, target, s, near, sub(s, HALF))
  const rest = madd(FLOAT64, target, n, number(-low), tail)
  const half = f.let(madd(FLOAT64, target, s, rest, leading))
  return bitselect(op('f64x2.eq', n, number(0)), add(r, tail), add(half, half))
}

// Logarithms

const SMALLEST_NORMAL = 2 ** -1022
/** The bits of sqrt(1/2): what is subtracted so that the exponent is that of a mantissa in [sqrt(1/2), sqrt(2)). */
const SQRT_HALF_BITS = constI64x2(0x3fe6a09e667f3bcdn)
const EXPONENT_BITS = constI64x2(-(2n ** 52n))
const TINY_SHIFT = 54

/** x = m 2^e with m in [sqrt(1/2), sqrt(2)), for positive finite x; denormals are scaled up first. */
function split(f: FunctionBuilder, x: Code): { m: Code; e: Code } {
  const isTiny = f.let(less(x, number(SMALLEST_NORMAL)))
  const bits = f.let(bitselect(isTiny, mul(x, number(2 ** TINY_SHIFT)), x))
  const distance = f.let(op('i64x2.sub', bits, SQRT_HALF_BITS))
  const m = f.let(op('i64x2.sub', bits, op('v128.and', distance, EXPONENT_BITS)))
  const upper = op('i32x4.shr_s', shuffle(distance, distance, [1, 3, 1, 3]), i32(20))
  const e = sub(op('f64x2.convert_low_i32x4_s', upper), op('v128.and', isTiny, number(TINY_SHIFT)))
  return { m, e: f.let(e) }
}

const S_END = (Math.SQRT2 - 1) / (Math.SQRT2 + 1)
/** (log((1 + s) / (1 - s)) - 2s) / s^3 = 2/3 + 2 s^2 / 5 + ... (e_log.c) */
const LOG = inSquare((k) => 2 / (2 * k + 3), S_END, 6)

function log(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const { high, low } = splitLn2(FLOAT64)
  const { m, e } = split(f, x)
  const z = f.let(sub(m, ONE))
  const s = f.let(div(z, add(z, TWO)))
  const square = f.let(mul(s, s))
  const rest = mul(square, polynomial(target, square, LOG))
  const half = f.let(mul(mul(z, z), HALF))
  const inner = madd(FLOAT64, target, s, add(half, rest), mul(e, number(low)))
  const near = sub(z, sub(half, inner))
  return withLogEdges(FLOAT64, f, x, madd(FLOAT64, target, e, number(high), near))
}

/** The same on [0, 1/3], where it needs neither an exponent nor special cases. */
const ATANH = inSquare((k) => 2 / (2 * k + 3), 1 / 3, 9)

/** log(1 + x) = x - s (x - s^2 P) with s = x / (2 + x). */
function log1pUnitInterval(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const s = f.let(div(x, add(x, TWO)))
  const square = f.let(mul(s, s))
  const rest = mul(square, polynomial(target, square, ATANH))
  return sub(x, mul(s, sub(x, rest)))
}

/** A number as the sum of two. The first has 21 bits. */
interface Pair {
  readonly high: Code
  readonly low: Code
}

/** (log((1 + s) / (1 - s)) - 2s - 2/3 s^3) 3 / (2 s^5) = 3/5 + 3 s^2 / 7 + ... (e_pow.c) */
const LOG2 = inSquare((k) => 3 / (2 * k + 5), S_END, 6)
/** 2 / (3 ln 2), rounded, and in two parts (e_pow.c). */
const CP = {
  whole: 0.9617966939259756,
  high: 0.9617967009544373,
  low: -7.028461650952758e-9,
}

/** log2 of a positive finite number, with 20 more bits than float64 has. */
function log2Pair(f: FunctionBuilder, target: TargetFeatures, x: Code): Pair {
  const { m, e } = split(f, x)
  const z = f.let(sub(m, ONE))
  const sum = f.let(add(m, ONE))
  const inverse = f.let(div(ONE, sum))
  const s = f.let(mul(z, inverse))
  const sHigh = f.let(truncated(s))
  const sumHigh = f.let(truncated(sum))
  const sumLow = sub(m, sub(sumHigh, ONE))
  const sLow = f.let(mul(inverse, sub(sub(z, mul(sHigh, sumHigh)), mul(sHigh, sumLow))))
  const square = f.let(mul(s, s))
  const tail = mul(mul(square, square), polynomial(target, square, LOG2))
  const rest = f.let(madd(FLOAT64, target, sLow, add(sHigh, s), tail))
  const squareHigh = f.let(mul(sHigh, sHigh))
  const tHigh = f.let(truncated(add(add(number(3), squareHigh), rest)))
  const tLow = sub(rest, sub(sub(tHigh, number(3)), squareHigh))
  const u = f.let(mul(sHigh, tHigh))
  const v = f.let(madd(FLOAT64, target, sLow, tHigh, mul(tLow, s)))
  const pHigh = f.let(truncated(add(u, v)))
  const pLow = sub(v, sub(pHigh, u))
  const high = f.let(mul(number(CP.high), pHigh))
  const low = f.let(madd(FLOAT64, target, number(CP.low), pHigh, mul(pLow, number(CP.whole))))
  const whole = f.let(truncated(add(add(high, low), e)))
  return { high: whole, low: f.let(sub(low, sub(sub(whole, e), high))) }
}

function log2(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const { high, low } = log2Pair(f, target, x)
  return withLogEdges(FLOAT64, f, x, add(high, low))
}

/** log10 2 in two parts, the first of which has 32 bits. */
const LOG10_2 = { high: 0.3010299955494702, low: 1.1451100898021838e-10 }

function log10(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const { high, low } = log2Pair(f, target, x)
  const rest = madd(FLOAT64, target, low, number(Math.LOG10E * Math.LN2), mul(high, number(LOG10_2.low)))
  return withLogEdges(FLOAT64, f, x, madd(FLOAT64, target, high, number(LOG10_2.high), rest))
}

// Powers

/** ln 2 in two parts, the first of which has 21 bits (e_pow.c). */
const LN2 = { high: 0.6931471824645996, low: -1.904654299957768e-9 }
/** Beyond these exponents of 2, a result is 0 or infinity. */
const [FEWEST, MOST] = [-1080, 1030]

/** 2^(b log2 |a|), with the product in two parts. */
function powOfMagnitude(f: FunctionBuilder, target: TargetFeatures, a: Code, b: Code): Code {
  const log2 = log2Pair(f, target, a)
  const isZero = op('f64x2.eq', a, number(0))
  // log2 of 0, infinity and NaN, or of the number itself, as far as float64 has it.
  const edge = bitselect(isZero, number(Number.NEGATIVE_INFINITY), a)
  const rough = f.let(mul(b, bitselect(isPositive(FLOAT64, a), add(log2.high, log2.low), f.let(edge))))
  const isPlain = f.let(less(abs(rough), number(1100)))
  const limited = op('f64x2.pmin', op('f64x2.pmax', rough, number(FEWEST)), number(MOST))
  const bHigh = f.let(truncated(b))
  const low = madd(FLOAT64, target, sub(b, bHigh), log2.high, mul(b, log2.low))
  const productHigh = f.let(bitselect(isPlain, mul(bHigh, log2.high), limited))
  const productLow = f.let(op('v128.and', low, isPlain))
  return exp2(f, target, { high: productHigh, low: productLow })
}

/** 2^(high + low). */
function exp2(f: FunctionBuilder, target: TargetFeatures, { high, low }: Pair): Code {
  const n = f.let(op('f64x2.nearest', add(high, low)))
  const left = f.let(sub(high, n))
  const rest = f.let(truncated(add(left, low)))
  const u = f.let(mul(rest, number(LN2.high)))
  const lost = f.let(sub(low, sub(rest, left)))
  const v = f.let(madd(FLOAT64, target, lost, number(Math.LN2), mul(rest, number(LN2.low))))
  const z = f.let(add(u, v))
  const error = f.let(sub(v, sub(z, u)))
  const tail = madd(
    FLOAT64,
    target,
    mul(z, z),
    f.let(expTail(FLOAT64, target, z)),
    madd(FLOAT64, target, error, z, error),
  )
  return scaleByPower(FLOAT64, f, f.let(add(add(f.let(tail), z), ONE)), f.let(integerOf(FLOAT64, n)))
}

// The error function

/** 2 / sqrt(pi) - 1 (s_erf.c). */
const ERF_SLOPE = 0.1283791670955126
/** erf x / x - 1 in x^2 on [0, 1], by its Maclaurin series (https://dlmf.nist.gov/7.6). */
const ERF_NEAR = inSquare(
  (k) => (k === 0 ? ERF_SLOPE : ((1 + ERF_SLOPE) * alternating(k)) / (factorial(k) * (2 * k + 1))),
  1,
  13,
)

/** Where erf is 1. */
const ERF_END = 6
/** e^(x^2) erfc x in 3 / (2 + x), by its continued fraction (https://dlmf.nist.gov/7.9), which converges for x >= 1. */
const [FAR_LOW, FAR_HIGH] = [3 / (2 + ERF_END), 1]
const ERF_FAR = interpolate((q) => scaledErfc(3 / q - 2), FAR_LOW, FAR_HIGH, 16)

function scaledErfc(x: number): number {
  let fraction = 0
  for (let k = 400; k > 0; k--) fraction = k / 2 / (x + fraction)
  return 1 / (Math.sqrt(Math.PI) * (x + fraction))
}

function erf(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const size = f.let(op('f64x2.pmin', abs(x), number(ERF_END)))
  const square = f.let(mul(size, size))
  const near = f.let(madd(FLOAT64, target, size, polynomial(target, square, ERF_NEAR), size))
  const q = div(number(3), add(size, TWO))
  const [middle, half] = [(FAR_LOW + FAR_HIGH) / 2, (FAR_HIGH - FAR_LOW) / 2]
  const t = f.let(mul(sub(q, number(middle)), number(1 / half)))
  const scaled = f.let(polynomial(target, t, [...ERF_FAR].reverse()))
  const far = sub(ONE, mul(scaled, f.let(expOfNegative(f, target, square))))
  return withSignOf(FLOAT64, bitselect(less(size, ONE), near, f.let(far)), x)
}

/** e^-x for 0 <= x <= 36. */
function expOfNegative(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const product = f.let(mul(x, number(-Math.LOG2E)))
  const n = f.let(op('f64x2.nearest', product))
  const { high, low } = splitLn2(FLOAT64)
  const r = f.let(sub(sub(op('f64x2.neg', x), mul(n, number(high))), mul(n, number(low))))
  const tail = f.let(expTail(FLOAT64, target, r))
  const power = add(madd(FLOAT64, target, mul(r, r), tail, r), ONE)
  return scaleByPower(FLOAT64, f, f.let(power), f.let(integerOf(FLOAT64, n)))
}

// Angles

/** Tangents between which arguments are reduced, and their arctangents in two parts (s_atan.c). */
const ARCS = [
  { from: 0, high: 0, low: 0 },
  { from: 7 / 16, high: 0.4636476090008061, low: 2.2698777452961687e-17 },
  { from: 11 / 16, high: Math.PI / 4, low: 3.061616997868383e-17 },
  { from: 19 / 16, high: 0.982793723247329, low: 1.3903311031230998e-17 },
  { from: 39 / 16, high: Math.PI / 2, low: 6.123233995736766e-17 },
] as const
/** (atan t - t) / t^3 in t^2. */
const ATAN = inSquare((k) => -alternating(k) / (2 * k + 3), 7 / 16, 11)

function atan(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const size = f.let(abs(x))
  // atan x = atan c + atan((x - c) / (1 + c x)) for c = 0, 1/2, 1, 3/2 and infinity.
  const above = ARCS.slice(1).map(({ from }) => f.let(op('f64x2.le', number(from), size)))
  const choose = (options: readonly Code[]) =>
    f.let(options.slice(1).reduce<Code>((chosen, next, i) => bitselect(above[i], next, chosen), options[0]))
  const top = choose([size, sub(add(size, size), ONE), sub(size, ONE), sub(size, number(1.5)), number(-1)])
  const bottom = choose([
    ONE,
    add(size, TWO),
    add(size, ONE),
    madd(FLOAT64, target, size, number(1.5), ONE),
    size,
  ])
  const [high, low] = [
    choose(ARCS.map((arc) => number(arc.high))),
    choose(ARCS.map((arc) => number(arc.low))),
  ]
  const t = f.let(div(top, bottom))
  const square = f.let(mul(t, t))
  const tail = f.let(mul(mul(square, t), polynomial(target, square, ATAN)))
  return withSignOf(FLOAT64, f.let(add(high, add(t, add(tail, low)))), x)
}

/** pi / 2 in two parts (e_asin.c). */
const RIGHT = { high: Math.PI / 2, low: 6.123233995736766e-17 }
/** (asin s - s) / s^3 in s^2 on [0, 1/4]. */
const ASIN = inSquare(asinCoefficient, 1 / 2, 15)

/** (2n)! / (4^n n!^2 (2n + 1)) with n = k + 1. */
function asinCoefficient(k: number): number {
  let ratio = 1
  for (let n = 1; n <= k + 1; n++) ratio *= (2 * n - 1) / (2 * n)
  return ratio / (2 * k + 3)
}

/**
 * asin of s in [0, 1/2]: s is |x|, or the sine of half of the angle that is missing to a right angle, in two parts: asin x =
 * pi / 2 - 2 asin s.
 */
function arc(f: FunctionBuilder, target: TargetFeatures, size: Code) {
  const isFar = f.let(less(HALF, size))
  const square = f.let(bitselect(isFar, mul(HALF, sub(ONE, size)), mul(size, size)))
  const s = f.let(bitselect(isFar, op('f64x2.sqrt', square), size))
  const tail = f.let(mul(mul(s, square), polynomial(target, square, ASIN)))
  const high = f.let(truncated(s))
  // What truncation and the square root have lost. At s = 0 the quotient is NaN.
  const lost = f.let(div(sub(square, mul(high, high)), add(s, high)))
  return { isFar, s, tail, high, low: f.let(op('v128.and', lost, less(number(0), s))) }
}

function asin(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const { isFar, s, tail, high, low } = arc(f, target, f.let(abs(x)))
  const quarter = number(RIGHT.high / 2)
  const doubled = (value: Code) => add(value, value)
  // pi / 4 - 2 high is exact or nearly so; everything else is small.
  const rest = sub(number(RIGHT.low), doubled(add(low, tail)))
  const far = add(quarter, add(sub(quarter, doubled(high)), f.let(rest)))
  return withSignOf(FLOAT64, f.let(bitselect(isFar, far, add(s, tail))), x)
}

function acos(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const { isFar, s, tail, high, low } = arc(f, target, f.let(abs(x)))
  const isNegative = f.let(less(x, number(0)))
  const angle = f.let(add(low, tail))
  const twice = (value: Code) => add(value, value)
  const farRight = twice(add(high, angle))
  const farLeft = sub(number(2 * RIGHT.high), twice(add(high, f.let(sub(angle, number(RIGHT.low))))))
  const signed = f.let(bitselect(isNegative, number(-0), number(0)))
  const near = sub(
    number(RIGHT.high),
    sub(op('v128.xor', s, signed), sub(number(RIGHT.low), op('v128.xor', tail, signed))),
  )
  return bitselect(isFar, f.let(bitselect(isNegative, farLeft, farRight)), f.let(near))
}

/** pi / 2 in four parts. The first three have 33 bits, so that their multiples below 2^20 are exact (e_rem_pio2.c). */
const RIGHTS = {
  first: 1.5707963267341256,
  second: 6.077100506303966e-11,
  third: 2.0222662487111665e-21,
  rest: 8.4784276603689e-32,
} as const
const LARGEST_ANGLE = 2 ** 20
/** A little more than a quarter turn of pi / 2, because the quotient is rounded. */
const QUARTER = (Math.PI / 4) * 1.001

/** (sin r - r) / r^3, and (cos r - 1 + r^2 / 2) / r^4, in r^2. */
const SINE = inSquare((k) => -alternating(k) / factorial(2 * k + 3), QUARTER, 6)
const COSINE = inSquare((k) => alternating(k) / factorial(2 * k + 4), QUARTER, 6)

/** a - b, and what rounding it loses (Knuth). */
function difference(f: FunctionBuilder, a: Code, b: Code): { value: Code; error: Code } {
  const value = f.let(sub(a, b))
  const back = f.let(sub(value, a))
  return { value, error: f.let(sub(sub(a, sub(value, back)), add(b, back))) }
}

/** x = k pi / 2 + high + low, with k as an int32 in the first lanes. */
function reducedAngle(f: FunctionBuilder, x: Code): Pair & { k: Code } {
  const n = f.let(op('f64x2.nearest', mul(x, number(2 / Math.PI))))
  const first = f.let(sub(x, mul(n, number(RIGHTS.first))))
  const second = difference(f, first, f.let(mul(n, number(RIGHTS.second))))
  const third = difference(f, second.value, f.let(mul(n, number(RIGHTS.third))))
  const errors = sub(add(second.error, third.error), mul(n, number(RIGHTS.rest)))
  const high = f.let(add(third.value, f.let(errors)))
  const low = f.let(add(sub(third.value, high), errors))
  return { k: f.let(op('i32x4.trunc_sat_f64x2_s_zero', n)), high, low }
}

/** The sine or cosine of the rest of an angle with a sign, selected by k and the `shift` of a quarter turn. */
function circular(f: FunctionBuilder, target: TargetFeatures, x: Code, shift: 0 | 1): Code {
  const { k, high: r, low } = reducedAngle(f, x)
  const square = f.let(mul(r, r))
  const half = f.let(mul(square, HALF))
  // sin(r + low) = r + r^3 P + low cos r, cos(r + low) = 1 - r^2 / 2 + r^4 Q - low r (k_sin.c, k_cos.c)
  const cube = mul(square, r)
  const sineTail = madd(
    FLOAT64,
    target,
    cube,
    f.let(polynomial(target, square, SINE)),
    sub(low, mul(half, low)),
  )
  const sine = f.let(add(r, f.let(sineTail)))
  const near = f.let(sub(ONE, half))
  const cosineTail = sub(mul(mul(square, square), polynomial(target, square, COSINE)), mul(r, low))
  const cosine = f.let(add(near, add(sub(sub(ONE, near), half), f.let(cosineTail))))
  const turns = f.let(op('i32x4.add', shuffle(k, k, [0, 0, 1, 1]), constI32x4(shift)))
  const isOdd = op('i32x4.eq', op('v128.and', turns, constI32x4(1)), constI32x4(1))
  const sign = op('v128.and', op('i32x4.shl', op('v128.and', turns, constI32x4(2)), i32(30)), number(-0))
  return op('v128.xor', bitselect(isOdd, cosine, sine), sign)
}

export const FLOAT64_MATH: LaneSpecificMath = {
  expm1,
  expUpToZero,
  log,
  log2,
  log10,
  log1pUnitInterval,
  powOfMagnitude,
  erf,
  atan,
  asin,
  acos,
  sin: (f, target, x) => circular(f, target, x, 0),
  cos: (f, target, x) => circular(f, target, x, 1),
  largestAngle: LARGEST_ANGLE,
}
