/** The inputs of a request: which are there, in which precision, and as the arrays that programs read. */
import type { Precision } from '../engines/define.ts'
import { pointerTo, problemAt } from '../errors.ts'
import type { InputLayout } from '../language/ir.ts'
import type { InputSpec, Loss } from '../losses/define.ts'
import type { Decoded, DecodedTensor } from '../wire/define.ts'
import type { Axes } from './axes.ts'
import { classIndices, realNumbers } from './kinds.ts'
import type { Options } from './params.ts'
import type { NumericArray } from './tensor.ts'
import type { Arrays } from './understood.ts'

/** @throws Problem `missing-input` */
export function presentInputs(loss: Loss, { tensors }: Decoded): Map<string, DecodedTensor> {
  const present = new Map<string, DecodedTensor>()
  for (const [name, spec] of Object.entries(loss.inputs)) {
    const tensor = tensors.get(name)
    if (tensor !== undefined) present.set(name, tensor)
    else if (!spec.optional) throw problemAt('missing-input', `/${name}`, `${loss.name} needs it`)
  }
  return present
}

/** float64 is computed in float64, everything else in float32. */
export function precisionOf(tensors: ReadonlyMap<string, DecodedTensor>): Precision {
  return [...tensors.values()].some((tensor) => tensor.dtype === 'float64') ? 'float64' : 'float32'
}

/** @throws Problem `invalid-value`, `label-out-of-range`, `dtype-unsupported`, `shape-mismatch`, `non-finite-input` */
export function readInputs(
  loss: Loss,
  tensors: ReadonlyMap<string, DecodedTensor>,
  axes: Axes,
  options: Options,
  precision: Precision,
): Arrays {
  const data: Record<string, NumericArray> = {}
  const layouts: Record<string, InputLayout> = {}
  for (const [name, tensor] of tensors) {
    const spec = loss.inputs[name]
    const layout = axes.layouts.get(name) ?? ['...']
    const isIndex = holdsIndices(spec, layout)
    if (options.nonfinite === 'error') checkFinite(name, tensor)
    layouts[name] = { type: isIndex ? 'index' : 'real', axes: layout }
    data[name] = isIndex
      ? classIndices(name, tensor, classesOf(axes), options.params.ignore_index as number | undefined)
      : spread(name, spec, axes, realNumbers(name, tensor, kindOf(spec, options), precision))
  }
  return { data, layouts }
}

function holdsIndices(spec: InputSpec, layout: readonly string[]): boolean {
  if (spec.kind === 'class_or_probability') return !layout.includes('classes')
  return spec.kind === 'class' || spec.kind === 'count'
}

function kindOf(spec: InputSpec, options: Options) {
  const kind = spec.kindFor(options.params)
  return kind === 'class_or_probability' ? 'probability' : kind
}

function classesOf(axes: Axes): number | undefined {
  return Object.hasOwn(axes.sizes, 'classes') ? axes.sizes.classes : undefined
}

/** One vector along the last axis becomes one number an element, so that jobs with different vectors still merge. */
function spread(name: string, spec: InputSpec, axes: Axes, data: NumericArray): NumericArray {
  if (!spec.trailing) return data
  const width = axes.rest.at(-1)
  if (width === undefined || data.length !== width) {
    const wants =
      width === undefined ? 'at least one axis in the other inputs' : `shape [${width}], like their last axis`
    throw problemAt('shape-mismatch', `/${name}`, `needs ${wants}; got ${data.length} numbers`)
  }
  return data.constructor === Float64Array
    ? Float64Array.from({ length: axes.sizes['...'] }, (_, i) => data[i % width])
    : Float32Array.from({ length: axes.sizes['...'] }, (_, i) => data[i % width])
}

/** @throws Problem `non-finite-input` naming the first element */
export function checkFinite(name: string, { data, shape }: DecodedTensor) {
  const wrong = data.findIndex((x) => !Number.isFinite(x))
  if (wrong >= 0) throw problemAt('non-finite-input', pointerTo(name, shape, wrong), `is ${data[wrong]}`)
}
