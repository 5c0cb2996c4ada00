/**
 * Runs a request through validation, engine and reduction in process: what the service does, without HTTP and
 * batching.
 */

import { assemble } from '../../src/batching/assemble.ts'
import { type Engine, UnsupportedByEngine } from '../../src/engines/contract.ts'
import { isUnavailable } from '../../src/engines/define.ts'
import interpreter from '../../src/engines/interpreter.ts'
import type { Loss, ResolvedLoss } from '../../src/losses/define.ts'
import { createProgramSource } from '../../src/losses/program.ts'
import { type CheckedRequest, checkRequest } from '../../src/schemas/check.ts'
import { createRequestPlanSource } from '../../src/schemas/request-plan.ts'
import type { Answer, DecodedTensor } from '../../src/wire/define.ts'

export { UnsupportedByEngine }

const limits = { maxIntermediate: 2 ** 26, maxCost: 2e10 }
const plans = createRequestPlanSource(createProgramSource(), limits)

/** The float64 interpreter as an engine. */
export async function openInterpreter(): Promise<Engine> {
  const opened = await interpreter.open('test')
  if (isUnavailable(opened)) throw new Error(opened.unavailable)
  return opened
}

/** @param of a loss, or a loss with the parameters and the preset that its name implies */
export function check(
  of: Loss | ResolvedLoss,
  tensors: ReadonlyMap<string, DecodedTensor>,
  options: Readonly<Record<string, unknown>> = {},
): CheckedRequest {
  const asked = 'loss' in of ? of : { loss: of, preset: undefined, params: {} }
  return checkRequest(asked, { tensors, options: new Map(Object.entries(options)) }, { plans: plans })
}

/** The response to one request, computed alone. */
export async function evaluate(
  engine: Engine,
  of: Loss | ResolvedLoss,
  tensors: ReadonlyMap<string, DecodedTensor>,
  options: Readonly<Record<string, unknown>> = {},
): Promise<Answer> {
  const checked = check(of, tensors, options)
  return checked.answer(await engine.run(assemble([checked.job])))
}

/** A float64 tensor from nested numbers. */
export function nested(value: unknown, dtype: 'float32' | 'float64' = 'float64'): DecodedTensor {
  const shape: number[] = []
  for (let part = value; Array.isArray(part); part = part[0]) shape.push(part.length)
  const numbers = [value].flat(9).map(Number)
  const data = dtype === 'float64' ? Float64Array.from(numbers) : Float32Array.from(numbers)
  return { dtype, shape, data, encoding: 'nested', typed: false }
}
