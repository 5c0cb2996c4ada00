/**
 * Builds the response: the engine's values and gradients -> reduced, and in the dtypes, shapes and encoding of the
 * request.
 */
import type { JobSlice } from '../batching/job.ts'
import { Problem, pointerTo, problemAt } from '../errors.ts'
import { elementsOf, hessianKey } from '../language/ir.ts'
import {
  dividesByDenominator,
  type FinalizedReduction,
  finalizeReduction,
  type ReductionSpec,
  reduceValues,
  zeroWeightRows,
} from '../losses/reduction.ts'
import { formatElement, type NumericArray } from '../tensor.ts'
import type { Answer, AnswerTensor } from '../wire/define.ts'
import { firstNonFinite, staysFinite } from './overflow-check.ts'
import type { NonfinitePolicy } from './request.ts'
import type { AnswerInfo, RequestPlan } from './request-plan.ts'

type Floats = Float32Array | Float64Array

/**
 * @param nonfinite the policy for results that are not finite
 * @throws Problem `non-finite-result` under `nonfinite: error`
 */
export function makeAnswer(
  request: RequestPlan,
  reductionSpec: ReductionSpec,
  result: JobSlice,
  nonfinite: NonfinitePolicy,
): Answer {
  const finalized = finalizeReduction(reductionSpec, result.denominators)
  const loss = tensorOf(request.answer.loss, reduceValues(result.values, reductionSpec, finalized))
  let finite = allFinite(loss.data)
  const silent = zeroWeightRows(reductionSpec)
  const finishing = { request, silent, factor: finalized.gradientScale, scale: result.scale ?? scale }
  const gradients = new Map<string, AnswerTensor>()
  for (const name of request.wants) {
    finite = finish(finishing, name, result.gradients[name]) && finite
    finite = staysFinite(result.gradients[name], request.answer.gradients[name].dtype) && finite
    gradients.set(name, tensorOf(request.answer.gradients[name], result.gradients[name]))
  }
  let hessian: Map<string, AnswerTensor> | undefined
  for (const name of request.hessians) {
    const data = result.gradients[hessianKey(name)]
    finite = raise(data, finish(finishing, name, data), request.options.hessianFloor) && finite
    finite = staysFinite(data, request.answer.gradients[name].dtype) && finite
    hessian ??= new Map()
    hessian.set(name, tensorOf(request.answer.gradients[name], data))
  }
  if (!finite && nonfinite === 'error') throw nonFinite(loss, gradients, hessian)
  const members = membersOf(request, denominatorMember(reductionSpec, finalized), finalized.counted, finite)
  return {
    loss,
    gradients,
    hessian,
    members,
    structure: request,
    nulls: nonfinite === 'null',
  }
}

/**
 * Written out, because copying the members of an object costs more than everything else that a small response
 * needs.
 */
function tensorOf({ dtype, shape, encoding }: AnswerInfo, data: NumericArray): AnswerTensor {
  return { dtype, shape, encoding: encoding, data }
}

/** What all derivatives of a request have in common. */
interface Finishing {
  readonly request: RequestPlan
  readonly silent: readonly number[]
  /** The factor that they must still be multiplied by. */
  readonly factor: number
  readonly scale: NonNullable<JobSlice['scale']>
}

/**
 * Finishes a derivative in place, which is allowed because it belongs to this request alone.
 *
 * @returns whether all of it is finite
 */
function finish({ request, silent, factor, scale }: Finishing, name: string, data: Floats): boolean {
  if (silent.length > 0) silence(request, name, data, silent)
  // The mean of no values has no gradient, whatever was computed.
  if (factor === 0) data.fill(0)
  return scale(data, factor)
}

function membersOf(
  { explanation }: RequestPlan,
  denominator: number,
  count: number,
  finite: boolean,
): Answer['members'] {
  const members = { denominator, count, finite }
  return explanation === undefined ? members : { ...members, explain: explanation }
}

/**
 * Raises values below the floor, in place; NaN stays.
 *
 * @returns whether all of it is finite afterwards
 */
function raise(data: Floats, wasFinite: boolean, floor: number | undefined): boolean {
  if (floor === undefined) return wasFinite
  for (let i = 0; i < data.length; i++) if (data[i] < floor) data[i] = floor
  return allFinite(data)
}

/** What the sum was divided by. */
function denominatorMember({ reduction, rows }: ReductionSpec, { denominator }: FinalizedReduction): number {
  if (dividesByDenominator(reduction)) return denominator
  return reduction === 'batchmean' ? rows : 1
}

/** A row of weight 0 has gradient 0, whatever it contains: 0 x NaN would be NaN. */
function silence(
  { layouts, first, couples, axes, reductionSpec }: RequestPlan,
  name: string,
  gradient: NumericArray,
  silent: readonly number[],
) {
  const layout = layouts[name].axes
  if (!layout.includes(first) || couples === 'batch') return
  const { rows } = reductionSpec
  const before = elementsOf(layout.slice(0, layout.indexOf(first)), axes.sizes)
  const width = gradient.length / before / rows
  for (let start = 0; start < gradient.length; start += width * rows) {
    for (const row of silent) gradient.fill(0, start + row * width, start + (row + 1) * width)
  }
}

/** The default for engines without a faster way to scale. */
function scale(data: Floats, factor: number): boolean {
  const own = data instanceof Float32Array ? Math.fround(factor) : factor
  if (own !== 1) for (let i = 0; i < data.length; i++) data[i] *= own
  return allFinite(data)
}

/**
 * x * 0 is 0 for a finite number and NaN otherwise. Four sums, because the additions of a single sum would wait for
 * each other.
 */
export function allFinite(data: NumericArray): boolean {
  let [a, b, c, d] = [0, 0, 0, 0]
  const whole = data.length - (data.length % 4)
  for (let i = 0; i < whole; i += 4) {
    a += data[i] * 0
    b += data[i + 1] * 0
    c += data[i + 2] * 0
    d += data[i + 3] * 0
  }
  for (let i = whole; i < data.length; i++) a += data[i] * 0
  return a + b + c + d === 0
}

type Derivatives = ReadonlyMap<string, AnswerTensor>

/** The first number of a response that is not finite in its output dtype. */
export function nonFinite(loss: AnswerTensor, gradients: Derivatives, hessian?: Derivatives): Problem {
  const under = (folder: string, tensors: Derivatives = new Map()) =>
    [...tensors].map(([name, tensor]) => [`${folder}/${name}`, tensor] as const)
  for (const [name, tensor] of [
    ['loss', loss] as const,
    ...under('gradients', gradients),
    ...under('hessian', hessian),
  ]) {
    const { data, dtype, shape } = tensor
    const wrong = firstNonFinite(data, dtype)
    if (wrong < 0) continue
    const overflow = Number.isFinite(data[wrong]) ? `, which overflows ${dtype}` : ''
    return problemAt(
      'non-finite-result',
      pointerTo(name, shape, wrong),
      `is ${formatElement(data, wrong)}${overflow}`,
    )
  }
  return new Problem('non-finite-result', 'the result is not finite')
}
