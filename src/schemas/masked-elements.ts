/**
 * Masked elements: elements that do not count because another input says so. Either a mask is not 1 there, or a
 * class index is the ignored one. They may contain any value. The structure of a request determines how the inputs
 * correspond; the numbers are read only for an element that is otherwise invalid.
 */
import type { InputLayout } from '../language/ir.ts'
import { strideOf } from '../language/strides.ts'
import type { InputSpec } from '../losses/define.ts'
import type { NumericArray } from '../tensor.ts'
import type { Axes } from './axes.ts'
import type { RequestOptions } from './options.ts'

/** An input that masks elements of another one. */
export interface MaskInput {
  readonly name: string
  /** Whether one of its numbers means that nothing counts there. */
  readonly isSilence: (x: number) => boolean
  /** The shared axes, with the strides of the other input and of this one. */
  readonly shared: readonly { readonly size: number; readonly from: number; readonly to: number }[]
  /** The silencer's own axis: one element of the other input corresponds to all of it. */
  readonly own: { readonly size: number; readonly to: number }
}

type Inputs = Readonly<Record<string, InputSpec>>
type Layouts = Readonly<Record<string, InputLayout>>

/** The silencers of one input. */
export function maskInputsOf(
  inputs: Inputs,
  layouts: Layouts,
  axes: Axes,
  options: RequestOptions,
  name: string,
): MaskInput[] {
  return Object.keys(layouts).flatMap((other) => {
    const isSilence = other === name ? undefined : silenceIn(inputs[other], layouts[other], options)
    const places = along(layouts[name].axes, layouts[other].axes, axes)
    return isSilence === undefined || places === undefined ? [] : [{ name: other, isSilence, ...places }]
  })
}

/** The test for masking numbers of an input; undefined if it masks nothing. */
function silenceIn(
  { masks }: InputSpec,
  { type }: InputLayout,
  { params: { ignore_index: ignored } }: RequestOptions,
) {
  if (masks) return (x: number) => x !== 1
  return type === 'index' && typeof ignored === 'number' ? (x: number) => x === ignored : undefined
}

/**
 * How the elements of one input correspond to those of another one; undefined if the other one has an axis, except
 * classes, that the first does not have.
 */
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
 * Whether an element is masked: every corresponding number of the silencer must mask it.
 *
 * @param data the silencer's numbers
 */
export function isMaskedBy(
  { shared, own, isSilence }: MaskInput,
  data: NumericArray,
  element: number,
): boolean {
  let place = 0
  for (const { size, from, to } of shared) place += (Math.floor(element / from) % size) * to
  for (let i = 0; i < own.size; i++) if (!isSilence(data[place + i * own.to])) return false
  return true
}
