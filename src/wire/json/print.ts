/** Prints numbers into bytes: float32 in the fewest digits that read back to the same float32. */

const DIGIT_ZERO = 0x30
const DOT = 0x2e
const MINUS = 0x2d
const EXPONENT = 0x65
const SMALLEST_NORMAL = 2 ** -126

/** 10^-70 .. 10^70, each correctly rounded. */
const POWERS = Float64Array.from({ length: 141 }, (_, n) => Number(`1e${n - 70}`))
const power = (n: number) => POWERS[n + 70]

/** The most bytes that one printed number takes. */
export const MAX_PRINTED = 26

/**
 * Writes a finite float32 at `offset`.
 *
 * @returns the offset behind it
 * @example
 * printFloat32(buffer, 0, Math.fround(0.1)) // 3: "0.1", not 0.10000000149011612
 */
export function printFloat32(target: Buffer, offset: number, value: number): number {
  const magnitude = Math.abs(value)
  if (value === 0) return printDouble(target, offset, value)
  if (magnitude < SMALLEST_NORMAL) return printDouble(target, offset, shortestSlowly(value))
  const at = value < 0 ? put(target, offset, MINUS) : offset
  if (magnitude < 1e7 && Number.isInteger(magnitude)) return putInteger(target, at, magnitude)
  const exponent = Math.floor(Math.log10(magnitude))
  for (let digits = 6; digits < 9; digits++) {
    const scale = digits - 1 - exponent
    const decimal = Math.round(magnitude * power(scale))
    if (readsBack(decimal, scale, magnitude)) return putDecimal(target, at, decimal, -scale)
  }
  const scale = 8 - exponent
  return putDecimal(target, at, Math.round(magnitude * power(scale)), -scale)
}

/**
 * Writes a finite double as JavaScript does, in its shortest form, but keeps the sign of zero.
 *
 * @returns the offset behind it
 * @example
 * printDouble(buffer, 0, -0) // 2: "-0"
 */
export function printDouble(target: Buffer, offset: number, value: number): number {
  return offset + target.write(Object.is(value, -0) ? '-0' : String(value), offset, 'latin1')
}

/**
 * Whether decimal x 10^-scale is this float32. The quotient is off by less than 2^-51; only where that could decide, in
 * the middle between two float32, the text itself is read back.
 */
function readsBack(decimal: number, scale: number, magnitude: number): boolean {
  const quotient = decimal / power(scale)
  if (Math.fround(quotient) !== magnitude) return isMiddle(quotient) && isText(decimal, scale, magnitude)
  return !isMiddle(quotient) || isText(decimal, scale, magnitude)
}

function isMiddle(quotient: number): boolean {
  return Math.fround(quotient * (1 - 2 ** -50)) !== Math.fround(quotient * (1 + 2 ** -50))
}

function isText(decimal: number, scale: number, magnitude: number): boolean {
  return Math.fround(Number(`${decimal}e${-scale}`)) === magnitude
}

/** Subnormals have fewer digits than six; they are rare enough to be tried one by one. */
function shortestSlowly(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const shorter = Number(value.toPrecision(digits))
    if (Math.fround(shorter) === value) return shorter
  }
  return Number(value.toPrecision(9))
}

function put(target: Buffer, offset: number, byte: number): number {
  target[offset] = byte
  return offset + 1
}

/** A whole number below 2^31. */
function putInteger(target: Buffer, offset: number, value: number): number {
  const end = offset + digitCount(value)
  let rest = value
  for (let at = end - 1; at >= offset; at--) {
    const tenth = (rest / 10) | 0
    target[at] = DIGIT_ZERO + rest - tenth * 10
    rest = tenth
  }
  return end
}

function digitCount(value: number): number {
  let count = 1
  for (let bound = 10; value >= bound; bound *= 10) count++
  return count
}

/** decimal x 10^exponent, without trailing zeros, in JavaScript's choice of plain or scientific notation. */
function putDecimal(target: Buffer, offset: number, decimal: number, exponent: number): number {
  let [digits, scale] = [decimal, exponent]
  while (digits % 10 === 0) {
    digits /= 10
    scale++
  }
  const count = digitCount(digits)
  const point = count + scale
  if (point > 21 || point < -5) return putScientific(target, offset, digits, count, point - 1)
  if (scale >= 0) return putZeros(target, putInteger(target, offset, digits), scale)
  if (point > 0) return putWithPoint(target, offset, digits, point)
  target[offset] = DIGIT_ZERO
  target[offset + 1] = DOT
  return putInteger(target, putZeros(target, offset + 2, -point), digits)
}

function putZeros(target: Buffer, offset: number, count: number): number {
  for (let i = 0; i < count; i++) target[offset + i] = DIGIT_ZERO
  return offset + count
}

/** Digits with a point after the first `point` of them; moved byte by byte, for a call would cost more. */
function putWithPoint(target: Buffer, offset: number, digits: number, point: number): number {
  const end = putInteger(target, offset + 1, digits)
  for (let i = offset; i < offset + point; i++) target[i] = target[i + 1]
  target[offset + point] = DOT
  return end
}

function putScientific(
  target: Buffer,
  offset: number,
  digits: number,
  count: number,
  exponent: number,
): number {
  let at = count === 1 ? putInteger(target, offset, digits) : putWithPoint(target, offset, digits, 1)
  at = put(target, at, EXPONENT)
  at = put(target, at, exponent < 0 ? MINUS : 0x2b)
  return putInteger(target, at, Math.abs(exponent))
}
