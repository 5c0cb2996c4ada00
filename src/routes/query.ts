/** Query parameters that have one value. Fastify makes a list of one that is there several times. */
import type { FastifyRequest } from 'fastify'
import { cut, problemAt } from '../errors.ts'

/**
 * @returns undefined if it is not there
 * @throws Problem `invalid-value` if it is there several times: it would be a guess which of them is meant
 */
export function parameterOf({ query }: FastifyRequest, name: string): string | undefined {
  const value = (query as Readonly<Record<string, unknown>>)[name]
  if (value === undefined || typeof value === 'string') return value
  throw problemAt('invalid-value', `/${name}`, 'must be there only once')
}

/**
 * A switch: `true`, `false`, or no value, which means true. It is off if it is not there.
 *
 * @throws Problem `invalid-value`
 */
export function switchOf(request: FastifyRequest, name: string): boolean {
  const value = parameterOf(request, name)
  if (value === 'true' || value === '') return true
  if (value === undefined || value === 'false') return false
  throw problemAt('invalid-value', `/${name}`, `must be true or false, got ${JSON.stringify(cut(value))}`)
}
