/**
 * How much room a compiled form has. XLA compiles for one shape; so that not every number of rows is another one, rows are
 * given room for the next size of a short list. What is not filled is left out of every sum, and cut off the results.
 */
import { elementsOf, type Program, valueAxes } from '../../language/ir.ts'

/** Below it a launch costs the same anyway. */
const SMALLEST = 16
/** Beyond it there are four sizes between a power of two and the next, so that at most a quarter is computed for nothing. */
const COARSE = 1024

/**
 * The first axis of the value, if rows do not meet one another along it.
 *
 * @example
 * rowsOf(programOfCrossEntropy) // 'rows'
 */
export function batchAxisOf(program: Program): string | undefined {
  const [first] = valueAxes(program)
  if (first === undefined) return undefined
  const meets = Object.entries(program.renamed).some((pair) => pair.includes(first))
  return meets ? undefined : first
}

/** @example roomFor(1025) // 1280 */
export function bucketSize(count: number): number {
  const power = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(count)))
  if (power <= COARSE) return power
  const step = power / 8
  return Math.ceil(count / step) * step
}

/** How an array lies around one of its axes. */
interface Around {
  /** Runs of the axis, one behind another. */
  readonly outer: number
  /** Elements between neighbours along it. */
  readonly inner: number
}

function around(axes: readonly string[], axis: string, sizes: Readonly<Record<string, number>>): Around {
  const place = axes.indexOf(axis)
  return { outer: elementsOf(axes.slice(0, place), sizes), inner: elementsOf(axes.slice(place + 1), sizes) }
}

/** The numbers along one axis of an array: how many there are, and how many there is room for. */
export interface PaddedDim {
  readonly axis: string
  readonly count: number
  readonly room: number
}

type Bits = Int32Array | Float32Array

/** An array with room behind what it has along an axis, filled with zeros; itself where it needs none. */
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

/** The inverse of `padded`; a view where what is kept lies together. */
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
