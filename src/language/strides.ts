/** Strided indexing: the position of elements in arrays with named axes, slowest axis first. */
import { elementsOf } from './ir.ts'

/** An array and its axes, slowest first. */
export interface Operand {
  readonly data: ArrayLike<number>
  readonly axes: readonly string[]
}

/** Axis -> its length. */
export type Sizes = Readonly<Record<string, number>>

/** The stride: the distance between neighboring elements along an axis; 0 if the array does not have the axis. */
export function strideOf(sizes: Sizes, axes: readonly string[], axis: string): number {
  const place = axes.indexOf(axis)
  return place < 0 ? 0 : elementsOf(axes.slice(place + 1), sizes)
}

/**
 * For each element along `to`, its position in an array with axes `from`. Axes that are only in `from` stay at
 * index 0.
 *
 * @example
 * offsetsOf({ rows: 2, classes: 2 }, ['rows', 'classes'], ['rows']) // [0, 0, 1, 1]
 */
export function offsetsOf(sizes: Sizes, to: readonly string[], from: readonly string[]): Int32Array {
  let offsets = Int32Array.of(0)
  for (const axis of to) {
    const [length, stride] = [sizes[axis], strideOf(sizes, from, axis)]
    const wider = new Int32Array(offsets.length * length)
    offsets.forEach((offset, i) => {
      for (let k = 0; k < length; k++) wider[i * length + k] = offset + k * stride
    })
    offsets = wider
  }
  return offsets
}

/** Reads an operand at each element of an array with axes `to`, broadcasting along the axes that it does not have. */
export function broadcastTo(
  sizes: Sizes,
  { data, axes }: Operand,
  to: readonly string[],
): (element: number) => number {
  if (axes.length === 0) return () => data[0]
  if (axes.length === to.length) return (element) => data[element]
  const offsets = offsetsOf(sizes, to, axes)
  return (element) => data[offsets[element]]
}
