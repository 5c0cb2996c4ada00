/**
 * The tensor that is passed between all layers: a dtype, a shape and one flat typed array in C order. It is not a
 * tfjs tensor: device memory is managed by the engines alone.
 */
/** The dtypes on the wire, named as in NumPy and PyTorch. */
export const DTYPES = [
  'float32',
  'float64',
  'float16',
  'bfloat16',
  'int64',
  'int32',
  'uint8',
  'bool',
] as const

/** Element type of a tensor on the wire. */
export type Dtype = (typeof DTYPES)[number]

/** The precision in which a program is computed: float64 if an input is float64, otherwise float32. */
export type Precision = 'float32' | 'float64'

/** The array types in memory: half precision is widened to float32 and int64 narrowed to int32 when it is read. */
export type NumericArray = Float32Array | Float64Array | Int32Array

/**
 * A dense array in C order.
 *
 * @example
 * const t: Tensor = { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }
 */
export interface Tensor {
  /** The dtype in the request. Gradients are returned in it. */
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** float64 -> Float64Array; other floats -> Float32Array; integers and bool -> Int32Array. */
  readonly data: NumericArray
}

/** Whether the dtype holds integers (or booleans). */
export function isInteger(dtype: Dtype): boolean {
  return dtype === 'int64' || dtype === 'int32' || dtype === 'uint8' || dtype === 'bool'
}

/**
 * A number as it was written: a float32 in its shortest form, 1.2 instead of 1.2000000476837158.
 *
 * @example
 * formatElement(Float32Array.of(1.2), 0) // '1.2'
 */
export function formatElement(data: NumericArray, element: number): string {
  return String(data instanceof Float32Array ? shortest(data[element]) : data[element])
}

/** A float32 in its shortest form: 0.1, not 0.10000000149011612. */
export function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits))
    if (Math.fround(candidate) === value) return candidate
  }
  return Number(value.toPrecision(9))
}

/**
 * Number of elements of a shape. It is exact up to 2^53; larger results may be rounded or `Infinity`, which is safe
 * because the caller compares it with a limit.
 */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}
