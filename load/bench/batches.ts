/**
 * The batches that the service would send to its engine, made by its own validation and assembly, without HTTP and
 * queue.
 */
import { assemble } from '../../src/batching/assemble.ts'
import type { Job } from '../../src/batching/job.ts'
import type { Batch } from '../../src/engines/contract.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { createProgramSource } from '../../src/losses/program.ts'
import { type CheckedRequest, checkRequest } from '../../src/schemas/check.ts'
import { createRequestPlanSource } from '../../src/schemas/request-plan.ts'
import type { Precision } from '../../src/tensor.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { type Column, inputsOf } from '../fixed-inputs.ts'
import type { Task } from './tasks.ts'

/** The service's limits protect it. Here the largest sizes are the point. */
const limits = { maxIntermediate: Infinity, maxCost: Infinity }
const outlines = createRequestPlanSource(createProgramSource(), limits)

/** The request of a task: the loss, and the gradient of the first input. */
export async function requestOf({
  loss: name,
  rows,
  columns,
  dtype = 'float32',
}: Task): Promise<CheckedRequest> {
  const asked = (await loadCatalog()).resolve(name)
  if (asked === undefined) throw new Error(`there is no loss "${name}"`)
  const inputs = Object.entries(inputsOf(name, rows, columns))
  const tensors = new Map(inputs.map(([input, column]) => [input, decoded(column, dtype)]))
  const options = new Map<string, unknown>([['gradients', [inputs[0][0]]]])
  return checkRequest(asked, { tensors, options }, { plans: outlines })
}

/** Batches whose arrays the engine may keep: enough to time them together, few enough to stay in the CPU cache. */
export function batchesOf({ job }: CheckedRequest): Batch[] {
  const count = Math.max(1, Math.min(64, Math.floor(2 ** 20 / job.bytes)))
  return Array.from({ length: count }, () => assemble([ownArrays(job)]))
}

/** Assembly may pass the arrays of its jobs on without copying them. */
function ownArrays(job: Job): Job {
  const inputs = Object.entries(job.inputs).map(([name, data]) => [name, data.slice()] as const)
  return { ...job, inputs: Object.fromEntries(inputs), cotangent: job.cotangent.slice() }
}

function decoded({ shape, data }: Column, real: Precision): DecodedTensor {
  const shared = { shape, encoding: 'binary', typed: true } as const
  if (data instanceof Int32Array) return { ...shared, dtype: 'int32', data }
  return { ...shared, dtype: real, data: real === 'float64' ? Float64Array.from(data) : data }
}
