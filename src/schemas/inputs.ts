/** The numbers of a request, held to what its losses' inputs mean, as the arrays that programs read. */
import { pointerTo, problemAt } from '../errors.ts'
import type { InputSpec } from '../losses/define.ts'
import type { Decoded, DecodedTensor } from '../wire/define.ts'
import type { Axes } from './axes.ts'
import { classIndices, realNumbers } from './kinds.ts'
import type { Outline } from './outline.ts'
import type { Options } from './params.ts'
import type { NumericArray } from './tensor.ts'

/** @throws Problem `invalid-value`, `label-out-of-range`, `dtype-unsupported`, `shape-mismatch`, `non-finite-input` */
export function readInputs(outline: Outline, { tensors }: Decoded): Record<string, NumericArray> {
  const data: Record<string, NumericArray> = {}
  for (const name in outline.layouts) data[name] = readInput(outline, name, trimmed(outline, name, tensors))
  return data
}

/** Zeros stand for what lies behind a row's length. */
function trimmed(
  { loss, tensors: known }: Outline,
  name: string,
  tensors: Decoded['tensors'],
): DecodedTensor {
  const tensor = tensors.get(name)!
  const { paddedTo } = loss.inputs[name]
  if (paddedTo === undefined || !known.has(paddedTo)) return tensor
  const [lengths, width] = [tensors.get(paddedTo)!.data, tensor.shape.at(-1)!]
  const data = tensor.data.slice()
  for (let row = 0; row < lengths.length; row++)
    data.fill(0, row * width + Math.max(0, lengths[row]), (row + 1) * width)
  return { ...tensor, data }
}

function readInput(outline: Outline, name: string, tensor: DecodedTensor): NumericArray {
  const { loss, layouts, axes, options, precision } = outline
  if (options.nonfinite === 'error') checkFinite(name, tensor)
  const spec = loss.inputs[name]
  if (layouts[name].type === 'index') {
    return classIndices(name, tensor, placesOf(spec, axes), ignoredBy(spec, options))
  }
  return spread(name, spec, axes, realNumbers(name, tensor, kindOf(spec, options), precision))
}

function kindOf(spec: InputSpec, options: Options) {
  const kind = spec.kindFor(options.params)
  return kind === 'class_or_probability' ? 'probability' : kind
}

/** How many values an index may have; labels that only have to be equal or different have no bound. */
function placesOf({ kind, atMost, places }: InputSpec, { sizes }: Axes): number | undefined {
  if (places !== undefined) return places.offset + sizes[places.axis]
  if (atMost !== undefined) return sizes[atMost] + 1
  if (kind === 'count') return MOST_COUNTED
  return Object.hasOwn(sizes, 'classes') ? sizes.classes : undefined
}

const MOST_COUNTED = 2 ** 31

/** The one label outside of the range that is allowed. */
function ignoredBy({ kind }: InputSpec, { params }: Options): number | undefined {
  return kind === 'index_list' ? -1 : (params.ignore_index as number | undefined)
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
