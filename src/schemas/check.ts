/**
 * Request validation: decoded body + loss -> a job that cannot fail for reasons that the client could fix, or one
 * precise problem. This file checks the numbers; request-plan.ts decides everything that depends only on the structure.
 */
import type { Job, JobResult } from '../batching/job.ts'
import type { ResolvedLoss } from '../losses/define.ts'
import { cotangentOf, type ReductionSpec } from '../losses/reduction.ts'
import type { NumericArray } from '../tensor.ts'
import type { Answer, Decoded } from '../wire/define.ts'
import { makeAnswer } from './answer.ts'
import { digest } from './array-hash.ts'
import { readInputs } from './inputs.ts'
import type { NonfinitePolicy } from './request.ts'
import type { BatchKey, RequestPlan, RequestPlanSource } from './request-plan.ts'
import { resolveWeights } from './weights.ts'

export interface CheckContext {
  readonly plans: RequestPlanSource
  readonly sender?: Job['sender']
  readonly announced?: Job['announced']
  readonly signal?: () => AbortSignal
  readonly deadline?: number
}

export interface CheckedRequest {
  readonly job: Job
  /**
   * Builds the response from the engine's results.
   *
   * @param nonfinite the policy for results that are not finite, if it differs from the request's
   * @throws Problem `non-finite-result` under `nonfinite: error`
   */
  answer(
    result: Pick<JobResult, 'values' | 'denominators' | 'gradients'>,
    nonfinite?: NonfinitePolicy,
  ): Answer
}

type Data = Readonly<Record<string, NumericArray>>

/**
 * Validates one request.
 *
 * @throws Problem with the code, the JSON pointer and what would have been right
 */
export function checkRequest(
  resolved: ResolvedLoss,
  decoded: Decoded,
  context: CheckContext,
): CheckedRequest {
  const plan = context.plans(resolved, decoded)
  const data = readInputs(plan, decoded)
  const reductionSpec = resolveWeights(plan, decoded, data)
  return {
    job: makeJob(plan, data, reductionSpec, context),
    answer: (result, nonfinite = plan.options.nonfinite) =>
      makeAnswer(plan, reductionSpec, result, nonfinite),
  }
}

function makeJob(
  plan: RequestPlan,
  data: Data,
  reductionSpec: ReductionSpec,
  { sender, announced, signal, deadline }: CheckContext,
): Job {
  const { loss, program, axes, precision, batchAxis } = plan
  const inputs = inputsOf(plan, data)
  let [elements, bytes] = [0, 0]
  for (const name in inputs) {
    elements += inputs[name].length
    bytes += inputs[name].byteLength
  }
  return {
    loss: loss.name,
    programKey: program.key,
    mergeKey: plan.batchKey && mergeKey(plan.batchKey, data),
    program: program.program,
    precision,
    sizes: axes.sizes,
    batchAxis,
    inputs,
    scalars: program.scalars,
    values: reductionSpec.count,
    cotangent: reductionSpec === plan.reductionSpec ? plan.cotangent : cotangentOf(reductionSpec),
    elements,
    bytes,
    sender,
    announced,
    signal,
    deadline,
  }
}

/** The inputs that the program reads. Inputs that it does not read are left out. */
function inputsOf({ program, readsAll }: RequestPlan, data: Data): Data {
  if (readsAll) return data
  return Object.fromEntries(Object.keys(program.program.inputs).map((name) => [name, data[name]]))
}

function mergeKey({ key, shared }: BatchKey, data: Data): string {
  return shared.length === 0 ? key : [key, ...shared.map((name) => digest(data[name]))].join('|')
}
