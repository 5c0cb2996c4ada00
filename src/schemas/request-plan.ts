/**
 * The plan of a request, cached by its structure: everything that names, dtypes, shapes and options determine,
 * without looking at the numbers. A training loop sends the same structure at every step, so its plan is made once,
 * and later only the numbers are validated.
 */

import { Problem, pluralize, problemAt } from '../errors.ts'
import { isIndependentAlong } from '../language/coupling.ts'
import { NoHessian } from '../language/hessian.ts'
import {
  costOf,
  elementsOf,
  type InputLayout,
  type Program,
  valueAxes as valueAxesOf,
} from '../language/ir.ts'
import {
  type BatchDependence,
  expandLoss,
  type Loss,
  type Params,
  type ResolvedLoss,
} from '../losses/define.ts'
import {
  batchAxisOf,
  batchDependenceOf,
  declaredSizes,
  holdsIndices,
  type LossProgram,
  type ProgramSignature,
  type ProgramSource,
} from '../losses/program.ts'
import { cotangentOf, dividesByDenominator, type ReductionSpec } from '../losses/reduction.ts'
import { programForSizes } from '../losses/sized-program.ts'
import { LruCache } from '../lru.ts'
import type { Precision } from '../tensor.ts'
import type { Decoded, TensorInfo } from '../wire/define.ts'
import { type Axes, matchAxes } from './axes.ts'
import { formulaProblem } from './definition.ts'
import { type Explanation, explanationOf, inferredKind } from './explain-request.ts'
import { wantedGradients, wantedHessians } from './gradients.ts'
import { type InputRule, rulesOf } from './inputs.ts'
import { checkConditionalParams, checkOptions, type RequestOptions } from './options.ts'
import { OPTION_NAMES } from './request.ts'
import { checkNames, checkParamNames } from './unknown-names.ts'

export interface RequestPlan {
  readonly loss: Loss
  readonly options: RequestOptions
  /** The inputs in the request, in the loss's order. */
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly axes: Axes
  readonly layouts: Readonly<Record<string, InputLayout>>
  /** The validation rule of each input. */
  readonly inputs: readonly InputRule[]
  /** Whether the program reads all of the inputs. */
  readonly readsAll: boolean
  readonly precision: Precision
  /** The inputs that are differentiated. */
  readonly wants: readonly string[]
  /** Those of them that are differentiated twice. */
  readonly hessians: readonly string[]
  readonly program: LossProgram
  /** What it was made of: programsBySize makes those for other sizes. */
  readonly signature: ProgramSignature
  readonly programs: ProgramSource
  /** The slowest axis: jobs are concatenated along it, and sample weights apply to it. */
  readonly first: string
  /** Axes of the unreduced loss. */
  readonly valueAxes: readonly string[]
  /** Shape of the unreduced loss. */
  readonly valueShape: readonly number[]
  /** How a request without weights of its own is reduced, and its cotangent. */
  readonly reductionSpec: ReductionSpec
  readonly cotangent: Float32Array | Float64Array
  /** How far the loss of a row depends on other rows. */
  readonly couples: BatchDependence
  /** The axis along which jobs may be concatenated; undefined if its elements depend on each other. */
  readonly batchAxis: string | undefined
  readonly batchKey: BatchKey | undefined
  readonly answer: AnswerPlan
  /** Only if the request asks for it. */
  readonly explanation: Explanation | undefined
}

/** The tensors of the response, without their numbers. */
export interface AnswerPlan {
  readonly loss: AnswerInfo
  readonly gradients: Readonly<Record<string, AnswerInfo>>
}

/** A tensor of the response without its numbers. */
export type AnswerInfo = Omit<TensorInfo, 'typed'>

/** What requests of this structure need to have in common to share a launch. */
export interface BatchKey {
  /** The part of the key that the structure determines. */
  readonly key: string
  /** Inputs that all rows share: their content is part of the key, too. */
  readonly shared: readonly string[]
}

export interface CheckLimits {
  /** Maximum number of elements of an intermediate result, which pairwise losses of many rows reach first. */
  readonly maxIntermediate: number
  /** Maximum number of element operations of one request. */
  readonly maxCost: number
}

/**
 * The plan of a request.
 *
 * @throws Problem with the code, the JSON pointer and what would have been right
 */
export type RequestPlanSource = (resolved: ResolvedLoss, decoded: Decoded) => RequestPlan

/** Limits of the cache: plans, and nodes of their programs. */
const CACHED = { entries: 1024, weight: 24_576 } as const

/** The key of a plan. The cache keeps neither the structure nor the loss of a request. */
type Slot = Readonly<Record<never, never>>

/** A source of plans. A plan is cached while its format caches the structure, if there are not too many. */
export function createRequestPlanSource(programs: ProgramSource, limits: CheckLimits): RequestPlanSource {
  const slots = new WeakMap<object, WeakMap<ResolvedLoss, Slot>>()
  const kept = new LruCache<Slot, RequestPlan>(CACHED)
  return (resolved, decoded) => {
    const { structure } = decoded
    const slot = structure && slots.get(structure)?.get(resolved)
    const known = slot && kept.get(slot)
    if (known !== undefined) return known
    const made = makePlan(resolved, decoded, programs, limits)
    if (structure === undefined) return made
    const fresh = {}
    slots.set(structure, (slots.get(structure) ?? new WeakMap()).set(resolved, fresh))
    return kept.set(fresh, made, made.program.program.nodes.length)
  }
}

function makePlan(
  resolved: ResolvedLoss,
  decoded: Decoded,
  programs: ProgramSource,
  limits: CheckLimits,
): RequestPlan {
  if (resolved.loss.expand === undefined) checkNames(resolved.loss, decoded)
  else checkParamNames(resolved.loss, decoded)
  const options = checkOptions(resolved, decoded.options)
  const loss = expanded(resolved.loss, options.params)
  if (loss !== resolved.loss) checkNames(loss, decoded)
  checkAreNumbers(decoded)
  const tensors = presentInputs(loss, decoded)
  const axes = matchAxes(loss, tensors, options)
  checkPlaces(loss, options, axes)
  const layouts = layoutsOf(loss, tensors, axes)
  const read = (name: string) => inferredKind(loss.inputs[name].kindFor(options.params), layouts[name].type)
  checkConditionalParams(loss, options, (decoded.options.get('params') ?? {}) as object, read)
  const precision = precisionOf(tensors)
  const wants = wantedGradients(loss, tensors, layouts, options)
  const first = batchAxisOf(loss)
  const structure = { inputs: layouts, params: options.params, wants, hessians: [] }
  const make = (wanted: ProgramSignature) =>
    orProblem(loss, () => programForSizes(programs, loss, wanted, axes.sizes))
  const once = make(structure)
  const couples = batchDependenceOf(once.program, loss, first)
  const hessians = wantedHessians(loss, couples, wants, first, options)
  const all = { ...structure, hessians }
  const program = hessians.length === 0 ? once : make(all)
  checkScalars(program, precision)
  checkCost(loss, program, axes, limits)
  const reductionSpec = plainReductionSpec(program, axes, options, precision, first)
  checkNotHollow(loss, tensors, axes, first)
  checkSquare(program.program, tensors, axes)
  const sketch = {
    loss,
    options,
    tensors,
    axes,
    layouts,
    precision,
    wants,
    couples,
    hessians,
    program,
    first,
    reductionSpec,
  }
  const valueAxes = valueAxesOf(program.program)
  const valueShape = valueAxes.flatMap((axis) => {
    return axis === '...' ? axes.rest : [axes.sizes[sourceOf(program.program, axis)]]
  })
  const plan = {
    ...sketch,
    inputs: rulesOf(loss, tensors, layouts, axes, options),
    readsAll: Object.keys(layouts).every((name) => Object.hasOwn(program.program.inputs, name)),
    valueAxes,
    valueShape,
    answer: answerPlanOf(sketch, valueShape),
    cotangent: cotangentOf(reductionSpec),
    signature: all,
    programs,
    ...batchingOf(sketch),
  }
  return Object.freeze({ ...plan, explanation: options.explain ? explanationOf(plan) : undefined })
}

/**
 * The loss with the inputs that its parameters give it.
 *
 * @throws Problem `param-invalid` for parameters that contradict each other
 */
export function expanded(loss: Loss, params: Params): Loss {
  try {
    return expandLoss(loss, params)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const list = Object.keys(params).find((name) => Array.isArray(params[name]))
    throw problemAt('param-invalid', `/params/${list}`, error.message)
  }
}

/**
 * @throws Problem `invalid-value` if the formula has no second derivative, `formula-invalid` if it is invalid for
 * these inputs
 */
function orProblem(loss: Loss, make: () => LossProgram): LossProgram {
  try {
    return make()
  } catch (error) {
    if (error instanceof NoHessian)
      throw problemAt('invalid-value', '/hessian', `of ${loss.name}: ${error.inWords}`)
    throw formulaProblem(error, '', { formula: loss.formula.source })
  }
}

/** @throws Problem `invalid-value` for a member that is neither an option nor a tensor */
function checkAreNumbers({ options }: Decoded) {
  for (const name of options.keys()) {
    if (!OPTION_NAMES.has(name)) throw problemAt('invalid-value', `/${name}`, 'must be a tensor of numbers')
  }
}

/**
 * What is known of the tensors without their numbers, so that a cached plan does not retain the memory of a
 * request.
 */
function presentInputs(loss: Loss, { tensors }: Decoded): Map<string, TensorInfo> {
  const present = new Map<string, TensorInfo>()
  for (const [name, spec] of Object.entries(loss.inputs)) {
    const tensor = tensors.get(name)
    if (tensor === undefined) {
      if (!spec.optional) throw problemAt('missing-input', `/${name}`, `is required by ${loss.name}`)
      continue
    }
    const { dtype, shape, encoding, typed } = tensor
    present.set(name, { dtype, shape, encoding: encoding, typed })
  }
  return present
}

function layoutsOf(
  loss: Loss,
  tensors: ReadonlyMap<string, TensorInfo>,
  axes: Axes,
): Record<string, InputLayout> {
  const layouts = [...tensors.keys()].map((name) => {
    const layout = axes.layouts.get(name) ?? ['...']
    const type = holdsIndices(loss.inputs[name], layout) ? 'index' : 'real'
    return [name, { type, axes: layout }] as const
  })
  return Object.fromEntries(layouts)
}

/** float64 inputs are computed in float64, everything else in float32. */
function precisionOf(tensors: ReadonlyMap<string, TensorInfo>): Precision {
  return [...tensors.values()].some((tensor) => tensor.dtype === 'float64') ? 'float64' : 'float32'
}

/** A parameter that becomes 0 or infinity in float32 would select a different loss than the requested one. */
function checkScalars({ scalars }: LossProgram, precision: Precision) {
  for (const [name, value] of Object.entries(scalars)) {
    const narrow = Math.fround(value)
    const isHeld = Number.isFinite(narrow) || !Number.isFinite(value)
    const fits = precision === 'float64' || (isHeld && (narrow !== 0 || value === 0))
    if (fits) continue
    const detail = `must fit into float32, got ${value}; or send float64 inputs`
    throw problemAt('param-invalid', `/params/${name}`, detail)
  }
}

function checkCost(loss: Loss, { program }: LossProgram, { sizes }: Axes, limits: CheckLimits) {
  const { operations, widest } = costOf(program, sizes)
  if (widest > limits.maxIntermediate) {
    const detail = `${loss.name} would need an intermediate result of ${pluralize(widest, 'elements')}, the limit is ${limits.maxIntermediate}`
    throw new Problem('too-expensive', detail)
  }
  if (operations > limits.maxCost) {
    const detail = `${loss.name} would cost ${pluralize(operations, 'element operations')}, the limit is ${limits.maxCost}`
    throw new Problem('too-expensive', detail)
  }
}

function plainReductionSpec(
  { program }: LossProgram,
  axes: Axes,
  { reduction, denominator }: RequestOptions,
  precision: Precision,
  first: string,
): ReductionSpec {
  const sources = valueAxesOf(program).map((axis) => sourceOf(program, axis))
  const count = elementsOf(sources, axes.sizes)
  const rows = rowsOf(first, axes)
  const divides = dividesByDenominator(reduction)
  const isUndefined = divides
    ? count === 0 && denominator === undefined
    : reduction === 'batchmean' && rows === 0
  if (isUndefined) {
    const detail = `the ${reduction} over an empty batch is undefined; use sum or none${divides ? ', or send a denominator' : ''}`
    throw new Problem('empty-batch', detail)
  }
  return {
    reduction,
    count,
    rows,
    sampleWeight: undefined,
    per: undefined,
    gradOutput: undefined,
    denominator: denominator ?? (program.denominators === undefined ? count : undefined),
    precision,
  }
}

/** A request without the inputs that have the first axis is one row. */
function rowsOf(first: string, { sizes, rest }: Axes): number {
  return (first === '...' ? rest[0] : sizes[first]) ?? 1
}

/** The axis of an input that gives an axis its size: itself, unless the formula has renamed it. */
function sourceOf({ renamed }: Program, axis: string): string {
  return renamed[axis] ?? axis
}

/** A parameter that names a place of an axis names one that is there. */
function checkPlaces({ params }: Loss, options: RequestOptions, { sizes }: Axes) {
  for (const [name, schema] of Object.entries(params.properties)) {
    const size = sizes[schema.placeOf as string]
    const place = options.params[name]
    if (size === undefined || typeof place !== 'number' || place < size) continue
    const detail = `must be less than the number of ${schema.placeOf}, ${size}; got ${place}`
    throw problemAt('param-invalid', `/params/${name}`, detail)
  }
}

/** Checks that matrices are square. The formula only requires two axes to be equal, but each gets its size from the request. */
function checkSquare({ square = [] }: Program, tensors: ReadonlyMap<string, TensorInfo>, axes: Axes) {
  for (const [rows, columns] of square) {
    if (axes.sizes[rows] === axes.sizes[columns]) continue
    const owner = [...tensors.keys()].find((name) => axes.layouts.get(name)?.includes(columns))
    const detail = `has ${axes.sizes[columns]} along its axis ${columns}, but ${rows} has ${axes.sizes[rows]}: the matrix must be square`
    throw problemAt('shape-mismatch', `/${owner}`, detail)
  }
}

/** There may be no rows, but classes, dimensions and other axes that are not declared as large as the rows must not be empty. */
function checkNotHollow(loss: Loss, tensors: ReadonlyMap<string, TensorInfo>, axes: Axes, first: string) {
  const declared = declaredSizes(loss)
  const rootOf = (axis: string) => declared[axis] ?? axis
  const hollow = Object.keys(axes.sizes).find(
    (axis) => axes.sizes[axis] === 0 && rootOf(axis) !== rootOf(first),
  )
  if (hollow === undefined) return
  const owner = [...tensors.keys()].find((name) => axes.layouts.get(name)?.includes(hollow))
  throw problemAt('shape-mismatch', `/${owner}`, `the axis ${hollow} must not be empty`)
}

/**
 * Jobs with equal keys may share a launch: they have the same program, parameters and sizes except for the rows,
 * and the same content in inputs that all rows share. There is no key if a job must run on its own.
 */
function batchingOf({
  program,
  axes,
  layouts,
  precision,
  first,
}: Pick<RequestPlan, 'program' | 'axes' | 'layouts' | 'precision' | 'first'>): Pick<
  RequestPlan,
  'batchAxis' | 'batchKey'
> {
  const isSlowest = Object.values(layouts).every((layout) => layout.axes.indexOf(first) <= 0)
  const batchAxis = isSlowest && isIndependentAlong(program.program, first) ? first : undefined
  if (batchAxis === undefined) return { batchAxis, batchKey: undefined }
  const shared = Object.keys(layouts).filter((name) => !layouts[name].axes.includes(first))
  const sizes = Object.entries(axes.sizes).filter(([axis]) => axis !== first)
  const key = [program.key, precision, ...sizes.flat(), ...Object.values(program.scalars)].join('|')
  return { batchAxis, batchKey: { key, shared } }
}

function answerPlanOf(
  { options, tensors, wants, precision }: Pick<RequestPlan, 'options' | 'tensors' | 'wants' | 'precision'>,
  valueShape: readonly number[],
): AnswerPlan {
  const gradients = wants.map((name) => {
    const { dtype, shape, encoding } = tensors.get(name)!
    return [name, { dtype: options.gradientDtype ?? dtype, shape, encoding }] as const
  })
  const shape = options.reduction === 'none' ? valueShape : []
  return {
    loss: { dtype: precision, shape, encoding: lossEncoding(options, tensors) },
    gradients: Object.fromEntries(gradients),
  }
}

/** An unreduced loss has the encoding of the first input, if there is one. A single number needs no shape and dtype. */
function lossEncoding(
  { reduction }: RequestOptions,
  tensors: ReadonlyMap<string, TensorInfo>,
): TensorInfo['encoding'] {
  const encoding = [...tensors.values()][0]?.encoding ?? 'nested'
  return encoding === 'binary' || reduction === 'none' ? encoding : 'nested'
}
