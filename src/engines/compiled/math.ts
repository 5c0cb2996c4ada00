/**
 * The math library: the language's functions on four float32 at once (SIMD). exp and log follow Cephes' expf and logf
 * (Moshier, https://www.netlib.org/cephes/). The rarer functions are computed in float64, two lanes at a time, with
 * plain polynomials.
 */
import { SCALAR_SEMANTICS } from '../../language/scalar.ts'
import { interpolate } from './chebyshev.ts'
import { digamma, lgamma } from './gamma.ts'
import {
  type Code,
  call,
  constF32x4,
  constF64x2,
  constI32x4,
  extractF32,
  F32,
  type FunctionBuilder,
  get,
  type Import,
  i32,
  ifElse,
  op,
  replaceF32,
  set,
  shuffle,
  V128,
} from './wasm-encoder.ts'
import {
  addWide,
  bitselect,
  HIGH,
  hornerWide,
  type Lanes,
  LOW,
  log2Wide,
  mapHalves,
  mapHalvesAsFloat64,
  mulWide,
  splitExponent,
  subWide,
  type TargetFeatures,
} from './wide.ts'

export type MathOp =
  | 'exp'
  | 'expm1'
  | 'log'
  | 'log1p'
  | 'log2'
  | 'log10'
  | 'tanh'
  | 'pow'
  | 'sin'
  | 'cos'
  | 'atan'
  | 'asin'
  | 'acos'
  | 'erf'
  | 'lgamma'
  | 'digamma'

/** Emits the code of a function into `f`. */
type Writer = (f: FunctionBuilder, target: TargetFeatures, ...args: Code[]) => Code

/**
 * Op -> its code, which takes and returns one vector. The error is at most 4 ulp over the whole range, including denormals,
 * infinities and NaN (test/engines/compiled/math.test.ts sweeps it). `inline` ops are emitted where they are used; the
 * others are functions of the module.
 */
export const MATH: Readonly<Record<MathOp, { readonly write: Writer; readonly inline: boolean }>> = {
  exp: { write: exp, inline: true },
  log: { write: log, inline: true },
  log1p: { write: log1p, inline: true },
  expm1: { write: expm1, inline: true },
  log2: { write: (f, target, x) => logarithm(f, target, x, 1), inline: false },
  log10: { write: (f, target, x) => logarithm(f, target, x, Math.LOG10E * Math.LN2), inline: false },
  tanh: { write: tanh, inline: false },
  pow: { write: pow, inline: false },
  erf: { write: erf, inline: false },
  lgamma: { write: lgamma, inline: false },
  digamma: { write: digamma, inline: false },
  atan: { write: atan, inline: false },
  asin: { write: asin, inline: false },
  acos: { write: acos, inline: false },
  sin: { write: (f, target, x) => circular(f, target, x, 0), inline: false },
  cos: { write: (f, target, x) => circular(f, target, x, 1), inline: false },
}

/** What the module imports from JavaScript: sines of arguments whose range reduction would need hundreds of bits. */
export const HOST_IMPORTS: readonly (Import & { readonly run: (x: number) => number })[] = [
  { name: 'sin', params: [F32], results: [F32], run: Math.sin },
  { name: 'cos', params: [F32], results: [F32], run: Math.cos },
]

const LN2_HIGH = 0.693359375
const LN2_LOW = -2.1219444e-4
const SIGN_BIT = -0x80000000

const add = (a: Code, b: Code) => op('f32x4.add', a, b)
const sub = (a: Code, b: Code) => op('f32x4.sub', a, b)
const mul = (a: Code, b: Code) => op('f32x4.mul', a, b)
const div = (a: Code, b: Code) => op('f32x4.div', a, b)

/** a * b + c. */
function madd({ relaxed }: TargetFeatures, a: Code, b: Code, c: Code): Code {
  return relaxed ? op('f32x4.relaxed_madd', a, b, c) : add(mul(a, b), c)
}

/** Horner's rule, coefficients from the highest power down. */
function horner(target: TargetFeatures, x: Code, coefficients: readonly number[]): Code {
  const [highest, ...rest] = coefficients
  return rest.reduce<Code>(
    (sum, coefficient) => madd(target, sum, x, constF32x4(coefficient)),
    constF32x4(highest),
  )
}

// exp and related functions

const EXP_END = Math.LN2 / 2
/**
 * e^r - 1 - r over r^2 on [-ln 2 / 2, ln 2 / 2], from the highest power down. One more coefficient would gain a
 * tenth of an ulp.
 */
const EXP = interpolate(expTail, -EXP_END, EXP_END, 4)
  .map((coefficient, power) => coefficient / EXP_END ** power)
  .reverse()

/** Its series, whose terms vanish after the twelfth. */
function expTail(r: number): number {
  let [term, sum] = [1 / 2, 0]
  for (let power = 3; power < 16; power++) {
    sum += term
    term *= r / power
  }
  return sum
}

/** 1.5 * 2^23: adding it to a small number rounds that to an integer, which is then in the low bits of the sum. */
const ROUNDER = 12582912
const ROUNDER_BITS = 0x4b400000

/**
 * Range reduction: x = n ln 2 + r with an integer n, also as an int32 k. ln 2 is split in two parts, so that the
 * first product is exact.
 */
function reduceExp(f: FunctionBuilder, target: TargetFeatures, x: Code): { n: Code; k: Code; r: Code } {
  const rounded = f.let(madd(target, x, constF32x4(Math.LOG2E), constF32x4(ROUNDER)))
  const n = f.let(sub(rounded, constF32x4(ROUNDER)))
  const k = f.let(op('i32x4.sub', rounded, constI32x4(ROUNDER_BITS)))
  const high = madd(target, n, constF32x4(-LN2_HIGH), x)
  return { n, k, r: f.let(madd(target, n, constF32x4(-LN2_LOW), high)) }
}

function exp(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  // Beyond these bounds the result is 0 or infinity. NaN passes through pmin and pmax in this order.
  const within = f.let(op('f32x4.pmin', op('f32x4.pmax', x, constF32x4(-105)), constF32x4(89)))
  const { k, r } = reduceExp(f, target, within)
  const tail = f.let(horner(target, r, EXP))
  const power = f.let(add(madd(target, mul(r, r), tail, r), constF32x4(1)))
  return scaleByPower(f, power, k)
}

/**
 * exp of arguments <= 0, flushing denormals to 0: the bits for 2^-127 are those of 0, so a single factor is enough.
 */
export function expUpToZero(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const within = f.let(op('f32x4.pmax', x, constF32x4(-88)))
  const { k, r } = reduceExp(f, target, within)
  const tail = f.let(horner(target, r, EXP))
  const power = add(madd(target, mul(r, r), tail, r), constF32x4(1))
  return mul(power, powerOfTwo(k))
}

/** x * 2^k in two steps, so that neither power overflows and denormals are rounded once. */
function scaleByPower(f: FunctionBuilder, x: Code, k: Code): Code {
  const half = f.let(op('i32x4.shr_s', k, i32(1)))
  return mul(mul(x, powerOfTwo(half)), powerOfTwo(op('i32x4.sub', k, half)))
}

/** 2^k for -126 <= k <= 127, constructed from its bits. */
function powerOfTwo(k: Code): Code {
  return op('i32x4.shl', op('i32x4.add', k, constI32x4(127)), i32(23))
}

/** With s = 2^(n-1): e^x - 1 = 2 (s (e^r - 1) + (s - 1/2)), which neither cancels nor overflows early. */
function expm1(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const within = f.let(op('f32x4.pmin', op('f32x4.pmax', x, constF32x4(-30)), constF32x4(89)))
  const { n, k, r } = reduceExp(f, target, within)
  const small = f.let(madd(target, mul(r, r), f.let(horner(target, r, EXP)), r))
  const s = f.let(powerOfTwo(op('i32x4.sub', k, constI32x4(1))))
  const half = f.let(madd(target, s, small, sub(s, constF32x4(0.5))))
  return bitselect(op('f32x4.eq', n, constF32x4(0)), small, add(half, half))
}

/** tanh |x| = (e^2|x| - 1) / (e^2|x| + 1), with the sign restored. */
function tanh(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const magnitude = op('f32x4.pmin', op('f32x4.abs', x), constF32x4(10))
  const grown = f.let(expm1(f, target, f.let(mul(magnitude, constF32x4(2)))))
  const ratio = div(grown, add(grown, constF32x4(2)))
  return op('v128.or', ratio, op('v128.and', x, constI32x4(SIGN_BIT)))
}

// log and related functions

/** log(1 + z) - z + z^2 / 2 over z^3 on [sqrt(1/2) - 1, sqrt(2) - 1]; Cephes logf. */
const LOG = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
]
function log(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const { m, e: exponent } = splitExponent(f, x)
  const e = f.let(op('f32x4.convert_i32x4_s', exponent))
  const z = f.let(sub(m, constF32x4(1)))
  const square = f.let(mul(z, z))
  const cubic = mul(mul(horner(target, z, LOG), z), square)
  const low = f.let(madd(target, e, constF32x4(LN2_LOW), cubic))
  const tail = madd(target, square, constF32x4(-0.5), low)
  const result = madd(target, e, constF32x4(LN2_HIGH), add(z, tail))
  return withLogEdges(f, x, result)
}

/**
 * log 0 = -infinity, log infinity = infinity, and NaN for negative numbers and NaN. sqrt gives all of these except
 * the first.
 */
function withLogEdges(f: FunctionBuilder, x: Code, result: Code): Code {
  const isZero = op('f32x4.eq', x, constF32x4(0))
  const edge = add(op('f32x4.sqrt', x), op('v128.and', isZero, constF32x4(Number.NEGATIVE_INFINITY)))
  const isPlain = op(
    'v128.and',
    op('f32x4.gt', x, constF32x4(0)),
    op('f32x4.lt', x, constF32x4(Number.POSITIVE_INFINITY)),
  )
  return bitselect(isPlain, f.let(result), f.let(edge))
}

/** log(1 + x) with u = 1 + x as rounded: log u, plus the rounding error divided by u (Goldberg 1991, theorem 4). */
function log1p(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const u = f.let(add(x, constF32x4(1)))
  const lost = f.let(div(sub(x, sub(u, constF32x4(1))), u))
  // At u = 0 and u = infinity there is no rounding error, and the quotient is NaN.
  return add(log(f, target, u), op('v128.and', lost, op('f32x4.eq', lost, lost)))
}

/** (atanh s - s) / s^3 in s^2 on [0, 1/9]. */
const ATANH = interpolate((square) => atanhTail(Math.sqrt(square)), 0, 1 / 9, 5)

/** Its series where the difference would cancel. */
function atanhTail(s: number): number {
  return s < 0.05 ? 1 / 3 + s ** 2 / 5 + s ** 4 / 7 + s ** 6 / 9 + s ** 8 / 11 : (Math.atanh(s) - s) / s ** 3
}

/**
 * log(1 + x) for 0 <= x <= 1, which softplus needs: 2 atanh(x / (2 + x)) requires neither an exponent nor special
 * cases.
 */
export function log1pUnitInterval(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const s = f.let(div(x, add(x, constF32x4(2))))
  const twice = f.let(add(s, s))
  const square = f.let(mul(s, s))
  const t = f.let(madd(target, square, constF32x4(18), constF32x4(-1)))
  return madd(target, mul(twice, square), f.let(horner(target, t, [...ATANH].reverse())), twice)
}

// In float64, two lanes at a time

/** erf x / x in x^2, up to where float32 says 1. */
const ERF_END = 4
const ERF = interpolate(
  (square) => quotientAtZero(SCALAR_SEMANTICS.erf, Math.sqrt(square), 2 / Math.sqrt(Math.PI)),
  0,
  ERF_END ** 2,
  24,
)

function quotientAtZero(g: (x: number, unused: number) => number, x: number, limit: number): number {
  return x < 1e-9 ? limit : g(x, 0) / x
}

function erf(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  return mapHalvesAsFloat64(f, x, (pair) => {
    const within = f.let(op('f64x2.pmin', op('f64x2.pmax', pair, constF64x2(-ERF_END)), constF64x2(ERF_END)))
    const middle = ERF_END ** 2 / 2
    const t = f.let(subWide(mulWide(mulWide(within, within), constF64x2(1 / middle)), constF64x2(1)))
    return mulWide(within, hornerWide(target, t, ERF))
  })
}

/** atan x / x in x^2 on [0, 1]. */
const ATAN = interpolate((square) => quotientAtZero(Math.atan, Math.sqrt(square), 1), 0, 1, 14)

/** atan x = pi / 2 - atan(1 / x) beyond 1. */
function atan(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const magnitude = f.let(op('f32x4.abs', x))
  const found = mapHalvesAsFloat64(f, magnitude, (pair) => {
    const isLarge = f.let(op('f64x2.lt', constF64x2(1), pair))
    const inner = f.let(bitselect(isLarge, op('f64x2.div', constF64x2(1), pair), pair))
    const t = f.let(subWide(mulWide(mulWide(inner, inner), constF64x2(2)), constF64x2(1)))
    const angle = f.let(mulWide(inner, hornerWide(target, t, ATAN)))
    return bitselect(isLarge, subWide(constF64x2(Math.PI / 2), angle), angle)
  })
  return op('v128.or', found, op('v128.and', x, constI32x4(SIGN_BIT)))
}

/** asin s / s in s^2 on [0, 1/4]. */
const ASIN = interpolate((square) => quotientAtZero(Math.asin, Math.sqrt(square), 1), 0, 1 / 4, 11)

/**
 * asin of s in [0, 1/2], where s is x, or the sine of half of the angle that is missing to a right angle: asin x =
 * pi / 2 - 2 asin s.
 */
function arc(f: FunctionBuilder, target: TargetFeatures, magnitude: Code): { isFar: Code; angle: Code } {
  const [half, one] = [constF64x2(0.5), constF64x2(1)]
  const isFar = f.let(op('f64x2.lt', half, magnitude))
  const far = mulWide(half, subWide(one, magnitude))
  const square = f.let(bitselect(isFar, far, mulWide(magnitude, magnitude)))
  const s = bitselect(isFar, op('f64x2.sqrt', square), magnitude)
  const t = f.let(subWide(mulWide(square, constF64x2(8)), one))
  return { isFar, angle: f.let(mulWide(f.let(s), hornerWide(target, t, ASIN))) }
}

function asin(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const found = mapHalvesAsFloat64(f, f.let(op('f32x4.abs', x)), (magnitude) => {
    const { isFar, angle } = arc(f, target, magnitude)
    return bitselect(isFar, subWide(constF64x2(Math.PI / 2), addWide(angle, angle)), angle)
  })
  return op('v128.or', found, op('v128.and', x, constI32x4(SIGN_BIT)))
}

function acos(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  return mapHalvesAsFloat64(f, x, (pair) => {
    const { isFar, angle } = arc(f, target, f.let(op('f64x2.abs', pair)))
    const isNegative = f.let(op('f64x2.lt', pair, constF64x2(0)))
    const twice = f.let(addWide(angle, angle))
    const far = f.let(bitselect(isNegative, subWide(constF64x2(Math.PI), twice), twice))
    const right = constF64x2(Math.PI / 2)
    const near = f.let(bitselect(isNegative, addWide(right, angle), subWide(right, angle)))
    return bitselect(isFar, far, near)
  })
}

const EXP2 = interpolate((t) => 2 ** (t / 2), -1, 1, 10)

/** log2 x times a factor, rounded once: powers of the base have whole logarithms. */
function logarithm(f: FunctionBuilder, target: TargetFeatures, x: Code, factor: number): Code {
  const { m, e } = splitExponent(f, x)
  const z = f.let(sub(m, constF32x4(1)))
  const scaled = mapHalves(f, (lanes) => mulWide(log2Wide(f, target, z, e, lanes), constF64x2(factor)))
  return withLogEdges(f, x, scaled)
}

/** |a|^b = 2^(b log2 |a|) in float64, then JavaScript's rules for signs and special cases. */
function pow(f: FunctionBuilder, target: TargetFeatures, a: Code, b: Code): Code {
  const magnitude = f.let(op('f32x4.abs', a))
  const power = f.let(powOfMagnitude(f, target, magnitude, b))
  const isWhole = f.let(op('f32x4.eq', op('f32x4.trunc', b), b))
  const half = f.let(mul(b, constF32x4(0.5)))
  const isOdd = op('v128.andnot', isWhole, op('f32x4.eq', op('f32x4.trunc', half), half))
  const signed = op('v128.xor', power, op('v128.and', op('v128.and', a, constI32x4(SIGN_BIT)), isOdd))
  const isFiniteNegative = op(
    'v128.and',
    op('f32x4.lt', a, constF32x4(0)),
    op('f32x4.gt', a, constF32x4(Number.NEGATIVE_INFINITY)),
  )
  const real = bitselect(op('v128.andnot', isFiniteNegative, isWhole), constF32x4(Number.NaN), signed)
  return bitselect(op('f32x4.eq', b, constF32x4(0)), constF32x4(1), f.let(real))
}

function powOfMagnitude(f: FunctionBuilder, target: TargetFeatures, a: Code, b: Code): Code {
  const { m, e } = splitExponent(f, a)
  const z = f.let(sub(m, constF32x4(1)))
  const isZero = op('f32x4.eq', a, constF32x4(0))
  // log2 of 0, infinity and NaN, added to an exponent that is meaningless for them.
  const edge = f.let(bitselect(isZero, constF32x4(Number.NEGATIVE_INFINITY), a))
  const isEdge = f.let(
    op(
      'v128.not',
      op(
        'v128.and',
        op('f32x4.gt', a, constF32x4(0)),
        op('f32x4.lt', a, constF32x4(Number.POSITIVE_INFINITY)),
      ),
    ),
  )
  const exponents: Code[] = []
  const whole = (lanes: Lanes) => {
    const part = (x: Code) => shuffle(x, x, lanes)
    const wideMask = shuffle(isEdge, isEdge, [lanes[0], lanes[0], lanes[1], lanes[1]])
    const log2 = log2Wide(f, target, z, e, lanes)
    const edged = bitselect(wideMask, op('f64x2.promote_low_f32x4', part(edge)), log2)
    const product = mulWide(op('f64x2.promote_low_f32x4', part(b)), f.let(edged))
    const within = f.let(op('f64x2.pmin', op('f64x2.pmax', product, constF64x2(-200)), constF64x2(200)))
    const n = f.let(op('f64x2.nearest', within))
    exponents.push(f.let(op('i32x4.trunc_sat_f64x2_s_zero', n)))
    const rest = f.let(mulWide(subWide(within, n), constF64x2(2)))
    return f.let(op('f32x4.demote_f64x2_zero', hornerWide(target, rest, EXP2)))
  }
  const [low, high] = [whole(LOW), whole(HIGH)]
  const k = f.let(shuffle(exponents[0], exponents[1], [0, 1, 4, 5]))
  return scaleByPower(f, f.let(shuffle(low, high, [0, 1, 4, 5])), k)
}

/** sin r / r and cos r in r^2 on [0, (pi/4)^2], extended slightly for the rounding of the quotient. */
const QUARTER = (Math.PI / 4) * 1.001
const SINE = interpolate((square) => quotientAtZero(Math.sin, Math.sqrt(square), 1), 0, QUARTER ** 2, 6)
const COSINE = interpolate((square) => Math.cos(Math.sqrt(square)), 0, QUARTER ** 2, 6)
/** pi / 2 in two parts. The first has 33 bits (fdlibm), so that its multiples below 2^20 are exact. */
const HALF_PI_HIGH = 1.5707963267341256
const HALF_PI_LOW = 6.077100506506192e-11
const EXACT_REDUCTION = 2 ** 20

/** x = k pi / 2 + r: the sine or cosine of r with a sign, selected by k and the `shift` of a quarter turn. */
function circular(f: FunctionBuilder, target: TargetFeatures, x: Code, shift: 0 | 1): Code {
  const turns: Code[] = []
  const cosines: Code[] = []
  const sines = mapHalvesAsFloat64(f, x, (pair) => {
    const n = f.let(op('f64x2.nearest', mulWide(pair, constF64x2(2 / Math.PI))))
    turns.push(f.let(op('i32x4.trunc_sat_f64x2_s_zero', n)))
    const r = f.let(
      subWide(subWide(pair, mulWide(n, constF64x2(HALF_PI_HIGH))), mulWide(n, constF64x2(HALF_PI_LOW))),
    )
    const middle = QUARTER ** 2 / 2
    const t = f.let(subWide(mulWide(mulWide(r, r), constF64x2(1 / middle)), constF64x2(1)))
    cosines.push(f.let(op('f32x4.demote_f64x2_zero', hornerWide(target, t, COSINE))))
    return mulWide(r, hornerWide(target, t, SINE))
  })
  const k = f.let(op('i32x4.add', shuffle(turns[0], turns[1], [0, 1, 4, 5]), constI32x4(shift)))
  const cosine = shuffle(cosines[0], cosines[1], [0, 1, 4, 5])
  const isOdd = op('i32x4.eq', op('v128.and', k, constI32x4(1)), constI32x4(1))
  const sign = op('i32x4.shl', op('v128.and', k, constI32x4(2)), i32(30))
  const result = f.local(V128)
  f.add(set(result, op('v128.xor', bitselect(isOdd, f.let(cosine), f.let(sines)), sign)))
  return byHostWhereLarge(f, x, result, shift)
}

/**
 * Only for large arguments: what a lane contains must not depend on the other lanes, which may belong to another
 * request.
 */
function byHostWhereLarge(f: FunctionBuilder, x: Code, result: number, shift: 0 | 1): Code {
  const isLarge = f.let(op('f32x4.gt', op('f32x4.abs', x), constF32x4(EXACT_REDUCTION)))
  const exact = f.local(V128)
  const lanes = [0, 1, 2, 3].map((lane) =>
    set(exact, replaceF32(get(exact), lane, call(shift, extractF32(x, lane)))),
  )
  const chosen = set(result, bitselect(isLarge, get(exact), get(result)))
  f.add(ifElse(op('v128.any_true', isLarge), [...lanes, chosen]))
  return get(result)
}
