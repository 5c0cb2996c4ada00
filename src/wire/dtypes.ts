/** Bytes <-> typed arrays for every dtype on the wire, little-endian. It knows no format and no names. */
import { Problem } from '../errors.ts'
import type { Dtype, NumericArray } from '../schemas/tensor.ts'
import { BYTES } from './define.ts'

/**
 * Reads `count` elements: a view where memory is aligned and needs no conversion, else a copy. Half precision is
 * widened exactly.
 *
 * @throws Problem `invalid-value` for an int64 beyond int32 or a bool that is neither 0 nor 1
 * @example
 * readElements('float32', bytes, 10).length // 10
 */
export function readElements(dtype: Dtype, bytes: Uint8Array, count: number): NumericArray {
  return READERS[dtype](aligned(bytes, BYTES[dtype]), count)
}

/** Writes elements in a dtype, rounding to nearest even where it is narrower. */
export function writeElements(dtype: Dtype, data: NumericArray, target: Uint8Array): void {
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength)
  const whole = WHOLE[dtype]
  if (whole !== undefined && data instanceof whole) {
    target.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  } else {
    const write = WRITERS[dtype]
    for (let i = 0; i < data.length; i++) write(view, i * BYTES[dtype], data[i])
  }
}

/** Typed arrays may only start at a multiple of their element size. (`slice` of a Buffer would not copy.) */
function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
}

type Reader = (bytes: Uint8Array, count: number) => NumericArray

const READERS: Readonly<Record<Dtype, Reader>> = {
  float32: (bytes, count) => new Float32Array(bytes.buffer, bytes.byteOffset, count),
  float64: (bytes, count) => new Float64Array(bytes.buffer, bytes.byteOffset, count),
  int32: (bytes, count) => new Int32Array(bytes.buffer, bytes.byteOffset, count),
  float16: (bytes, count) =>
    Float32Array.from(new Uint16Array(bytes.buffer, bytes.byteOffset, count), fromHalf),
  bfloat16: (bytes, count) => widenBfloat16(new Uint16Array(bytes.buffer, bytes.byteOffset, count)),
  uint8: (bytes, count) => Int32Array.from(bytes.subarray(0, count)),
  bool: (bytes, count) => Int32Array.from(bytes.subarray(0, count), asTruth),
  int64: (bytes, count) => Int32Array.from(new BigInt64Array(bytes.buffer, bytes.byteOffset, count), asInt32),
}

/** Dtypes whose memory is their wire form. */
const WHOLE: Partial<
  Record<Dtype, Float32ArrayConstructor | Float64ArrayConstructor | Int32ArrayConstructor>
> = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
}

type Writer = (view: DataView, offset: number, value: number) => void

const WRITERS: Readonly<Record<Dtype, Writer>> = {
  float32: (view, offset, value) => view.setFloat32(offset, value, true),
  float64: (view, offset, value) => view.setFloat64(offset, value, true),
  int32: (view, offset, value) => view.setInt32(offset, value, true),
  float16: (view, offset, value) => view.setUint16(offset, toHalf(value), true),
  bfloat16: (view, offset, value) => view.setUint16(offset, toBfloat16(value), true),
  uint8: (view, offset, value) => view.setUint8(offset, value),
  bool: (view, offset, value) => view.setUint8(offset, value),
  int64: (view, offset, value) => view.setBigInt64(offset, BigInt(value), true),
}

function asTruth(byte: number, place: number): number {
  if (byte <= 1) return byte
  throw new Problem(
    'invalid-value',
    `element ${place} of a bool tensor is the byte ${byte}; it must be 0 or 1`,
  )
}

function asInt32(value: bigint, place: number): number {
  if (value >= -(2n ** 31n) && value < 2n ** 31n) return Number(value)
  throw new Problem('invalid-value', `element ${place} of an int64 tensor is ${value}; it must fit int32`)
}

/** binary16: 1 sign, 5 exponent and 10 fraction bits; exponent 0 holds the subnormals, 31 infinity and NaN. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  if (exponent === 0) return sign * fraction * 2 ** -24
  return sign * (1024 + fraction) * 2 ** (exponent - 25)
}

/** Nearest binary16, ties to even; too large becomes infinity. */
export function toHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const magnitude = Math.abs(value)
  if (Number.isNaN(value)) return 0x7e00
  if (magnitude >= 65520) return sign | 0x7c00
  // Below 2^-14 all steps are 2^-24; above, 2^-10 of the power of two. A carry into the exponent is the right carry.
  if (magnitude < 2 ** -14) return sign | roundToEven(magnitude * 2 ** 24)
  const exponent = exponentOf(magnitude)
  return sign | (((exponent + 14) << 10) + roundToEven(magnitude * 2 ** (10 - exponent)))
}

/** floor(log2 x), exact for every normal double. */
function exponentOf(x: number): number {
  SCRATCH.setFloat64(0, x)
  return ((SCRATCH.getUint16(0) >> 4) & 0x7ff) - 1023
}

const SCRATCH = new DataView(new ArrayBuffer(8))

function roundToEven(x: number): number {
  const low = Math.floor(x)
  const rest = x - low
  if (rest === 0.5) return low % 2 === 0 ? low : low + 1
  return rest > 0.5 ? low + 1 : low
}

/** bfloat16 is the upper half of a float32. */
function widenBfloat16(halves: Uint16Array): Float32Array {
  const words = Uint32Array.from(halves, (half) => half << 16)
  return new Float32Array(words.buffer)
}

/** Nearest bfloat16, ties to even: adds what carries into the kept half. */
export function toBfloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0
  SCRATCH.setFloat32(0, value)
  const bits = SCRATCH.getUint32(0)
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff
}

/** The value that a dtype keeps of a number. */
export function roundTo(dtype: Dtype, value: number): number {
  if (dtype === 'float16') return fromHalf(toHalf(value))
  if (dtype !== 'bfloat16') return value
  SCRATCH.setUint32(0, toBfloat16(value) << 16)
  return SCRATCH.getFloat32(0)
}
