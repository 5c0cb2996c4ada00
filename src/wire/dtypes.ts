/**
 * Dtype conversion: bytes <-> typed arrays for every dtype on the wire, little-endian. It knows nothing about
 * formats or names.
 */
import { problemAt } from '../errors.ts'
import type { Dtype, NumericArray } from '../tensor.ts'
import { BYTES_PER_ELEMENT } from './define.ts'
import { fromHalf, roundToHalf, toBfloat16, toHalf, widenBfloat16, widenHalves } from './half-precision.ts'

export { fromHalf, toBfloat16, toHalf }

/**
 * Reads `count` elements: zero-copy as a view if the memory is aligned and needs no conversion, otherwise a copy.
 * Half precision is widened exactly; int64 is narrowed to int32.
 *
 * @param pointer JSON pointer to the tensor, for the problem
 * @throws Problem `invalid-value` for an int64 outside int32, or a bool that is neither 0 nor 1
 * @example
 * readElements('float32', bytes, 10, '/predictions').length // 10
 */
export function readElements(dtype: Dtype, bytes: Uint8Array, count: number, pointer = ''): NumericArray {
  return READERS[dtype](aligned(bytes, BYTES_PER_ELEMENT[dtype]), count, pointer)
}

/**
 * Writes elements in a dtype. If it is narrower, values are rounded to nearest even, and too large values become
 * infinity.
 *
 * @example
 * writeElements('bfloat16', Float32Array.of(1), target) // 80 3f
 */
export function writeElements(dtype: Dtype, data: NumericArray, target: Uint8Array): void {
  const bytes = asBytes(dtype, data)
  if (bytes !== undefined) {
    target.set(bytes)
    return
  }
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength)
  const [write, size] = [WRITERS[dtype], BYTES_PER_ELEMENT[dtype]]
  for (let i = 0; i < data.length; i++) write(view, i * size, data[i])
}

/** A view of the elements if their memory is already their wire form, otherwise undefined. */
export function asBytes(dtype: Dtype, data: NumericArray): Uint8Array | undefined {
  const whole = WHOLE[dtype]
  if (whole === undefined || !(data instanceof whole)) return undefined
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/**
 * The value that a dtype stores for a number.
 *
 * @example
 * roundTo('bfloat16', 0.1) // 0.10009765625
 */
export function roundTo(dtype: Dtype, value: number): number {
  if (dtype === 'float32') return Math.fround(value)
  if (dtype === 'float16') return roundToHalf(value)
  if (dtype !== 'bfloat16') return value
  SCRATCH.setUint32(0, toBfloat16(value) << 16)
  return SCRATCH.getFloat32(0)
}

const SCRATCH = new DataView(new ArrayBuffer(4))

/** Typed arrays must start at a multiple of their element size. (`slice` of a Buffer would not copy.) */
function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
}

type Reader = (bytes: Uint8Array, count: number, pointer: string) => NumericArray

const READERS: Readonly<Record<Dtype, Reader>> = {
  float32: ({ buffer, byteOffset }, count) => new Float32Array(buffer, byteOffset, count),
  float64: ({ buffer, byteOffset }, count) => new Float64Array(buffer, byteOffset, count),
  int32: ({ buffer, byteOffset }, count) => new Int32Array(buffer, byteOffset, count),
  float16: ({ buffer, byteOffset }, count) => widenHalves(new Uint16Array(buffer, byteOffset, count)),
  bfloat16: ({ buffer, byteOffset }, count) => widenBfloat16(new Uint16Array(buffer, byteOffset, count)),
  uint8: (bytes, count) => new Int32Array(bytes.subarray(0, count)),
  bool: (bytes, count, pointer) => asTruths(bytes.subarray(0, count), pointer),
  int64: ({ buffer, byteOffset }, count, pointer) =>
    narrowInt64(new Int32Array(buffer, byteOffset, count * 2), pointer),
}

/** Dtypes whose memory is already their wire form. */
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

function asTruths(bytes: Uint8Array, pointer: string): Int32Array {
  const wrong = bytes.findIndex((byte) => byte > 1)
  if (wrong < 0) return new Int32Array(bytes)
  throw problemAt(
    'invalid-value',
    pointer,
    `element ${wrong} is the byte ${bytes[wrong]}; a bool must be 0 or 1`,
  )
}

function tooWide(halves: Int32Array, i: number, pointer: string) {
  const value = BigInt.asIntN(
    64,
    (BigInt(halves[2 * i + 1]) << 32n) | BigInt.asUintN(32, BigInt(halves[2 * i])),
  )
  const detail = `element ${i} must be an integer from ${-(2 ** 31)} to ${2 ** 31 - 1}, got ${value}`
  return problemAt('invalid-value', pointer, detail)
}

/** An int64 fits into int32 if its upper half only repeats the sign of the lower half. */
function narrowInt64(halves: Int32Array, pointer: string): Int32Array {
  const narrow = new Int32Array(halves.length / 2)
  for (let i = 0; i < narrow.length; i++) {
    const low = halves[2 * i]
    if (halves[2 * i + 1] !== low >> 31) throw tooWide(halves, i, pointer)
    narrow[i] = low
  }
  return narrow
}
