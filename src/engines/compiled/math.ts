/**
 * The math library: the language's functions on the lanes of a vector. exp, tanh and their kin are the same for both lane
 * types (exponential.ts). In float32, log follows Cephes' logf (Moshier, https://www.netlib.org/cephes/), and the rarer
 * functions are computed in float64, two lanes at a time, with plain polynomials. float64 has its own in math-float64.ts.
 */
import { SCALAR_SEMANTICS } from '../../language/scalar.ts'
import { interpolate } from './chebyshev.ts'
import {
  clampForExpm1,
  exp,
  expTail,
  powerOfTwo,
  reduceExp,
  scaleByPower,
  splitLn2,
  tanh,
} from './exponential.ts'
import { digamma, lgamma, polygamma } from './gamma.ts'
import { horner, type LaneSpecificMath, type Writer, withLogEdges, withSignOf } from './lane-math.ts'
import { FLOAT32, FLOAT64, type LaneType } from './lane-type.ts'
import { FLOAT64_MATH } from './math-float64.ts'
import {
  type Code,
  call,
  constF32x4,
  constF64x2,
  constI32x4,
  F64,
  type FunctionBuilder,
  get,
  type Import,
  i32,
  ifElse,
  op,
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

/** The functions of one lane type. `inline` ops are emitted where they are used; the others are functions of the module. */
export interface MathLibrary {
  readonly ops: Readonly<Record<MathOp, { readonly write: Writer; readonly inline: boolean }>>
  /** exp of arguments <= 0, flushing denormals to 0. */
  readonly expUpToZero: Writer
  readonly log1pUnitInterval: Writer
  /** The nth derivative of digamma. */
  polygamma(f: FunctionBuilder, target: TargetFeatures, n: number, x: Code): Code
}

/** What the module imports from JavaScript: sines of arguments whose range reduction would need hundreds of bits. */
export const HOST_FUNCTIONS: Readonly<Record<'sin' | 'cos', (x: number) => number>> = {
  sin: Math.sin,
  cos: Math.cos,
}

/** Their types. The order is that of their indices. */
export const HOST_IMPORTS: readonly Import[] = Object.keys(HOST_FUNCTIONS).map((name) => ({
  name,
  params: [F64],
  results: [F64],
}))

/**
 * The error is at most 4 ulp in float32 and 2 roundings in float64 (a few more for the gamma functions), over the whole range
 * with denormals, infinities and NaN (test/engines/compiled/math.test.ts and math-float64.test.ts sweep it).
 */
function libraryOf(lane: LaneType, own: LaneSpecificMath): MathLibrary {
  const inline = (write: Writer) => ({ write, inline: true })
  const apart = (write: Writer) => ({ write, inline: false })
  return {
    ops: {
      exp: inline((f, target, x) => exp(lane, f, target, x)),
      log: inline(own.log),
      log1p: inline((f, target, x) => log1p(lane, own.log, f, target, x)),
      expm1: inline(own.expm1),
      log2: apart(own.log2),
      log10: apart(own.log10),
      tanh: apart((f, target, x) => tanh(lane, own.expm1, f, target, x)),
      pow: apart((f, target, a, b) => pow(lane, own.powOfMagnitude, f, target, a, b)),
      erf: apart(own.erf),
      lgamma: apart((f, target, x) => lgamma(lane, own.log, f, target, x)),
      digamma: apart((f, target, x) => digamma(lane, own.log, f, target, x)),
      atan: apart(own.atan),
      asin: apart(own.asin),
      acos: apart(own.acos),
      sin: apart((f, target, x) => byHostWhereLarge(lane, own.largestAngle, f, x, own.sin(f, target, x), 0)),
      cos: apart((f, target, x) => byHostWhereLarge(lane, own.largestAngle, f, x, own.cos(f, target, x), 1)),
    },
    expUpToZero: own.expUpToZero,
    log1pUnitInterval: own.log1pUnitInterval,
    polygamma: (f, target, n, x) => polygamma(lane, f, target, n, x),
  }
}

const add = (a: Code, b: Code) => op('f32x4.add', a, b)
const sub = (a: Code, b: Code) => op('f32x4.sub', a, b)
const mul = (a: Code, b: Code) => op('f32x4.mul', a, b)
const div = (a: Code, b: Code) => op('f32x4.div', a, b)

/** a * b + c. */
function madd({ relaxed }: TargetFeatures, a: Code, b: Code, c: Code): Code {
  return relaxed ? op('f32x4.relaxed_madd', a, b, c) : add(mul(a, b), c)
}

/** The bits for 2^-127 are those of 0, so a single factor is enough. */
function expUpToZero(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const limited = f.let(op('f32x4.pmax', x, constF32x4(-88)))
  const { k, r } = reduceExp(FLOAT32, f, target, limited)
  const tail = f.let(expTail(FLOAT32, target, r))
  const power = add(madd(target, mul(r, r), tail, r), constF32x4(1))
  return mul(power, powerOfTwo(FLOAT32, k))
}

/** With s = 2^(n-1): e^x - 1 = 2 (s (e^r - 1) + (s - 1/2)), which neither cancels nor overflows early. */
function expm1(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const { n, k, r } = reduceExp(FLOAT32, f, target, f.let(clampForExpm1(FLOAT32, x)))
  const small = f.let(madd(target, mul(r, r), f.let(expTail(FLOAT32, target, r)), r))
  const s = f.let(powerOfTwo(FLOAT32, op('i32x4.sub', k, constI32x4(1))))
  const half = f.let(madd(target, s, small, sub(s, constF32x4(0.5))))
  return bitselect(op('f32x4.eq', n, constF32x4(0)), small, add(half, half))
}

// log and related functions

/** log(1 + z) - z + z^2 / 2 over z^3 on [sqrt(1/2) - 1, sqrt(2) - 1]; Cephes logf. */
const LOG = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
]
function log(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const { high: ln2High, low: ln2Low } = splitLn2(FLOAT32)
  const { m, e: exponent } = splitExponent(f, x)
  const e = f.let(op('f32x4.convert_i32x4_s', exponent))
  const z = f.let(sub(m, constF32x4(1)))
  const square = f.let(mul(z, z))
  const cubic = mul(mul(horner(FLOAT32, target, z, LOG), z), square)
  const low = f.let(madd(target, e, constF32x4(ln2Low), cubic))
  const tail = madd(target, square, constF32x4(-0.5), low)
  const result = madd(target, e, constF32x4(ln2High), add(z, tail))
  return withLogEdges(FLOAT32, f, x, result)
}

/** log(1 + x) with u = 1 + x as rounded: log u, plus the rounding error divided by u (Goldberg 1991, theorem 4). */
function log1p(lane: LaneType, log: Writer, f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const u = f.let(lane.op('add', x, lane.constant(1)))
  const error = lane.op('sub', x, lane.op('sub', u, lane.constant(1)))
  const lost = f.let(lane.op('div', error, u))
  // At u = 0 and u = infinity there is no rounding error, and the quotient is NaN.
  return lane.op('add', log(f, target, u), op('v128.and', lost, lane.op('eq', lost, lost)))
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
function log1pUnitInterval(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  const s = f.let(div(x, add(x, constF32x4(2))))
  const twice = f.let(add(s, s))
  const square = f.let(mul(s, s))
  const t = f.let(madd(target, square, constF32x4(18), constF32x4(-1)))
  return madd(target, mul(twice, square), f.let(horner(FLOAT32, target, t, [...ATANH].reverse())), twice)
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
  return withSignOf(FLOAT32, found, x)
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
  return withSignOf(FLOAT32, found, x)
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
  return withLogEdges(FLOAT32, f, x, scaled)
}

/** |a|^b, then JavaScript's rules for signs and special cases. */
function pow(
  lane: LaneType,
  powOfMagnitude: Writer,
  f: FunctionBuilder,
  target: TargetFeatures,
  a: Code,
  b: Code,
): Code {
  const magnitude = f.let(lane.op('abs', a))
  const power = f.let(powOfMagnitude(f, target, magnitude, b))
  const isWhole = f.let(lane.op('eq', lane.op('trunc', b), b))
  const half = f.let(lane.op('mul', b, lane.constant(0.5)))
  const isOdd = op('v128.andnot', isWhole, lane.op('eq', lane.op('trunc', half), half))
  const signed = op('v128.xor', power, op('v128.and', op('v128.and', a, lane.constant(-0)), isOdd))
  const isFiniteNegative = op(
    'v128.and',
    lane.op('lt', a, lane.constant(0)),
    lane.op('gt', a, lane.constant(Number.NEGATIVE_INFINITY)),
  )
  const real = bitselect(op('v128.andnot', isFiniteNegative, isWhole), lane.constant(Number.NaN), signed)
  return bitselect(lane.op('eq', b, lane.constant(0)), lane.constant(1), f.let(real))
}

/** 2^(b log2 |a|) in float64. */
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
  return scaleByPower(FLOAT32, f, f.let(shuffle(low, high, [0, 1, 4, 5])), k)
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
  return op('v128.xor', bitselect(isOdd, f.let(cosine), f.let(sines)), sign)
}

/**
 * Only for large arguments: what a lane contains must not depend on the other lanes, which may belong to another
 * request.
 */
function byHostWhereLarge(
  lane: LaneType,
  largest: number,
  f: FunctionBuilder,
  x: Code,
  found: Code,
  host: number,
): Code {
  const result = f.local(V128)
  f.add(set(result, found))
  const isLarge = f.let(lane.op('gt', lane.op('abs', x), lane.constant(largest)))
  const exact = f.local(V128)
  const each = lane.places.map((place) =>
    set(
      exact,
      lane.replace(get(exact), place, lane.narrowed(call(host, lane.widened(lane.extract(x, place))))),
    ),
  )
  const chosen = set(result, bitselect(isLarge, get(exact), get(result)))
  f.add(ifElse(op('v128.any_true', isLarge), [...each, chosen]))
  return get(result)
}

const FLOAT32_MATH: LaneSpecificMath = {
  expm1,
  expUpToZero,
  log,
  log2: (f, target, x) => logarithm(f, target, x, 1),
  log10: (f, target, x) => logarithm(f, target, x, Math.LOG10E * Math.LN2),
  log1pUnitInterval,
  powOfMagnitude,
  erf,
  atan,
  asin,
  acos,
  sin: (f, target, x) => circular(f, target, x, 0),
  cos: (f, target, x) => circular(f, target, x, 1),
  largestAngle: EXACT_REDUCTION,
}

const LIBRARIES: Readonly<Record<LaneType['precision'], MathLibrary>> = {
  float32: libraryOf(FLOAT32, FLOAT32_MATH),
  float64: libraryOf(FLOAT64, FLOAT64_MATH),
}

/** The functions on lanes of this type. */
export function mathOf({ precision }: LaneType): MathLibrary {
  return LIBRARIES[precision]
}
