/**
 * Numbers of more digits than a double holds, as programs print that know doubles only: divided in two doubles at once
 * (Dekker 1971), which leaves nearly none for the platform's parser.
 */

/** Splits a double into halves whose products are exact. */
const SPLITTER = 2 ** 27 + 1
/** What the correction may be off by: two roundings, and some more. */
const DOUBT = 2 ** -50

/**
 * (high x scale + low) / divisor, correctly rounded.
 *
 * @param high a whole number from 10^11 to 10^15
 * @param scale a power of ten up to 10^8
 * @param low a whole number below the scale
 * @param divisor a power of ten up to 10^22
 * @returns undefined where the quotient is so near to the middle of two doubles that this cannot tell
 * @example
 * divideLong(841470956802368, 10, 2, 1e16) // 0.8414709568023682
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

/** What a x b is more than its rounded product. */
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
