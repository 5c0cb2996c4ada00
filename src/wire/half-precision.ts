/**
 * float16 (IEEE binary16) and bfloat16 conversion, bit by bit, with round-half-to-even. It knows neither bytes nor
 * arrays on the wire; dtypes.ts does.
 */

/** How the 16 bits are divided: one sign bit, then the exponent, then the fraction. */
interface Layout {
  readonly fractionBits: number
  /** The exponent of the smallest normal number. Below it (subnormals) all steps are equal. */
  readonly minExponent: number
  readonly infinity: number
}

/** IEEE binary16. */
const FLOAT16: Layout = { fractionBits: 10, minExponent: -14, infinity: 0x7c00 }
/** The upper half of a float32. */
const BFLOAT16: Layout = { fractionBits: 7, minExponent: -126, infinity: 0x7f80 }

/**
 * The nearest binary16, ties to even. Too large values become infinity.
 *
 * @example
 * toHalf(1) // 0x3c00
 * toHalf(65520) // 0x7c00, infinity
 */
export function toHalf(value: number): number {
  return toBits(FLOAT16, value)
}

/**
 * The nearest bfloat16, ties to even. Too large values become infinity.
 *
 * @example
 * toBfloat16(1) // 0x3f80
 */
export function toBfloat16(value: number): number {
  return toBits(BFLOAT16, value)
}

/** Starts from the double, so that nothing is rounded twice. */
function toBits({ fractionBits, minExponent, infinity }: Layout, value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  if (Number.isNaN(value)) return infinity | (1 << (fractionBits - 1))
  const magnitude = Math.abs(value)
  const exponent = Math.max(exponentOf(magnitude), minExponent)
  if (exponent > -minExponent + 1) return sign | infinity
  // A fraction that rounds up to the next power of two carries into the exponent, up to infinity. That is correct.
  const steps = roundToEven(magnitude * POWERS[fractionBits - exponent + 160])
  return sign | (((exponent - minExponent) << fractionBits) + steps)
}

/** floor(log2 x) of a normal double; for others a value far below any 16-bit format. */
function exponentOf(x: number): number {
  SCRATCH.setFloat64(0, x)
  return (SCRATCH.getUint16(0) >> 4) - 1023
}

/** 2^-160 .. 2^160: the step between any two neighboring 16-bit numbers, and its inverse. */
const POWERS = Float64Array.from({ length: 321 }, (_, n) => 2 ** (n - 160))

const SCRATCH = new DataView(new ArrayBuffer(8))

function roundToEven(x: number): number {
  const low = Math.floor(x)
  const rest = x - low
  if (rest === 0.5) return low + (low % 2)
  return rest > 0.5 ? low + 1 : low
}

/**
 * The value of a binary16. Exponent 0 encodes the subnormals, 31 infinity and NaN.
 *
 * @example
 * fromHalf(0x3c00) // 1
 */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  if (exponent === 0) return sign * fraction * 2 ** -24
  return sign * (1024 + fraction) * 2 ** (exponent - 25)
}

/** Lookup table of all 65536 binary16 numbers. */
const HALVES = Float32Array.from({ length: 65536 }, (_, bits) => fromHalf(bits))

/**
 * The nearest number that a binary16 can represent.
 *
 * @example
 * roundToHalf(0.1) // 0.0999755859375
 */
export function roundToHalf(value: number): number {
  return HALVES[toHalf(value)]
}

/**
 * Widens every element, exactly.
 *
 * @example
 * widenHalves(Uint16Array.of(0x3c00)) // Float32Array [1]
 */
export function widenHalves(halves: Uint16Array): Float32Array {
  const wide = new Float32Array(halves.length)
  for (let i = 0; i < halves.length; i++) wide[i] = HALVES[halves[i]]
  return wide
}

/**
 * Widens without looking at the numbers: a bfloat16 is the upper half of a float32.
 *
 * @example
 * widenBfloat16(Uint16Array.of(0x3f80)) // Float32Array [1]
 */
export function widenBfloat16(halves: Uint16Array): Float32Array {
  const words = new Uint32Array(halves.length)
  for (let i = 0; i < halves.length; i++) words[i] = halves[i] << 16
  return new Float32Array(words.buffer)
}
