/**
 * Exact rational numbers. Every finite float64 is one, so places where branches meet can be compared without
 * rounding: a kink at a threshold is then known to be one, or known not to be.
 */

/** A fraction in lowest terms; the denominator is positive. */
export interface Rational {
  readonly top: bigint
  readonly bottom: bigint
}

/** Numbers with more bits are given up on: an exact answer that takes a second is worth less than none. */
const MAX_BITS = 4096

export const ZERO: Rational = { top: 0n, bottom: 1n }
export const ONE: Rational = { top: 1n, bottom: 1n }

/**
 * The exact value of a float64; undefined for NaN and infinities.
 *
 * @example
 * rational(0.1) // { top: 3602879701896397n, bottom: 36028797018963968n }
 */
export function rational(x: number): Rational | undefined {
  if (!Number.isFinite(x)) return undefined
  if (Number.isSafeInteger(x)) return { top: BigInt(x), bottom: 1n }
  const exponent = Math.max(-1074, Math.floor(Math.log2(Math.abs(x))) - 53)
  const whole = scaled(x, -exponent)
  return exponent >= 0 ? reduced(whole << BigInt(exponent), 1n) : reduced(whole, 1n << BigInt(-exponent))
}

/** x * 2^shift, which is a whole number; in two steps, because 2^1074 is no float64. */
function scaled(x: number, shift: number): bigint {
  const half = Math.trunc(shift / 2)
  return BigInt(x * 2 ** half * 2 ** (shift - half))
}

function reduced(top: bigint, bottom: bigint): Rational {
  const divisor = gcd(top < 0n ? -top : top, bottom)
  return divisor === 1n ? { top, bottom } : { top: top / divisor, bottom: bottom / divisor }
}

function gcd(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b]
  return a
}

const isLarge = ({ top, bottom }: Rational) => bitsOf(top) > MAX_BITS || bitsOf(bottom) > MAX_BITS
const bitsOf = (x: bigint) => 4 * x.toString(16).length

export function plus(a: Rational, b: Rational): Rational {
  if (a.bottom === 1n && b.bottom === 1n) return { top: a.top + b.top, bottom: 1n }
  return reduced(a.top * b.bottom + b.top * a.bottom, a.bottom * b.bottom)
}

export function times(a: Rational, b: Rational): Rational {
  if (a.bottom === 1n && b.bottom === 1n) return { top: a.top * b.top, bottom: 1n }
  return reduced(a.top * b.top, a.bottom * b.bottom)
}

export function negated({ top, bottom }: Rational): Rational {
  return { top: -top, bottom }
}

export function minus(a: Rational, b: Rational): Rational {
  return plus(a, negated(b))
}

/** Undefined for 1 / 0. */
export function reciprocal({ top, bottom }: Rational): Rational | undefined {
  if (top === 0n) return undefined
  return top < 0n ? { top: -bottom, bottom: -top } : { top: bottom, bottom: top }
}

export function signOf({ top }: Rational): -1 | 0 | 1 {
  return top > 0n ? 1 : top < 0n ? -1 : 0
}

export function compare(a: Rational, b: Rational): -1 | 0 | 1 {
  return signOf(minus(a, b))
}

/** Undefined if it would be too large to go on with. */
export function withinSizeLimit(x: Rational | undefined): Rational | undefined {
  return x === undefined || isLarge(x) ? undefined : x
}

/** The largest whole number that is not above it. */
export function floorOf({ top, bottom }: Rational): Rational {
  const quotient = top / bottom
  return { top: top < 0n && quotient * bottom !== top ? quotient - 1n : quotient, bottom: 1n }
}

/** The float64 next to it, within one unit in the last place. */
export function toNumber({ top, bottom }: Rational): number {
  const direct = Number(top) / Number(bottom)
  if (Number.isFinite(direct) && bitsOf(top) < 1000 && bitsOf(bottom) < 1000) return direct
  const shift = BigInt(Math.max(0, Math.max(bitsOf(top), bitsOf(bottom)) - 900))
  return Number(top >> shift) / Number(bottom >> shift)
}

/** Equal numbers have equal keys. */
export function keyOf({ top, bottom }: Rational): string {
  return bottom === 1n ? String(top) : `${top}/${bottom}`
}
