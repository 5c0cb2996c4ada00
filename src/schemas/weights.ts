/** The weight of each value of a request that has sample weights or a cotangent. */
import { type Problem, problemAt } from '../errors.ts'
import { denominatorOf, type ReductionSpec } from '../losses/reduction.ts'
import type { NumericArray } from '../tensor.ts'
import type { Decoded } from '../wire/define.ts'
import { formatShape, sameShape } from './axes.ts'
import { realNumbers } from './input-kinds.ts'
import { checkFinite, rejectBooleans } from './inputs.ts'
import type { COMMON_TENSORS } from './request.ts'
import type { RequestPlan } from './request-plan.ts'

/**
 * @param data the inputs as they were read
 * @returns the plan's own spec if the request has neither
 * @throws Problem `shape-mismatch`, `invalid-value`
 */
export function resolveWeights(
  plan: RequestPlan,
  decoded: Decoded,
  data: Readonly<Record<string, NumericArray>>,
): ReductionSpec {
  const { meanPer } = plan.loss
  if (decoded.tensors.has('sample_weight') && !plan.valueAxes.includes(plan.first)) throw noRows(plan)
  const isPlain = !decoded.tensors.has('sample_weight') && !decoded.tensors.has('grad_output')
  if (isPlain && meanPer === undefined) return plan.reductionSpec
  const reductionSpec = {
    ...plan.reductionSpec,
    sampleWeight: commonTensor(plan, decoded, 'sample_weight', [plan.reductionSpec.rows]),
    gradOutput: gradOutput(plan, decoded),
    per: meanPer === undefined ? undefined : data[meanPer],
  }
  const isKnown = plan.options.denominator !== undefined || reductionSpec.denominator === undefined
  return isKnown ? reductionSpec : { ...reductionSpec, denominator: denominatorOf(reductionSpec, undefined) }
}

/** The whole batch has a single loss, which weights of rows cannot be applied to afterwards. */
function noRows({ loss }: RequestPlan): Problem {
  const detail = `cannot be applied: ${loss.name} has one value for all rows; weight the rows in its formula, with an input for the weights`
  return problemAt('invalid-value', '/sample_weight', detail)
}

function gradOutput(plan: RequestPlan, decoded: Decoded): NumericArray | undefined {
  const { reduction, gradients } = plan.options
  if (!decoded.tensors.has('grad_output')) return undefined
  if (gradients === false) {
    throw problemAt('invalid-value', '/grad_output', 'requires gradients, but gradients is false')
  }
  if (reduction !== 'none') {
    throw problemAt('invalid-value', '/grad_output', `requires reduction none, got ${reduction}`)
  }
  return commonTensor(plan, decoded, 'grad_output', plan.valueShape)
}

function commonTensor(
  { options, precision }: RequestPlan,
  { tensors }: Decoded,
  name: keyof typeof COMMON_TENSORS,
  shape: readonly number[],
): NumericArray | undefined {
  const tensor = tensors.get(name)
  if (tensor === undefined) return undefined
  rejectBooleans(name, tensor)
  if (!sameShape(tensor.shape, shape)) {
    throw problemAt(
      'shape-mismatch',
      `/${name}`,
      `must have shape ${formatShape(shape)}, got ${formatShape(tensor.shape)}`,
    )
  }
  if (options.nonfinite === 'error') checkFinite(name, tensor)
  return realNumbers(name, tensor, 'real', precision)
}
