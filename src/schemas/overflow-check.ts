/** Overflow checks for the output dtype: 1e5 is finite, but overflows in float16. */
import type { Dtype, NumericArray } from '../tensor.ts'

/** The smallest magnitude that rounds to infinity: half a step above the largest number. */
const OVERFLOW: Readonly<Partial<Record<Dtype, number>>> = {
  float16: 65520,
  bfloat16: (2 - 2 ** -8) * 2 ** 127,
  float32: (2 - 2 ** -24) * 2 ** 127,
}

/**
 * The first element that is not finite in a dtype; -1 if all are.
 *
 * @example
 * firstNonFinite(Float32Array.of(1, 1e5), 'float16') // 1
 */
export function firstNonFinite(data: NumericArray, dtype: Dtype): number {
  const limit = OVERFLOW[dtype] ?? Number.POSITIVE_INFINITY
  for (let i = 0; i < data.length; i++) if (!(Math.abs(data[i]) < limit)) return i
  return -1
}

/** Whether finite numbers stay finite in a dtype. If the dtype holds them anyway, they are not checked. */
export function staysFinite(data: NumericArray, dtype: Dtype): boolean {
  const isHeld = dtype === 'float64' || (dtype === 'float32' && data instanceof Float32Array)
  return isHeld || firstNonFinite(data, dtype) < 0
}
