/**
 * Interval arithmetic with outward rounding. The result of every operation contains the results of all pairs of
 * numbers of its operands, both in exact arithmetic and as float64 rounds them: the bounds are rounded away from
 * each other where an operation is inexact, which error-free transformations tell (Dekker 1971, Knuth's TwoSum).
 * Zero has no sign here; whatever depends on its sign (1 / 0) makes an interval `partial`.
 */

/**
 * All numbers from `lo` to `hi`. `partial`: at some of the points that it stands for, the operation may have no
 * value (a logarithm of 0, 0 / 0, infinity - infinity); the bounds hold for all others.
 */
export interface Interval {
  readonly lo: number
  readonly hi: number
  readonly partial: boolean
}

/**
 * c - (PHI |c| + ETA), rounded to nearest, is at or below the float64 before c: Rump, Zimmermann, Boldo, Melquiond,
 * BIT 49 (2009), 419.
 */
const PHI = 2 ** -53 * (1 + 2 ** -52)
const ETA = Number.MIN_VALUE

/**
 * A float64 below x.
 *
 * @param ulps how many units in the last place below, at least
 */
export function below(x: number, ulps = 1): number {
  if (!Number.isFinite(x)) return x === Number.POSITIVE_INFINITY ? Number.MAX_VALUE : x
  return x - (Math.abs(x) * PHI * (ulps === 1 ? 1 : 2 * ulps) + ETA * ulps)
}

/** A float64 above x. */
export function above(x: number, ulps = 1): number {
  return -below(-x, ulps)
}

export function interval(lo: number, hi: number, partial = false): Interval {
  return { lo, hi, partial }
}

export function point(x: number): Interval {
  return { lo: x, hi: x, partial: false }
}

export const ENTIRE = interval(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)
/** Nothing is known, not even that there is a value. */
export const UNDEFINED = interval(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, true)
export const ZERO = point(0)
export const ONE = point(1)

export const isPoint = ({ lo, hi }: Interval): boolean => lo === hi
export const isZero = ({ lo, hi }: Interval): boolean => lo === 0 && hi === 0
export const isBounded = ({ lo, hi }: Interval): boolean => Number.isFinite(lo) && Number.isFinite(hi)
export const contains = ({ lo, hi }: Interval, x: number): boolean => lo <= x && x <= hi
export const widthOf = ({ lo, hi }: Interval): number => hi - lo
/** The largest absolute value. */
export const magnitude = ({ lo, hi }: Interval): number => Math.max(Math.abs(lo), Math.abs(hi))
/** A number of the interval near its middle. */
export function middle({ lo, hi }: Interval): number {
  if (lo === Number.NEGATIVE_INFINITY) return hi === Number.POSITIVE_INFINITY ? 0 : Math.min(hi, 0) * 2 - 1
  if (hi === Number.POSITIVE_INFINITY) return Math.max(lo, 0) * 2 + 1
  return Math.min(hi, Math.max(lo, lo / 2 + hi / 2))
}

export function hull(a: Interval, b: Interval): Interval {
  return interval(Math.min(a.lo, b.lo), Math.max(a.hi, b.hi), a.partial || b.partial)
}

/** The same, without the numbers outside of the bounds. */
export function clipped({ lo, hi, partial }: Interval, low: number, high: number): Interval {
  return interval(Math.min(Math.max(lo, low), high), Math.max(Math.min(hi, high), low), partial)
}

export const asPartial = (x: Interval): Interval => (x.partial ? x : interval(x.lo, x.hi, true))

export function neg({ lo, hi, partial }: Interval): Interval {
  return interval(0 - hi, 0 - lo, partial)
}

export function add(a: Interval, b: Interval): Interval {
  const partial = a.partial || b.partial || meetsOpposite(a, b)
  return interval(addDown(a.lo, b.lo), 0 - addDown(-a.hi, -b.hi), partial)
}

export function sub(a: Interval, b: Interval): Interval {
  return add(a, neg(b))
}

/** Whether infinity - infinity may come up, which an overflow in float64 can cause. */
function meetsOpposite(a: Interval, b: Interval): boolean {
  const [up, down] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  return (a.hi === up && b.lo === down) || (a.lo === down && b.hi === up)
}

/** The largest float64 that is known not to be above a + b. */
function addDown(a: number, b: number): number {
  const sum = a + b
  if (Number.isNaN(sum)) return Number.NEGATIVE_INFINITY
  if (!Number.isFinite(sum)) return Number.isFinite(a) && Number.isFinite(b) ? below(sum) : sum
  const part = sum - a
  const lost = a - (sum - part) + (b - part)
  return lost >= 0 ? sum : below(sum)
}

export function mul(a: Interval, b: Interval): Interval {
  const partial = a.partial || b.partial || meetsZero(a, b) || meetsZero(b, a)
  if (a.lo >= 0) return timesPositive(b, a, partial)
  if (b.lo >= 0) return timesPositive(a, b, partial)
  if (a.hi <= 0) return timesNegative(b, a, partial)
  if (b.hi <= 0) return timesNegative(a, b, partial)
  const lo = Math.min(mulDown(a.lo, b.hi), mulDown(a.hi, b.lo))
  const hi = Math.max(mulUp(a.lo, b.lo), mulUp(a.hi, b.hi))
  return interval(lo, hi, partial)
}

/** The ends of a product are those products of ends that the signs tell. */
function timesPositive(x: Interval, factor: Interval, partial: boolean): Interval {
  const lo = mulDown(x.lo, x.lo >= 0 ? factor.lo : factor.hi)
  const hi = mulUp(x.hi, x.hi >= 0 ? factor.hi : factor.lo)
  return interval(lo, hi, partial)
}

function timesNegative(x: Interval, factor: Interval, partial: boolean): Interval {
  const lo = mulDown(x.hi, x.hi >= 0 ? factor.lo : factor.hi)
  const hi = mulUp(x.lo, x.lo >= 0 ? factor.hi : factor.lo)
  return interval(lo, hi, partial)
}

/** Whether 0 times infinity may come up. */
function meetsZero(a: Interval, b: Interval): boolean {
  return a.lo <= 0 && a.hi >= 0 && !isBounded(b)
}

export function square(x: Interval): Interval {
  const high = Math.max(mulUp(x.lo, x.lo), mulUp(x.hi, x.hi))
  if (contains(x, 0)) return interval(0, high, x.partial)
  return interval(Math.min(mulDown(x.lo, x.lo), mulDown(x.hi, x.hi)), high, x.partial)
}

const mulUp = (a: number, b: number) => 0 - mulDown(-a, b)

/** A product with 0 is 0: the infinite bound stands for large numbers. */
function mulDown(a: number, b: number): number {
  if (a === 0 || b === 0) return 0
  const product = a * b
  if (!Number.isFinite(product)) return Number.isFinite(a) && Number.isFinite(b) ? below(product) : product
  if (isSafe(product) && isSafe(a) && isSafe(b))
    return errorOfProduct(a, b, product) >= 0 ? product : below(product)
  const lower = below(product)
  return a > 0 === b > 0 ? Math.max(0, lower) : lower
}

/** Whether the error of a product of such numbers is a float64 itself. */
function isSafe(x: number): boolean {
  const size = Math.abs(x)
  return size > 1e-140 && size < 1e140
}

/** a * b - product, exactly (Dekker). */
function errorOfProduct(a: number, b: number, product: number): number {
  const [aHigh, bHigh] = [highPart(a), highPart(b)]
  const [aLow, bLow] = [a - aHigh, b - bHigh]
  return aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow
}

function highPart(x: number): number {
  const shifted = x * 134217729
  return shifted - (shifted - x)
}

/** A divisor that may be 0 makes it partial; on one side of 0 it still bounds the quotient. */
export function div(a: Interval, b: Interval): Interval {
  if (isZero(b) || (b.lo < 0 && b.hi > 0)) return UNDEFINED
  const partial = a.partial || b.partial || contains(b, 0) || (!isBounded(a) && !isBounded(b))
  if (b.hi <= 0) return div(neg(a), interval(0 - b.hi, 0 - b.lo, partial))
  const lo = a.lo >= 0 ? divDown(a.lo, b.hi) : divDown(a.lo, b.lo)
  const hi = a.hi >= 0 ? divUp(a.hi, b.lo) : divUp(a.hi, b.hi)
  return interval(lo, hi, partial)
}

const divUp = (a: number, b: number) => 0 - divDown(-a, b)

/** b > 0, or 0 for what comes next to it. */
function divDown(a: number, b: number): number {
  if (a === 0) return 0
  if (b === 0) return a > 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY
  const quotient = a / b
  if (Number.isNaN(quotient)) return a > 0 ? 0 : Number.NEGATIVE_INFINITY
  if (!Number.isFinite(quotient)) return Number.isFinite(a) ? below(quotient) : quotient
  if (isSafe(a) && isSafe(b) && isSafe(quotient))
    return remainder(a, b, quotient) >= 0 ? quotient : below(quotient)
  const lower = below(quotient)
  return a > 0 ? Math.max(0, lower) : lower
}

/** a - quotient * b, exactly but for its last digits: its sign is that of the error. */
function remainder(a: number, b: number, quotient: number): number {
  const product = quotient * b
  return a - product - errorOfProduct(quotient, b, product)
}

export function abs(x: Interval): Interval {
  if (x.lo >= 0) return x
  if (x.hi <= 0) return neg(x)
  return interval(0, Math.max(-x.lo, x.hi), x.partial)
}

export function max(a: Interval, b: Interval): Interval {
  return interval(Math.max(a.lo, b.lo), Math.max(a.hi, b.hi), a.partial || b.partial)
}

export function min(a: Interval, b: Interval): Interval {
  return interval(Math.min(a.lo, b.lo), Math.min(a.hi, b.hi), a.partial || b.partial)
}
