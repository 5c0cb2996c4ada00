/**
 * Elements that count nothing, because another input says so: a mask that is not 1 there, or a class index that is to be
 * ignored. Whatever they hold is welcome. What stands where is decided by the structure of a request; numbers are looked at
 * only for an element that does not fit.
 */
import type { InputLayout } from '../language/ir.ts'
import { strideOf } from '../language/strides.ts'
import type { InputSpec } from '../losses/define.ts'
import type { NumericArray } from '../tensor.ts'
import type { Axes } from './axes.ts'
import type { Options } from './params.ts'

/** An input that silences elements of another one. */
export interface Silencer {
  readonly name: string
  /** Whether one of its numbers says that nothing counts there. */
  readonly isSilence: (x: number) => boolean
  /** The axes of both: distances of neighbours in the other input and in this one. */
  readonly shared: readonly { readonly size: number; readonly from: number; readonly to: number }[]
  /** Its own axis, all of whose places an element of the other one stands for. */
  readonly own: { readonly size: number; readonly to: number }
}

type Inputs = Readonly<Record<string, InputSpec>>
type Layouts = Readonly<Record<string, InputLayout>>

/** Those of one input. */
export function silencersOf(
  inputs: Inputs,
  layouts: Layouts,
  axes: Axes,
  options: Options,
  name: string,
): Silencer[] {
  return Object.keys(layouts).flatMap((other) => {
    const isSilence = other === name ? undefined : silenceIn(inputs[other], layouts[other], options)
    const places = along(layouts[name].axes, layouts[other].axes, axes)
    return isSilence === undefined || places === undefined ? [] : [{ name: other, isSilence, ...places }]
  })
}

/** What silences in an input; undefined for one that silences nothing. */
function silenceIn(
  { masks }: InputSpec,
  { type }: InputLayout,
  { params: { ignore_index: ignored } }: Options,
) {
  if (masks) return (x: number) => x !== 1
  return type === 'index' && typeof ignored === 'number' ? (x: number) => x === ignored : undefined
}

/** How the elements of one input lie in another one; undefined where that has axes, but classes, that the first has not. */
function along(layout: readonly string[], other: readonly string[], { sizes }: Axes) {
  const missing = other.filter((axis) => !layout.includes(axis))
  if (missing.some((axis) => axis !== 'classes')) return undefined
  const shared = other
    .filter((axis) => layout.includes(axis))
    .map((axis) => ({
      size: sizes[axis],
      from: strideOf(sizes, layout, axis),
      to: strideOf(sizes, other, axis),
    }))
  const [axis] = missing
  const own =
    axis === undefined ? { size: 1, to: 0 } : { size: sizes[axis], to: strideOf(sizes, other, axis) }
  return { shared, own }
}

/**
 * Whether an element counts nothing: every number of the silencer that stands there says so.
 *
 * @param data the silencer's numbers
 */
export function isSilencedBy(
  { shared, own, isSilence }: Silencer,
  data: NumericArray,
  element: number,
): boolean {
  let place = 0
  for (const { size, from, to } of shared) place += (Math.floor(element / from) % size) * to
  for (let i = 0; i < own.size; i++) if (!isSilence(data[place + i * own.to])) return false
  return true
}
