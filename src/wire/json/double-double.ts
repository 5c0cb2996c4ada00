/**
 * Double-double arithmetic (Dekker 1971): parses numbers with more digits than a double holds, as programs print
 * them that only know doubles. A number is divided as a pair of doubles, so that almost none needs the platform's
 * parser.
 */

/** Splits a double into halves whose products are exact. */
const SPLITTER = 2 ** 27 + 1
/** Upper bound of the error of the correction: two roundings, with some reserve. */
const DOUBT = 2 ** -50

/**
 * (high x scale + low) / divisor, correctly rounded.
 *
 * @param high an integer from 10^11 to 10^15
 * @param scale a power of ten up to 10^8
 * @param low an integer below the scale
 * @param divisor a power of ten up to 10^22
 * @returns undefined if the quotient is too close to the middle of two doubles to decide
 * @example
 * divideDoubleDouble(841470956802368, 10, 2, 1e16) // 0.8414709568023682
 */
export function divideDoubleDouble(
  high: number,
  scale: number,
  low: number,
  divisor: number,
): number | undefined {
  const product = high * scale
  const rest = errorOf(product, high, scale) + low
  const dividend = product + rest
  const lost = rest - (dividend - product)
  const quotient = dividend / divisor
  const multiple = quotient * divisor
  const correction = (dividend - multiple - errorOf(multiple, quotient, divisor) + lost) / divisor
  const rounded = quotient + correction * (1 - DOUBT)
  return rounded === quotient + correction * (1 + DOUBT) ? rounded : undefined
}

/** The difference between a x b and its rounded product. */
function errorOf(product: number, a: number, b: number): number {
  const aHigh = upper(a)
  const bHigh = upper(b)
  const aLow = a - aHigh
  const bLow = b - bHigh
  return aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow
}

function upper(x: number): number {
  const spread = SPLITTER * x
  return spread - (spread - x)
}
