/**
 * Decoded body + loss -> a job that cannot fail for the caller's reasons, or one precise problem. Validation happens
 * here, once, after decoding; the other half of each request, from the engine's values to the answer, stands here too
 * because it needs what the check found out.
 */
import type { Job, JobResult } from '../batching/job.ts'
import type { Precision } from '../engines/define.ts'
import { Problem, problemAt } from '../errors.ts'
import { costOf, elementsOf, type InputLayout, valueAxes, widestOf } from '../language/ir.ts'
import { didYouMean } from '../language/nearest.ts'
import type { InputSpec, Loss } from '../losses/define.ts'
import type { LossProgram, ProgramSource } from '../losses/program.ts'
import { cotangentOf, denominatorOf, reduceValues, silentRows, type Weighing } from '../losses/reduce.ts'
import type { Answer, AnswerTensor, Decoded, DecodedTensor } from '../wire/define.ts'
import { type Axes, matchAxes, sameShape, show } from './axes.ts'
import { digest } from './digest.ts'
import { classIndices, pointerTo, realNumbers } from './kinds.ts'
import { checkOptions, type Options, pointerToken } from './params.ts'
import { COMMON_TENSORS, OPTION_NAMES } from './request.ts'
import { isInteger, type NumericArray } from './tensor.ts'

export interface CheckLimits {
  /** Elements of the largest intermediate result: what a pairwise loss over many rows runs into. */
  readonly maxIntermediate: number
  /** Element operations of one request. */
  readonly maxCost: number
}

export interface CheckContext {
  readonly limits: CheckLimits
  readonly programs: ProgramSource
  readonly signal?: AbortSignal
  readonly deadline?: number
}

export interface CheckedRequest {
  readonly job: Job
  /**
   * The answer to the caller, from what the engine found.
   *
   * @throws Problem `non-finite-result` under `nonfinite: error`
   */
  answer(result: Pick<JobResult, 'values' | 'gradients'>): Answer
}

/**
 * Checks one request.
 *
 * @throws Problem with the code, the JSON pointer and what would have been right
 */
export function checkRequest(loss: Loss, decoded: Decoded, context: CheckContext): CheckedRequest {
  checkNames(loss, decoded)
  const options = checkOptions(loss, decoded.options)
  const tensors = presentInputs(loss, decoded)
  const axes = matchAxes(loss, tensors, options.params)
  const precision = precisionOf(tensors)
  const arrays = readInputs(loss, tensors, axes, options, precision)
  const wants = wantedGradients(loss, tensors, arrays.layouts, options)
  const program = context.programs(loss, { inputs: arrays.layouts, params: options.params, wants })
  checkScalars(program, precision)
  checkCost(loss, program, axes, context.limits)
  const request = { loss, decoded, options, tensors, axes, precision, arrays, wants, program, context }
  const weighing = weigh(request)
  return { job: makeJob(request, weighing), answer: (result) => makeAnswer(request, weighing, result) }
}

interface Arrays {
  readonly data: Readonly<Record<string, NumericArray>>
  readonly layouts: Readonly<Record<string, InputLayout>>
}

interface Request {
  readonly loss: Loss
  readonly decoded: Decoded
  readonly options: Options
  readonly tensors: ReadonlyMap<string, DecodedTensor>
  readonly axes: Axes
  readonly precision: Precision
  readonly arrays: Arrays
  readonly wants: readonly string[]
  readonly program: LossProgram
  readonly context: CheckContext
}

// Names

function checkNames(loss: Loss, { tensors, options }: Decoded) {
  const known = [...Object.keys(loss.inputs), ...Object.keys(COMMON_TENSORS), ...OPTION_NAMES]
  for (const name of [...tensors.keys(), ...options.keys()]) {
    if (known.includes(name)) continue
    throw problemAt(
      'unknown-name',
      `/${pointerToken(name)}`,
      `${loss.name} takes ${known.join(', ')}${didYouMean(name, known)}`,
    )
  }
  for (const name of options.keys()) {
    if (!OPTION_NAMES.has(name)) throw problemAt('invalid-value', `/${name}`, 'must be numbers')
  }
}

function presentInputs(loss: Loss, { tensors }: Decoded): Map<string, DecodedTensor> {
  const present = new Map<string, DecodedTensor>()
  for (const [name, spec] of Object.entries(loss.inputs)) {
    const tensor = tensors.get(name)
    if (tensor !== undefined) present.set(name, tensor)
    else if (!spec.optional) throw problemAt('missing-input', `/${name}`, `${loss.name} needs it`)
  }
  return present
}

// Numbers

/** float64 is computed in float64, everything else in float32. */
function precisionOf(tensors: ReadonlyMap<string, DecodedTensor>): Precision {
  return [...tensors.values()].some((tensor) => tensor.dtype === 'float64') ? 'float64' : 'float32'
}

function readInputs(
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

function checkFinite(name: string, { data, shape }: DecodedTensor) {
  const wrong = data.findIndex((x) => !Number.isFinite(x))
  if (wrong >= 0) throw problemAt('non-finite-input', pointerTo(name, shape, wrong), `is ${data[wrong]}`)
}

// Gradients

function wantedGradients(
  loss: Loss,
  tensors: ReadonlyMap<string, DecodedTensor>,
  layouts: Readonly<Record<string, InputLayout>>,
  { gradients }: Options,
): string[] {
  if (gradients === false) return []
  if (gradients === true) return defaultGradients(loss, tensors)
  const offered = Object.keys(loss.inputs).filter((name) =>
    isDifferentiable(loss.inputs[name], layouts[name]),
  )
  gradients.forEach((name, place) => {
    checkWanted(loss, tensors, offered, name, `/gradients/${place}`)
  })
  return Object.keys(loss.inputs).filter((name) => gradients.includes(name))
}

function defaultGradients(loss: Loss, tensors: ReadonlyMap<string, DecodedTensor>): string[] {
  const marked = [...tensors.keys()].filter((name) => loss.inputs[name].differentiable)
  const real = marked.filter((name) => !isInteger(tensors.get(name)!.dtype))
  if (real.length === 0) {
    const detail = `no gradient exists: ${marked.join(', ')} came as integers; send floats, or "gradients": false`
    throw problemAt('dtype-unsupported', '/gradients', detail)
  }
  return real
}

/** Class probabilities are differentiable where they are sent, though class indices are not. */
function isDifferentiable(spec: InputSpec, layout: InputLayout | undefined): boolean {
  return spec.differentiable || (spec.kind === 'class_or_probability' && layout?.type === 'real')
}

function checkWanted(
  loss: Loss,
  tensors: ReadonlyMap<string, DecodedTensor>,
  offered: readonly string[],
  name: string,
  pointer: string,
) {
  if (!offered.includes(name)) {
    const detail = `${loss.name} has gradients of ${offered.join(', ')} here${didYouMean(name, offered)}`
    throw problemAt(Object.hasOwn(loss.inputs, name) ? 'invalid-value' : 'unknown-name', pointer, detail)
  }
  const tensor = tensors.get(name)
  if (tensor === undefined) throw problemAt('missing-input', pointer, `${name} was not sent`)
  if (isInteger(tensor.dtype)) {
    throw problemAt(
      'dtype-unsupported',
      pointer,
      `${name} came as ${tensor.dtype}; a gradient needs real numbers`,
    )
  }
}

// Parameters and cost

/** A parameter that float32 would turn into 0 or infinity would give another loss than the one that was asked for. */
function checkScalars({ scalars }: LossProgram, precision: Precision) {
  for (const [name, value] of Object.entries(scalars)) {
    const narrow = Math.fround(value)
    const fits = precision === 'float64' || (Number.isFinite(narrow) && (narrow !== 0 || value === 0))
    if (!fits)
      throw problemAt(
        'param-invalid',
        `/params/${name}`,
        `must fit float32, got ${value}; or send float64 inputs`,
      )
  }
}

function checkCost(loss: Loss, { program }: LossProgram, { sizes }: Axes, limits: CheckLimits) {
  const [widest, cost] = [widestOf(program, sizes), costOf(program, sizes)]
  if (widest > limits.maxIntermediate) {
    const detail = `${loss.name} would need an intermediate result of ${widest} elements, the limit is ${limits.maxIntermediate}`
    throw new Problem('too-expensive', detail)
  }
  if (cost > limits.maxCost) {
    const detail = `${loss.name} would cost ${cost} element operations, the limit is ${limits.maxCost}`
    throw new Problem('too-expensive', detail)
  }
}

// Reduction

function weigh(request: Request): Weighing & { readonly counted: number } {
  const { axes, program, arrays, options, precision } = request
  const first = firstAxis(request)
  const values = valueAxes(program.program)
  const count = elementsOf(values, axes.sizes)
  const rows = first === '...' ? (axes.rest[0] ?? 1) : axes.sizes[first]
  checkNotHollow(request, first)
  const own = denominatorOf(program.denominator, count, {
    sizes: axes.sizes,
    inputs: arrays.data,
    scalars: program.scalars,
  })
  if (
    count === 0 &&
    options.reduction !== 'sum' &&
    options.reduction !== 'none' &&
    options.denominator === undefined
  ) {
    const detail = `the ${options.reduction} over an empty batch is undefined; use sum, none, or give a denominator`
    throw new Problem('empty-batch', detail)
  }
  return {
    reduction: options.reduction,
    count,
    rows,
    sampleWeight: commonTensor(request, 'sample_weight', [rows]),
    gradOutput: gradOutput(request),
    denominator: options.denominator ?? own.total,
    precision,
    counted: own.count,
  }
}

/** Rows may be missing; classes, dimensions and the like may not. */
function checkNotHollow({ axes, tensors }: Request, first: string) {
  const hollow = Object.keys(axes.sizes).find((axis) => axis !== first && axes.sizes[axis] === 0)
  if (hollow === undefined) return
  const owner = [...tensors.keys()].find((name) => axes.layouts.get(name)?.includes(hollow))
  throw problemAt('shape-mismatch', `/${owner}`, `the axis ${hollow} must not be empty`)
}

/** The slowest axis: along it, jobs are concatenated and weights are given. */
function firstAxis({ loss }: Request): string {
  return Object.values(loss.inputs)[0].axes[0]
}

function gradOutput(request: Request): NumericArray | undefined {
  if (!request.decoded.tensors.has('grad_output')) return undefined
  if (request.options.reduction !== 'none') {
    throw problemAt(
      'invalid-value',
      '/grad_output',
      `goes with reduction none, not with ${request.options.reduction}`,
    )
  }
  return commonTensor(request, 'grad_output', valueShape(request))
}

function commonTensor(
  { decoded, options, precision }: Request,
  name: keyof typeof COMMON_TENSORS,
  shape: readonly number[],
): NumericArray | undefined {
  const tensor = decoded.tensors.get(name)
  if (tensor === undefined) return undefined
  if (!sameShape(tensor.shape, shape)) {
    throw problemAt('shape-mismatch', `/${name}`, `must have shape ${show(shape)}, got ${show(tensor.shape)}`)
  }
  if (options.nonfinite === 'error') checkFinite(name, tensor)
  return realNumbers(name, tensor, 'real', precision)
}

function valueShape({ program, axes }: Request): number[] {
  return valueAxes(program.program).flatMap((axis) => (axis === '...' ? axes.rest : [axes.sizes[axis]]))
}

// Job

function makeJob(request: Request, weighing: Weighing): Job {
  const { loss, program, axes, arrays, context, precision } = request
  const inputs = Object.fromEntries(
    Object.keys(program.program.inputs).map((name) => [name, arrays.data[name]]),
  )
  const elements = Object.values(inputs).reduce((total, data) => total + data.length, 0)
  const bytes = Object.values(inputs).reduce((total, data) => total + data.byteLength, 0)
  return {
    loss: loss.name,
    programKey: `${program.key}|${precision}`,
    mergeKey: mergeKey(request),
    program: program.program,
    precision,
    sizes: axes.sizes,
    batchAxis: loss.couples === 'batch' ? undefined : firstAxis(request),
    inputs,
    scalars: program.scalars,
    values: weighing.count,
    cotangent: cotangentOf(weighing),
    elements,
    bytes,
    ...(context.signal === undefined ? {} : { signal: context.signal }),
    ...(context.deadline === undefined ? {} : { deadline: context.deadline }),
  }
}

/**
 * Jobs with equal keys may share a launch: the same program, numbers and sizes but for the rows, and the same content
 * in inputs that all rows share. Undefined where a job must run as its own block.
 */
function mergeKey(request: Request): string | undefined {
  const { loss, program, axes, arrays, wants, precision } = request
  const first = firstAxis(request)
  if (loss.couples === 'batch') return undefined
  const shared = Object.entries(arrays.layouts).filter(([, layout]) => !layout.axes.includes(first))
  if (shared.some(([name]) => wants.includes(name))) return undefined
  const sizes = Object.entries(axes.sizes).filter(([axis]) => axis !== first)
  const contents = shared.map(([name]) => digest(arrays.data[name]))
  return [program.key, precision, ...sizes.flat(), ...Object.values(program.scalars), ...contents].join('|')
}

// Answer

function makeAnswer(
  request: Request,
  weighing: Weighing & { readonly counted: number },
  result: Pick<JobResult, 'values' | 'gradients'>,
): Answer {
  const { options, tensors, wants, precision } = request
  const reduced = reduceValues(result.values, weighing)
  const silent = silentRows(weighing)
  const gradients = wants.map((name) => {
    const tensor = tensors.get(name)!
    const data = silenced(request, name, result.gradients[name], silent, weighing.rows)
    const dtype = options.gradientDtype ?? tensor.dtype
    return [name, { dtype, shape: tensor.shape, data, spelling: tensor.spelling }] as const
  })
  const loss: AnswerTensor = {
    dtype: precision,
    shape: options.reduction === 'none' ? valueShape(request) : [],
    data: reduced,
    spelling: lossSpelling(request),
  }
  const finite = allFinite(loss.data) && gradients.every(([, { data }]) => allFinite(data))
  if (!finite && options.nonfinite === 'error') throw nonFinite(loss, gradients)
  const members = { denominator: denominatorMember(request, weighing), count: weighing.counted, finite }
  return { loss, gradients: new Map(gradients), members }
}

/** An unreduced loss is spelled as the predictions were; a single number needs no shape and dtype around it. */
function lossSpelling({ options, tensors }: Request): AnswerTensor['spelling'] {
  const spelling = [...tensors.values()][0].spelling
  return spelling === 'binary' || options.reduction === 'none' ? spelling : 'nested'
}

/** What the sum was divided by. */
function denominatorMember({ options }: Request, { denominator, rows }: Weighing): number {
  if (options.reduction === 'mean') return denominator
  return options.reduction === 'batchmean' ? rows : 1
}

/** A row that counts nothing has no gradient, whatever it holds: 0 x NaN would be NaN. */
function silenced(
  request: Request,
  name: string,
  gradient: NumericArray,
  silent: number[],
  rows: number,
): NumericArray {
  const layout = request.arrays.layouts[name].axes
  if (silent.length === 0 || layout[0] !== firstAxis(request) || request.loss.couples === 'batch')
    return gradient
  const width = gradient.length / rows
  const cleared = gradient.slice()
  for (const row of silent) cleared.fill(0, row * width, (row + 1) * width)
  return cleared
}

function allFinite(data: NumericArray): boolean {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return false
  return true
}

function nonFinite(loss: AnswerTensor, gradients: readonly (readonly [string, AnswerTensor])[]): Problem {
  const all = [
    ['loss', loss] as const,
    ...gradients.map(([name, tensor]) => [`gradients/${name}`, tensor] as const),
  ]
  for (const [name, { data, shape }] of all) {
    const wrong = data.findIndex((x) => !Number.isFinite(x))
    if (wrong >= 0) return problemAt('non-finite-result', pointerTo(name, shape, wrong), `is ${data[wrong]}`)
  }
  return new Problem('non-finite-result', 'the result is not finite')
}
