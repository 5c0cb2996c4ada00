/**
 * Decoded body + loss -> a job that cannot fail for the caller's reasons, or one precise problem. Validation happens
 * once, after decoding, and this is its flow: options, axes, inputs, gradients, cost, weights. The way back, from the
 * engine's values to the answer, is answer.ts.
 */
import type { Job, JobResult } from '../batching/job.ts'
import type { Precision } from '../engines/define.ts'
import { Problem, pointerToken, problemAt } from '../errors.ts'
import { costOf, widestOf } from '../language/ir.ts'
import { didYouMean } from '../language/nearest.ts'
import type { Loss } from '../losses/define.ts'
import type { LossProgram, ProgramSource } from '../losses/program.ts'
import { cotangentOf, type Weighing } from '../losses/reduce.ts'
import type { Answer, Decoded } from '../wire/define.ts'
import { makeAnswer } from './answer.ts'
import { type Axes, matchAxes } from './axes.ts'
import { digest } from './digest.ts'
import { wantedGradients } from './gradients.ts'
import { precisionOf, presentInputs, readInputs } from './inputs.ts'
import { checkOptions } from './params.ts'
import { COMMON_TENSORS, OPTION_NAMES } from './request.ts'
import { firstAxis, type Understood } from './understood.ts'
import { weigh } from './weigh.ts'

export interface CheckLimits {
  /** Elements of the largest intermediate result: what a pairwise loss over many rows runs into. */
  readonly maxIntermediate: number
  /** Element operations of one request. */
  readonly maxCost: number
}

export interface CheckContext {
  readonly limits: CheckLimits
  readonly programs: ProgramSource
  readonly signal?: () => AbortSignal
  readonly deadline?: number
}

export interface CheckedRequest {
  readonly job: Job
  /**
   * The answer to the caller, from what the engine found.
   *
   * @throws Problem `non-finite-result` under `nonfinite: error`
   */
  answer(result: Pick<JobResult, 'values' | 'denominators' | 'gradients'>): Answer
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
  const request = { loss, decoded, options, tensors, axes, precision, arrays, wants, program }
  const weighing = weigh(request)
  return {
    job: makeJob(request, weighing, context),
    answer: (result) => makeAnswer(request, weighing, result),
  }
}

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

function makeJob(request: Understood, weighing: Weighing, context: CheckContext): Job {
  const { loss, program, axes, arrays, precision } = request
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
    batchAxis: loss.couples === 'batch' ? undefined : firstAxis(loss),
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
function mergeKey(request: Understood): string | undefined {
  const { loss, program, axes, arrays, wants, precision } = request
  const first = firstAxis(loss)
  if (loss.couples === 'batch') return undefined
  const shared = Object.entries(arrays.layouts).filter(([, layout]) => !layout.axes.includes(first))
  if (shared.some(([name]) => wants.includes(name))) return undefined
  const sizes = Object.entries(axes.sizes).filter(([axis]) => axis !== first)
  const contents = shared.map(([name]) => digest(arrays.data[name]))
  return [program.key, precision, ...sizes.flat(), ...Object.values(program.scalars), ...contents].join('|')
}
