/** The names of the dtypes in safetensors. */
import type { Dtype } from '../../tensor.ts'

export const DTYPE_OF_CODE: ReadonlyMap<string, Dtype> = new Map([
  ['F32', 'float32'],
  ['F64', 'float64'],
  ['F16', 'float16'],
  ['BF16', 'bfloat16'],
  ['I64', 'int64'],
  ['I32', 'int32'],
  ['U8', 'uint8'],
  ['BOOL', 'bool'],
])
export const SAFETENSORS_CODE: ReadonlyMap<Dtype, string> = new Map(
  [...DTYPE_OF_CODE].map(([name, dtype]) => [dtype, name]),
)
