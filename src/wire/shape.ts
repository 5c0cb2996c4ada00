/** Validates a shape that was given as JSON, in any format. It knows no data; the formats compare sizes. */
import { type Problem, type ProblemCode, pluralize } from '../errors.ts'
import { sizeOf } from '../tensor.ts'
import { type DecodeLimits, MAX_RANK } from './define.ts'
import type { Json } from './json/reader.ts'

/**
 * A shape is a list of integers. Their product is compared with the limit without overflow.
 *
 * @param blame creates the problem, so that each format names the place in its own way
 * @throws Problem `shape-mismatch` (not a shape, more than 8 axes), `shape-overflow` (more elements than the limit)
 * @example
 * checkShape([2, 3], limits, (code, detail) => problemAt(code, '/x/shape', detail)) // [2, 3]
 */
export function checkShape(
  shape: Json | undefined,
  { maxElements }: DecodeLimits,
  blame: (code: ProblemCode, detail: string) => Problem,
): readonly number[] {
  if (!isShape(shape)) throw blame('shape-mismatch', 'must be a list of integers >= 0')
  if (shape.length > MAX_RANK) throw blame('shape-mismatch', `has more than ${MAX_RANK} axes`)
  const elements = sizeOf(shape)
  if (elements > maxElements) {
    throw blame('shape-overflow', `has ${pluralize(elements, 'elements')}, the limit is ${maxElements}`)
  }
  return shape
}

/** Whether the value is a list of axis lengths at all. */
export function isShape(shape: Json | undefined): shape is number[] {
  return Array.isArray(shape) && shape.every(isLength)
}

function isLength(size: Json): size is number {
  return Number.isSafeInteger(size) && (size as number) >= 0 && !Object.is(size, -0)
}
