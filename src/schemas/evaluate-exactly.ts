/** Evaluates a request at once with the interpreter, which is the reference for all engines. For small inputs. */
import { interpret } from '../language/interpret.ts'
import type { ResolvedLoss } from '../losses/define.ts'
import type { Answer, Decoded } from '../wire/define.ts'
import { checkRequest } from './check.ts'
import type { RequestPlanSource } from './request-plan.ts'

/** @throws Problem like any request */
export function evaluateExactly(resolved: ResolvedLoss, decoded: Decoded, plans: RequestPlanSource): Answer {
  const { job, answer } = checkRequest(resolved, decoded, { plans })
  return answer(interpret(job.program, job))
}
