/** Validates the numbers of a request and converts them into the arrays that programs read. */
import { pluralize, pointerTo, problemAt } from '../errors.ts'
import type { InputLayout } from '../language/ir.ts'
import { type InputSpec, KIND_OF_SOFT_LABELS, type Kind, type Loss } from '../losses/define.ts'
import { batchAxisOf } from '../losses/program.ts'
import type { NumericArray, Precision } from '../tensor.ts'
import type { Decoded, DecodedTensor, TensorInfo } from '../wire/define.ts'
import type { Axes } from './axes.ts'
import { checkBoxCorners, classIndices, type IsMasked, realNumbers } from './input-kinds.ts'
import { isMaskedBy, type MaskInput, maskInputsOf } from './masked-elements.ts'
import type { RequestOptions } from './options.ts'

/** The validation rule of an input: everything about it that the structure of a request determines. */
export interface InputRule {
  readonly name: string
  readonly isIndex: boolean
  readonly kind: Kind
  /** For indices: how many there are, and the one allowed index outside of that range. */
  readonly places: number | undefined
  readonly ignored: number | undefined
  /** The input with the valid length of each row. */
  readonly paddedTo: string | undefined
  /** The index that must not occur. */
  readonly excepted: number | undefined
  /** A hint about where to send it, or how, if a value is invalid. */
  readonly outside: string
  /** Whether true and false are accepted for 1 and 0. */
  readonly takesTruths: boolean
  /** Whether the corners of boxes must be in order. */
  readonly ordered: boolean
  /**
   * The rows of the first axis in the data: elements per row, and the number of rows; undefined if it does not have
   * this axis.
   */
  readonly rows: { readonly stride: number; readonly count: number } | undefined
  /** The inputs that determine which of its elements do not count. */
  readonly silencers: readonly MaskInput[]
  /** How often a vector is repeated along the other axes; undefined if it is not repeated. */
  readonly spread: { readonly width: number | undefined; readonly elements: number } | undefined
}

/** One rule per input, in the loss's order. */
export function rulesOf(
  { inputs }: Loss,
  tensors: ReadonlyMap<string, TensorInfo>,
  layouts: Readonly<Record<string, InputLayout>>,
  axes: Axes,
  options: RequestOptions,
): InputRule[] {
  return Object.keys(layouts).map((name, place) => {
    const spec = inputs[name]
    const kind = kindOf(spec, options)
    return {
      name,
      isIndex: layouts[name].type === 'index',
      kind,
      places: placesOf(spec, axes),
      ignored: ignoredBy(spec, options),
      paddedTo: spec.paddedTo !== undefined && tensors.has(spec.paddedTo) ? spec.paddedTo : undefined,
      excepted: spec.except === undefined ? undefined : (options.params[spec.except] as number),
      outside: outsideOf(spec, layouts[name], axes),
      takesTruths:
        layouts[name].type === 'real' && (kind === 'binary' || (kind === 'probability' && place > 0)),
      ordered: spec.ordered,
      rows: rowsOf(layouts[name].axes, batchAxisOf({ inputs }), axes),
      silencers: spec.trailing ? [] : maskInputsOf(inputs, layouts, axes, options, name),
      spread: spec.trailing ? { width: axes.rest.at(-1), elements: axes.sizes['...'] } : undefined,
    }
  })
}

/** The parts of a request's plan that reading the inputs needs. */
interface Reading {
  readonly inputs: readonly InputRule[]
  readonly options: RequestOptions
  readonly precision: Precision
}

/** @throws Problem `invalid-value`, `label-out-of-range`, `dtype-unsupported`, `shape-mismatch`, `non-finite-input` */
export function readInputs(reading: Reading, { tensors }: Decoded): Record<string, NumericArray> {
  const data: Record<string, NumericArray> = {}
  for (const rule of reading.inputs) data[rule.name] = readInput(reading, rule, tensors)
  return data
}

function readInput(
  { options, precision }: Reading,
  rule: InputRule,
  tensors: Decoded['tensors'],
): NumericArray {
  const { name, isIndex, kind, places, ignored, excepted, ordered, paddedTo, spread } = rule
  const sent = tensors.get(name)!
  if (!rule.takesTruths) rejectBooleans(name, sent)
  const isSilent = silentIn(rule, tensors)
  if (excepted !== undefined) checkExcepted(rule, excepted, sent, tensors, isSilent)
  const tensor = paddedTo === undefined ? sent : trimmed(sent, tensors.get(paddedTo)!)
  if (options.nonfinite === 'error') checkFinite(name, tensor, isSilent)
  if (isIndex) return classIndices(name, tensor, places, ignored, isSilent, rule.outside)
  if (ordered) checkBoxCorners(name, tensor, isSilent)
  const data = realNumbers(name, tensor, kind, precision, isSilent, rule.outside)
  return spread === undefined ? data : spreadOut(name, spread, data)
}

/** @throws Problem `invalid-value` for JSON's true and false. A tensor with dtype bool contains numbers. */
export function rejectBooleans(name: string, { dtype, typed, shape }: DecodedTensor) {
  if (dtype !== 'bool' || typed) return
  throw problemAt('invalid-value', pointerTo(name, shape, 0), 'must be a number, got a boolean')
}

/** How the rows of the first axis are laid out in an input that has this axis. */
function rowsOf(layout: readonly string[], first: string, axes: Axes): InputRule['rows'] {
  const place = layout.indexOf(first)
  if (place < 0) return undefined
  const sizeOf = (axis: string) => axes.sizes[axis]
  if (first === '...') {
    const count = axes.rest[0] ?? 1
    return { stride: axes.sizes['...'] / count, count }
  }
  return {
    stride: layout.slice(place + 1).reduce((product, axis) => product * sizeOf(axis), 1),
    count: sizeOf(first),
  }
}

/** Which elements are in rows of weight 0 or are switched off by another input; undefined if there are none. */
function silentIn({ rows, silencers }: InputRule, tensors: Decoded['tensors']): IsMasked | undefined {
  const weights = rows === undefined ? undefined : tensors.get('sample_weight')?.data
  if (weights === undefined && silencers.length === 0) return undefined
  const isWeightless = (element: number) => weights?.[Math.floor(element / rows!.stride) % rows!.count] === 0
  return (element) =>
    isWeightless(element) || silencers.some((by) => isMaskedBy(by, tensors.get(by.name)!.data, element))
}

/** @throws Problem `label-out-of-range` for the index that must not occur, within the length of its row */
function checkExcepted(
  { name, paddedTo }: InputRule,
  excepted: number,
  { data, shape }: DecodedTensor,
  tensors: Decoded['tensors'],
  isSilent: IsMasked | undefined,
) {
  const lengths = paddedTo === undefined ? undefined : tensors.get(paddedTo)!.data
  const width = shape.at(-1) ?? 1
  for (let i = 0; i < data.length; i++) {
    const isPadding = lengths !== undefined && i % width >= lengths[Math.floor(i / width)]
    if (data[i] !== excepted || isPadding || isSilent?.(i)) continue
    throw problemAt('label-out-of-range', pointerTo(name, shape, i), `must not be the blank, ${excepted}`)
  }
}

/** Replaces everything after the length of a row by zeros. */
function trimmed(tensor: DecodedTensor, { data: lengths }: DecodedTensor): DecodedTensor {
  const width = tensor.shape.at(-1)!
  const data = tensor.data.slice()
  for (let row = 0; row < lengths.length; row++)
    data.fill(0, row * width + meant(lengths[row], width), (row + 1) * width)
  return { ...tensor, data }
}

/** The valid length of a row, whatever was sent for it: lengths have a validation rule of their own. */
function meant(length: number, width: number): number {
  return length > 0 ? Math.min(length, width) : 0
}

/**
 * With one class, 0 is the only index. A client that sends other indices has a region mask and should send it in
 * another shape.
 */
function outsideOf({ perClass, outside }: InputSpec, { type }: InputLayout, { sizes }: Axes): string {
  const isOnly = perClass && type === 'index' && sizes.classes === 1
  return isOnly ? 'for one class send 0 or 1 in the shape of the predictions' : outside
}

function kindOf(spec: InputSpec, options: RequestOptions): Kind {
  const kind = spec.kindFor(options.params)
  return KIND_OF_SOFT_LABELS[kind] ?? kind
}

/** The number of values that an index can have. Labels that are only compared with each other have no bound. */
function placesOf({ kind, atMost, places }: InputSpec, { sizes }: Axes): number | undefined {
  if (places !== undefined) return places.offset + sizes[places.axis]
  if (atMost !== undefined) return sizes[atMost] + 1
  if (kind === 'count') return MOST_COUNTED
  return Object.hasOwn(sizes, 'classes') ? sizes.classes : undefined
}

const MOST_COUNTED = 2 ** 31

/** The one allowed label outside of the range. */
function ignoredBy({ kind }: InputSpec, { params }: RequestOptions): number | undefined {
  return kind === 'index_list' ? -1 : (params.ignore_index as number | undefined)
}

/**
 * Repeats a vector along the last axis for every element, so that jobs with different vectors can still be batched.
 */
function spreadOut(
  name: string,
  { width, elements }: NonNullable<InputRule['spread']>,
  data: NumericArray,
): NumericArray {
  if (width === undefined || data.length !== width) {
    const wants =
      width === undefined
        ? 'at least one axis in the other inputs'
        : `shape [${width}], the last axis of the others`
    throw problemAt(
      'shape-mismatch',
      `/${name}`,
      `requires ${wants}; got ${pluralize(data.length, 'numbers')}`,
    )
  }
  return data.constructor === Float64Array
    ? Float64Array.from({ length: elements }, (_, i) => data[i % width])
    : Float32Array.from({ length: elements }, (_, i) => data[i % width])
}

/** @throws Problem `non-finite-input` for the first element */
export function checkFinite(name: string, { data, shape }: DecodedTensor, isSilent?: IsMasked) {
  const wrong = data.findIndex((x, i) => !Number.isFinite(x) && !isSilent?.(i))
  if (wrong >= 0) throw problemAt('non-finite-input', pointerTo(name, shape, wrong), `is ${data[wrong]}`)
}
