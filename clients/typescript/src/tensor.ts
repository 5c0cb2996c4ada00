/** Tensors: a flat typed array in C order, with its shape. */
import { problemAt } from './errors.ts'

/** The dtypes that JavaScript has arrays for. */
export type Dtype = 'float32' | 'float64' | 'int32' | 'uint8' | 'int64'
export type NumericArray = Float32Array | Float64Array | Int32Array | Uint8Array | BigInt64Array
export type FloatArray = Float32Array | Float64Array

export interface Tensor {
  readonly shape: readonly number[]
  readonly data: NumericArray
}

/** Nested arrays of numbers. They become float32. */
export type Nested = number | readonly Nested[]

/** What inputs may be: a tensor, a typed array with one axis, or nested arrays. */
export type TensorLike = Tensor | NumericArray | Nested

/** Inputs by name, with `sample_weight` and `grad_output` among them. */
export type Tensors = Readonly<Record<string, TensorLike>>

/**
 * A tensor.
 *
 * @example
 * tensor(Float32Array.of(1, 2, 3, 4), [2, 2])
 */
export function tensor(data: NumericArray, shape: readonly number[] = [data.length]): Tensor {
  const count = shape.reduce((product, size) => product * size, 1)
  if (count !== data.length) throw new RangeError(`${data.length} numbers cannot have the shape [${shape}]`)
  return { shape, data }
}

export function dtypeOf(data: NumericArray): Dtype {
  if (data instanceof Float32Array) return 'float32'
  if (data instanceof Float64Array) return 'float64'
  if (data instanceof Int32Array) return 'int32'
  return data instanceof Uint8Array ? 'uint8' : 'int64'
}

export function asTensor(name: string, value: TensorLike): Tensor {
  if (ArrayBuffer.isView(value)) return tensor(value as NumericArray)
  if (typeof value === 'object' && 'data' in value) return value as Tensor
  const shape: number[] = []
  for (let part: unknown = value; Array.isArray(part); part = part[0]) shape.push(part.length)
  const numbers = [value].flat(8 as 1) as unknown as number[]
  const count = shape.reduce((product, size) => product * size, 1)
  if (count !== numbers.length) throw problemAt('shape-mismatch', `/${name}`, 'has rows of different lengths')
  return { shape, data: Float32Array.from(numbers) }
}
