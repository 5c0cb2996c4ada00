/**
 * Enclosures of the elementary functions. ECMAScript leaves the accuracy of Math.exp and its kin to the engine. V8
 * and SpiderMonkey use fdlibm, whose authors state errors below 1 unit in the last place (ulp) for each function;
 * JavaScriptCore uses the system's library, which states at most 2. Results are widened by ULPS, four times that:
 * once for the error at the bound, and once for the error at the point that somebody evaluates. Tests compare with
 * 60-digit values.
 */
import { DIGAMMA_ZERO, digamma, lgamma, polygamma } from '../language/gamma.ts'
import { SCALAR_SEMANTICS } from '../language/scalar.ts'
import {
  above,
  below,
  clipped,
  contains,
  ENTIRE,
  type Interval,
  interval,
  isBounded,
  isPoint,
  magnitude,
  mul,
  neg,
  ONE,
  point,
  UNDEFINED,
  widthOf,
} from './interval.ts'

/** Units in the last place by which a library's result is widened. */
const ULPS = 8
/** Of functions that are composed of a few operations and one or two of the library's (scalar.ts). */
const COMPOSED_ULPS = 16
/** erf adds up at most 80 terms that are at most 2.2 in size, for results of at least a quarter of that. */
const ERF_ULPS = 512
/** The gamma functions are tested to 1e-13, relative to 1 or to the value if that is larger (test/language/gamma.test.ts). */
const GAMMA_ERROR = 4e-13

type Scalar = (x: number) => number

/** Of an increasing function: the bounds map to the bounds. */
function increasing(f: Scalar, x: Interval, ulps = ULPS): Interval {
  const low = f(x.lo)
  return interval(below(low, ulps), above(x.hi === x.lo ? low : f(x.hi), ulps), x.partial)
}

function decreasing(f: Scalar, x: Interval, ulps = ULPS): Interval {
  const high = f(x.lo)
  return interval(below(x.hi === x.lo ? high : f(x.hi), ulps), above(high, ulps), x.partial)
}

/** x as far as the function has values; partial if that is not everywhere. Undefined if nowhere. */
function within(x: Interval, low: number, high: number, isOpen: boolean): Interval | undefined {
  if (x.hi < low || x.lo > high || (isOpen && x.hi <= low)) return undefined
  const leaves = x.lo < low || x.hi > high || (isOpen && x.lo <= low)
  return interval(Math.max(x.lo, low), Math.min(x.hi, high), x.partial || leaves)
}

export const exp = (x: Interval): Interval => clipped(increasing(Math.exp, x), 0, Number.POSITIVE_INFINITY)
export const expm1 = (x: Interval): Interval =>
  clipped(increasing(Math.expm1, x), -1, Number.POSITIVE_INFINITY)

const logarithm =
  (f: Scalar, low: number) =>
  (x: Interval): Interval => {
    const inside = within(x, low, Number.POSITIVE_INFINITY, true)
    return inside === undefined ? UNDEFINED : increasing(f, inside)
  }
export const log = logarithm(Math.log, 0)
export const log2 = logarithm(Math.log2, 0)
export const log10 = logarithm(Math.log10, 0)
export const log1p = logarithm(Math.log1p, -1)

/** Rounded correctly by IEEE 754. */
export function sqrt(x: Interval): Interval {
  const inside = within(x, 0, Number.POSITIVE_INFINITY, false)
  return inside === undefined
    ? UNDEFINED
    : clipped(increasing(Math.sqrt, inside, 1), 0, Number.POSITIVE_INFINITY)
}

export const sigmoid = (x: Interval): Interval =>
  clipped(increasing(SCALAR_SEMANTICS.sigmoid as Scalar, x, COMPOSED_ULPS), 0, 1)
export const softplus = (x: Interval): Interval =>
  clipped(increasing(SCALAR_SEMANTICS.softplus as Scalar, x, COMPOSED_ULPS), 0, Number.POSITIVE_INFINITY)
export const tanh = (x: Interval): Interval => clipped(increasing(Math.tanh, x), -1, 1)
export const atan = (x: Interval): Interval => increasing(Math.atan, x)
export const erf = (x: Interval): Interval =>
  clipped(increasing(SCALAR_SEMANTICS.erf as Scalar, x, ERF_ULPS), -1, 1)

export function asin(x: Interval): Interval {
  const inside = within(x, -1, 1, false)
  return inside === undefined ? UNDEFINED : increasing(Math.asin, inside)
}

export function acos(x: Interval): Interval {
  const inside = within(x, -1, 1, false)
  return inside === undefined
    ? UNDEFINED
    : clipped(decreasing(Math.acos, inside), 0, Number.POSITIVE_INFINITY)
}

/** Beyond this, turns are not counted: a float64 next to it is a noticeable part of a turn away. */
const MAX_ANGLE = 1e6

export const cos = (x: Interval): Interval => wave(Math.cos, x, 0)
export const sin = (x: Interval): Interval => wave(Math.sin, x, Math.PI / 2)

/** A wave with its crests at `crest` plus whole turns, and its troughs half a turn further. */
function wave(f: Scalar, x: Interval, crest: number): Interval {
  const all = interval(-1, 1, x.partial || !isBounded(x))
  if (magnitude(x) > MAX_ANGLE || widthOf(x) > 2 * Math.PI) return all
  const ends = [f(x.lo), f(x.hi)]
  const lo = passes(x, crest + Math.PI) ? -1 : below(Math.min(...ends), ULPS)
  const hi = passes(x, crest) ? 1 : above(Math.max(...ends), ULPS)
  return clipped(interval(lo, hi, x.partial), -1, 1)
}

/** Whether x may contain `place` plus a whole number of turns; the margin is far above the rounding of either. */
function passes({ lo, hi }: Interval, place: number): boolean {
  const margin = 1e-9
  const turn = Math.ceil((lo - place) / (2 * Math.PI) - margin)
  return place + turn * 2 * Math.PI <= hi + margin
}

/** Where lgamma is least on the positive side, and its value there. */
const LGAMMA_LEAST = { at: DIGAMMA_ZERO.high, value: -0.12148629053584961 } as const

const loosened = ({ lo, hi, partial }: Interval): Interval => {
  const [a, b] = [GAMMA_ERROR * Math.max(1, Math.abs(lo)), GAMMA_ERROR * Math.max(1, Math.abs(hi))]
  return interval(Number.isFinite(lo) ? lo - a : lo, Number.isFinite(hi) ? hi + b : hi, partial)
}

const gammaBounds = (f: Scalar, x: Interval): Interval => {
  const [a, b] = [f(x.lo), f(x.hi)]
  return loosened(interval(Math.min(a, b), Math.max(a, b), x.partial))
}

/** On the left of 0 there is a pole at each whole number, and nothing is bounded. */
export function enclosedLgamma(x: Interval): Interval {
  if (x.lo <= 0) return UNDEFINED
  const ends = gammaBounds(lgamma, x)
  if (x.hi < LGAMMA_LEAST.at || x.lo > LGAMMA_LEAST.at) return ends
  return interval(LGAMMA_LEAST.value - GAMMA_ERROR, ends.hi, ends.partial)
}

/** Digamma and its derivatives are monotone where x > 0. */
export function enclosedPolygamma(n: number, x: Interval): Interval {
  if (x.lo <= 0) return UNDEFINED
  const bounds = gammaBounds((at) => (n === 0 ? digamma(at) : polygamma(n, at)), x)
  if (n === 0) return bounds
  return n % 2 === 1
    ? clipped(bounds, 0, Number.POSITIVE_INFINITY)
    : clipped(bounds, Number.NEGATIVE_INFINITY, 0)
}

/** base^exponent. On a positive base it is monotone in each argument, so its extremes are at the corners. */
export function pow(base: Interval, exponent: Interval): Interval {
  if (isPoint(exponent) && Number.isInteger(exponent.lo)) return wholePower(base, exponent.lo)
  const inside = within(base, 0, Number.POSITIVE_INFINITY, exponent.lo <= 0)
  if (inside === undefined) return UNDEFINED
  const bounds = positivePower(inside, exponent)
  return exponent.partial ? interval(bounds.lo, bounds.hi, true) : bounds
}

function positivePower(base: Interval, exponent: Interval): Interval {
  const corners = [base.lo, base.hi].flatMap((b) => [b ** exponent.lo, b ** exponent.hi])
  const infinite = !isBounded(base) || !isBounded(exponent)
  if (corners.some(Number.isNaN)) return interval(0, Number.POSITIVE_INFINITY, true)
  const [lo, hi] = [below(Math.min(...corners), COMPOSED_ULPS), above(Math.max(...corners), COMPOSED_ULPS)]
  return clipped(interval(lo, hi, base.partial || infinite), 0, Number.POSITIVE_INFINITY)
}

function wholePower(base: Interval, n: number): Interval {
  if (n === 0) return ONE
  const isEven = n % 2 === 0
  if (base.lo >= 0) return powerOfPositive(base, n)
  if (base.hi <= 0) {
    const mirrored = powerOfPositive(neg(base), n)
    return isEven ? mirrored : neg(mirrored)
  }
  if (n < 0) return isEven ? interval(0, Number.POSITIVE_INFINITY, true) : UNDEFINED
  const [left, right] = [powerOfPositive(interval(0, -base.lo), n), powerOfPositive(interval(0, base.hi), n)]
  const hi = isEven ? Math.max(left.hi, right.hi) : right.hi
  return interval(isEven ? 0 : -left.hi, hi, base.partial)
}

function powerOfPositive(base: Interval, n: number): Interval {
  const isPole = n < 0 && base.lo === 0
  if (n > 0 && n <= MAX_MULTIPLIED) return multiplied(base, n)
  const bounds = positivePower(base, interval(n, n))
  const exact = base.lo === 0 && n > 0 ? interval(0, bounds.hi, bounds.partial) : bounds
  return isPole ? interval(exact.lo, Number.POSITIVE_INFINITY, true) : exact
}

/** Small powers are products, which round less than the library's power. */
const MAX_MULTIPLIED = 8

function multiplied(base: Interval, n: number): Interval {
  const powerOf = (x: number) => {
    let power = ONE
    for (let k = 0; k < n; k++) power = mul(power, point(x))
    return power
  }
  // The library's power is exact where every product is one of 0 and 1.
  const isExact = (x: number) => x === 0 || x === 1
  const [lo, hi] = [powerOf(base.lo).lo, powerOf(base.hi).hi]
  return interval(
    isExact(base.lo) ? base.lo : Math.max(0, below(lo, ULPS)),
    isExact(base.hi) ? base.hi : above(hi, ULPS),
    base.partial,
  )
}

/** The nearest whole number and the largest not above it: both never decrease. */
export const floor = (x: Interval): Interval => interval(Math.floor(x.lo), Math.floor(x.hi), x.partial)
export const round = (x: Interval): Interval =>
  interval((SCALAR_SEMANTICS.round as Scalar)(x.lo), (SCALAR_SEMANTICS.round as Scalar)(x.hi), x.partial)

export function sign(x: Interval): Interval {
  return interval(Math.sign(x.lo), Math.sign(x.hi), x.partial)
}

/** What an unknown function of this family may be: anything. */
export const anything = (x: Interval): Interval => (x.partial ? UNDEFINED : ENTIRE)

/** 1 - x^2 for a slope of an arc: never below 0 where the arc has a value. */
export function arcRadicand(x: Interval): Interval {
  const inside = clipped(x, -1, 1)
  const [low, high] = [
    magnitude(inside),
    contains(inside, 0) ? 0 : Math.min(Math.abs(inside.lo), Math.abs(inside.hi)),
  ]
  const at = (size: number) => mul(interval(1 - size, 1 - size), interval(1 + size, 1 + size))
  const lo = Math.max(0, below(at(low).lo, 4))
  return interval(lo, above(at(high).hi, 4), x.partial)
}
