/**
 * Shape bucketing and padding: XLA compiles for one shape. So that not every number of rows needs another
 * executable, rows are padded to the next size of a short list. The padding is left out of every sum, and removed
 * from the results.
 */
import { elementsOf, type Program, valueAxes } from '../../language/ir.ts'

/** Below this, a launch costs the same anyway. */
const SMALLEST = 16
/**
 * Above this, there are four sizes between consecutive powers of two, so that at most a quarter of the work is
 * wasted.
 */
const COARSE = 1024

/**
 * The first axis of the value, if rows do not interact along it.
 *
 * @example
 * batchAxisOf(programOfCrossEntropy) // 'rows'
 */
export function batchAxisOf(program: Program): string | undefined {
  const [first] = valueAxes(program)
  if (first === undefined) return undefined
  const meets = Object.entries(program.renamed).some((pair) => pair.includes(first))
  return meets ? undefined : first
}

/** @example bucketSize(1025) // 1280 */
export function bucketSize(count: number): number {
  const power = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(count)))
  if (power <= COARSE) return power
  const step = power / 8
  return Math.ceil(count / step) * step
}

/** The memory layout of an array around one of its axes. */
interface Around {
  /** The number of runs of the axis, one after another. */
  readonly outer: number
  /** The stride: elements between neighbors along the axis. */
  readonly inner: number
}

function around(axes: readonly string[], axis: string, sizes: Readonly<Record<string, number>>): Around {
  const place = axes.indexOf(axis)
  return { outer: elementsOf(axes.slice(0, place), sizes), inner: elementsOf(axes.slice(place + 1), sizes) }
}

/** One axis of an array: its length, and its padded length. */
export interface PaddedDim {
  readonly axis: string
  readonly count: number
  readonly room: number
}

type Bits = Int32Array | Float32Array

/** The array padded with zeros along an axis; the array itself if it needs no padding. */
export function padded<T extends Bits>(
  data: T,
  axes: readonly string[],
  sizes: Readonly<Record<string, number>>,
  { axis, count, room }: PaddedDim,
): T {
  if (count === room || !axes.includes(axis)) return data
  const { outer, inner } = around(axes, axis, sizes)
  const [from, to] = [count * inner, room * inner]
  const wide = new (data.constructor as new (length: number) => T)(outer * to)
  for (let run = 0; run < outer; run++) wide.set(data.subarray(run * from, (run + 1) * from), run * to)
  return wide
}

/** The inverse of `padded`; a view if the remaining elements are contiguous. */
export function unpad(
  data: Float32Array,
  axes: readonly string[],
  sizes: Readonly<Record<string, number>>,
  { axis, count, room }: PaddedDim,
): Float32Array {
  if (count === room || !axes.includes(axis)) return data
  const { outer, inner } = around(axes, axis, sizes)
  const [from, to] = [room * inner, count * inner]
  if (outer === 1) return data.subarray(0, to)
  const dense = new Float32Array(outer * to)
  for (let run = 0; run < outer; run++) dense.set(data.subarray(run * from, run * from + to), run * to)
  return dense
}
