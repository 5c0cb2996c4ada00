/** What is finite in the dtype in which it leaves: 1e5 is, until a float16 takes it. */
import type { Dtype, NumericArray } from '../tensor.ts'

/** The smallest magnitude that rounds to infinity: half a step beyond the largest number. */
const OVERFLOW: Readonly<Partial<Record<Dtype, number>>> = {
  float16: 65520,
  bfloat16: (2 - 2 ** -8) * 2 ** 127,
  float32: (2 - 2 ** -24) * 2 ** 127,
}

/**
 * The first element that is not finite in a dtype; -1 where all are.
 *
 * @example
 * firstNonFinite(Float32Array.of(1, 1e5), 'float16') // 1
 */
export function firstNonFinite(data: NumericArray, dtype: Dtype): number {
  const limit = OVERFLOW[dtype] ?? Number.POSITIVE_INFINITY
  for (let i = 0; i < data.length; i++) if (!(Math.abs(data[i]) < limit)) return i
  return -1
}

/** Whether numbers that are finite as they are stay so in a dtype; those that it holds anyway are not looked at. */
export function staysFinite(data: NumericArray, dtype: Dtype): boolean {
  const isHeld = dtype === 'float64' || (dtype === 'float32' && data instanceof Float32Array)
  return isHeld || firstNonFinite(data, dtype) < 0
}
