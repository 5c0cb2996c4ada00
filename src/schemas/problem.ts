/** The wire form of a failure: RFC 9457 problem details, the same for every route and every status. */
import { type Static, Type } from '@sinclair/typebox'
import { type Problem, problemKindOf, problemTypeOf } from '../errors.ts'

export const ProblemSchema = Type.Object(
  {
    type: Type.String({
      description:
        'Stable: `urn:lossd:problem:` and the code, or the URI of a problem that is defined elsewhere.',
    }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What was sent, and what is expected.' }),
    errors: Type.Array(
      Type.Object(
        {
          pointer: Type.String({ description: 'RFC 6901 pointer into the body.' }),
          detail: Type.String(),
          line: Type.Optional(Type.Integer({ description: 'In a formula, counted from 1.' })),
          column: Type.Optional(Type.Integer({ description: 'In a formula, counted from 1.' })),
        },
        { additionalProperties: false },
      ),
    ),
    requestId: Type.String(),
    retryable: Type.Boolean({ description: 'Whether the same request may succeed later.' }),
    'violated-policies': Type.Optional(
      Type.Array(Type.String(), {
        description: 'The quotas that are used up, as `RateLimit-Policy` names them.',
      }),
    ),
  },
  { $id: 'Problem', additionalProperties: false, description: 'RFC 9457 problem details' },
)

export const PROBLEM_MEDIA_TYPE = 'application/problem+json'

/** @param requestId the id that the response also has as `X-Request-Id` */
export function problemBody(problem: Problem, requestId: string): Static<typeof ProblemSchema> {
  const { status, title, retryable } = problemKindOf(problem.code)
  const { errors = [], violatedPolicies } = problem.options
  return {
    type: problemTypeOf(problem.code),
    title,
    status,
    // Internal details belong in the log, not in the response.
    detail:
      status === 500 ? 'This is a bug in lossd. The log has details under the request id.' : problem.message,
    errors: [...errors],
    requestId,
    retryable,
    ...(violatedPolicies === undefined ? {} : { 'violated-policies': [...violatedPolicies] }),
  }
}

/** The headers of an error response: `Retry-After`, and those that the problem adds. */
export function problemHeaders(problem: Problem): Record<string, string> {
  const { retryAfter, headers } = problem.options
  return { ...headers, ...(retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) }) }
}
