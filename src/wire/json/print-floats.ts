/**
 * Shortest round-trip float formatting: prints a float32 with the fewest digits that parse back to the same
 * float32, and of those candidates the closest one. Like JavaScript it chooses between plain and scientific
 * notation.
 */

const DIGIT_ZERO = 0x30
const DOT = 0x2e
const MINUS = 0x2d
const PLUS = 0x2b
const EXPONENT = 0x65
const COMMA = 0x2c
/** "0.00" and "0000", each written at once. */
const ZERO_POINT = 0x302e3030
const FOUR_ZEROS = 0x30303030

/** Maximum number of bytes that are touched for one printed number and the comma after it. */
export const MAX_FLOAT_BYTES = 32

/** A float32 and its bits. */
const FLOAT = new Float32Array(1)
const BITS = new Uint32Array(FLOAT.buffer)

/**
 * For each biased exponent of a float32: the k for which 2^exponent x 10^k is between 10^8 and 10^9. So every
 * float32 x 10^k, called "scaled" here, is below 2 x 10^9, and the nine or ten digits before its decimal point are
 * enough.
 */
const SCALES = Int32Array.from({ length: 256 }, (_, bits) => 8 - Math.floor(Math.log10(2 ** (bits - 127))))
const POWERS = Float64Array.from(SCALES, (k) => Number(`1e${k}`))
/**
 * Half the distance between two neighboring float32 numbers, with the same scale: 5.9 to 60. Any decimal within
 * this reach parses back to the same float32.
 */
const REACHES = POWERS.map((power, bits) => 2 ** (bits - 127 - 24) * power)

/**
 * Scaled numbers have an error below 2^-21: two roundings of 2^-53 each, of the power and of the product. If a
 * decision is closer than this, the slow path by text makes it.
 */
const DOUBT = 2 ** -20

/**
 * Below a power of two, the reach is half of what it is above. There are few powers of two, so they are computed in
 * advance, by text.
 */
const POWERS_OF_TWO = SCALES.map((k, bits) => {
  const [digits, exponent] = shortestByText(Math.fround(2 ** (bits - 127))).split('e')
  return Math.round(Number(`${digits}e${Number(exponent) + k}`))
})

/** Four digits, as bytes in this order. No scaled float32 has more digits before its last six. */
const DIGITS = Uint32Array.from({ length: 2001 }, (_, n) =>
  Buffer.from(String(n).padStart(4, '0')).readUInt32BE(),
)

/**
 * Writes float32 numbers, separated by commas.
 *
 * @returns the offset after the last one; up to MAX_PRINTED bytes per number may have been touched
 * @example
 * printFloats(view, 0, Float32Array.of(1, 0.1), 0, 2) // 5: "1,0.1"
 */
export function printFloats(
  target: DataView,
  offset: number,
  data: Float32Array,
  from: number,
  end: number,
): number {
  let at = offset
  for (let i = from; i < end; i++) {
    if (i > from) target.setUint8(at++, COMMA)
    at = printFloat32(target, at, data[i])
  }
  return at
}

/**
 * Writes doubles in their shortest form, as JavaScript does, but keeps the sign of zero.
 *
 * @returns the offset after the last one
 * @example
 * printDoubles(view, 0, Float64Array.of(-0, 0.1), 0, 2) // 6: "-0,0.1"
 */
export function printDoubles(
  target: DataView,
  offset: number,
  data: Float64Array | Int32Array,
  from: number,
  end: number,
): number {
  let at = offset
  for (let i = from; i < end; i++) {
    if (i > from) target.setUint8(at++, COMMA)
    at = printDouble(target, at, data[i])
  }
  return at
}

/**
 * Writes a float32 at `offset`. Non-finite numbers are written as strings, because JSON has no literals for them.
 *
 * @returns the offset after it; up to MAX_PRINTED bytes from `offset` on may have been touched
 * @example
 * printFloat32(view, 0, Math.fround(0.1)) // 3: "0.1", not 0.10000000149011612
 */
export function printFloat32(target: DataView, offset: number, value: number): number {
  FLOAT[0] = value
  const bits = BITS[0]
  const exponent = (bits >>> 23) & 0xff
  if (exponent === 0 || exponent === 0xff) return printUnusual(target, offset, value)
  // Signs are hard to predict, so there is no branch for them: a minus is always written, and overwritten if it is
  // wrong.
  target.setUint8(offset, MINUS)
  const at = offset + (bits >>> 31)
  if ((bits & 0x7fffff) !== 0) return printNormal(target, at, Math.abs(value), exponent)
  return putWhole(target, at, POWERS_OF_TWO[exponent], SCALES[exponent])
}

/**
 * The numbers in reach contain a multiple of 10, often one of 100, and rarely one of 1000; there is never a second
 * multiple of 1000. Which of the first two applies cannot be predicted, so both are computed and a mask selects one
 * (branch-free).
 */
function printNormal(target: DataView, offset: number, magnitude: number, exponent: number): number {
  const scaled = magnitude * POWERS[exponent]
  const reach = REACHES[exponent]
  const scale = SCALES[exponent]
  const thousands = ((scaled | 0) / 1000) | 0
  const rest = scaled - thousands * 1000
  if (rest < reach - DOUBT) return putWhole(target, offset, thousands * 1000, scale)
  if (rest > 1000 - reach + DOUBT) return putWhole(target, offset, thousands * 1000 + 1000, scale)
  const hundreds = ((rest * 0.01 + 0.5) | 0) * 100
  const tens = ((rest * 0.1 + 0.5) | 0) * 10
  const error = Math.abs(rest - hundreds)
  // In units of the error bound: negative is in reach, zero is undecided.
  const decision = ((error - reach) / DOUBT) | 0
  const isTie = error > 50 - DOUBT || Math.abs(rest - tens) > 5 - DOUBT
  if (decision === 0 || isTie || rest < reach + DOUBT || rest > 1000 - reach - DOUBT) {
    return printDouble(target, offset, Number(shortestByText(magnitude)))
  }
  const mask = decision >> 31
  return putDecimal(target, offset, thousands, (hundreds & mask) | (tens & ~mask), 1 - mask, scale)
}

/** Zero, subnormal, infinite, or NaN. */
function printUnusual(target: DataView, offset: number, value: number): number {
  const isExact = value === 0 || !Number.isFinite(value)
  return printDouble(target, offset, isExact ? value : Number(shortestByText(value)))
}

/** Non-finite numbers are written as strings, because JSON has no literals for them. */
function printDouble(target: DataView, offset: number, value: number): number {
  if (!Number.isFinite(value)) return putText(target, offset, `"${value}"`)
  return putText(target, offset, Object.is(value, -0) ? '-0' : String(value))
}

/** The reference implementation, as `d.ddde-dd`: slow and exact. */
function shortestByText(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const nearest = value.toExponential(digits - 1)
    const readingBack = [nearest, nextAway(nearest)].find((text) => Math.fround(Number(text)) === value)
    if (readingBack !== undefined) return readingBack
  }
  return value.toExponential(8)
}

/**
 * The next decimal with the same number of digits, away from zero. Just above a power of two, it may be in reach
 * although the nearest decimal, below, is not.
 */
function nextAway(text: string): string {
  const [digits, exponent] = text.split('e')
  const places = Math.max(0, digits.replace('-', '').length - 2)
  const whole = Number(digits.replace('.', ''))
  return `${whole + Math.sign(whole)}e${Number(exponent) - places}`
}

/** The text is so short that a loop is cheaper than a call out of JavaScript. */
function putText(target: DataView, offset: number, text: string): number {
  for (let i = 0; i < text.length; i++) target.setUint8(offset + i, text.charCodeAt(i))
  return offset + text.length
}

/** decimal x 10^-scale, where the decimal may have any number of trailing zeros. */
function putWhole(target: DataView, offset: number, decimal: number, scale: number): number {
  const thousands = (decimal / 1000) | 0
  return putDecimal(target, offset, thousands, decimal - thousands * 1000, trailingZeros(decimal), scale)
}

/** The number of trailing zeros of a number >= 1. */
function trailingZeros(decimal: number): number {
  let zeros = 0
  for (let rest = decimal; ; zeros++) {
    const tenth = (rest / 10) | 0
    if (tenth * 10 !== rest) return zeros
    rest = tenth
  }
}

/**
 * (thousands x 1000 + rest) x 10^-scale, which has nine or ten digits, without trailing zeros, in plain or
 * scientific notation as JavaScript chooses.
 */
function putDecimal(
  target: DataView,
  offset: number,
  thousands: number,
  rest: number,
  zeros: number,
  scale: number,
): number {
  const count = thousands < 1e6 ? 9 : 10
  const point = count - scale
  if (point <= 0 && point >= -5) return putFraction(target, offset, thousands, rest, scale) - zeros
  // All digits start one byte late, so that the digits before the point can be moved to make room for it.
  putTen(target, offset + count - 9, thousands, rest)
  if (point < -5 || point > 21) return putExponent(target, offset, count - zeros, point - 1)
  moveBack(target, offset, Math.min(point, count))
  if (point > count) return putZeros(target, offset + count, point - count)
  if (zeros >= scale) return offset + point
  target.setUint8(offset + point, DOT)
  return offset + 1 + count - zeros
}

/** 0.00123: ten digits after up to seven bytes of zeros. */
function putFraction(
  target: DataView,
  offset: number,
  thousands: number,
  rest: number,
  scale: number,
): number {
  target.setUint32(offset, ZERO_POINT)
  target.setUint32(offset + 4, FOUR_ZEROS)
  putTen(target, offset + scale - 8, thousands, rest)
  // The leading zero of nine digits may have overwritten the point.
  target.setUint8(offset + 1, DOT)
  return offset + scale + 2
}

/** 1.23e-7: the `count` digits start one byte late. */
function putExponent(target: DataView, offset: number, count: number, exponent: number): number {
  moveBack(target, offset, 1)
  target.setUint8(offset + 1, DOT)
  const at = count === 1 ? offset + 1 : offset + 1 + count
  target.setUint8(at, EXPONENT)
  target.setUint8(at + 1, exponent < 0 ? MINUS : PLUS)
  return putText(target, at + 2, String(Math.abs(exponent)))
}

/**
 * Ten digits, of which the first may be zero. Written from the last one, because each write covers one byte too
 * many.
 */
function putTen(target: DataView, offset: number, thousands: number, rest: number) {
  const top = (thousands / 1000) | 0
  target.setUint32(offset + 6, DIGITS[rest])
  target.setUint32(offset + 3, DIGITS[thousands - top * 1000])
  target.setUint32(offset, DIGITS[top])
}

function moveBack(target: DataView, offset: number, count: number) {
  for (let i = offset; i < offset + count; i++) target.setUint8(i, target.getUint8(i + 1))
}

function putZeros(target: DataView, offset: number, count: number): number {
  for (let i = 0; i < count; i++) target.setUint8(offset + i, DIGIT_ZERO)
  return offset + count
}
