/** Parameters that are JSON: text in the query of a GET, the value itself in the body of a POST. */
import { cut, problemAt } from '../errors.ts'

/** @throws Problem `invalid-value` */
export function jsonObject(value: unknown, pointer: string): object {
  const parsed = typeof value === 'string' ? parsedJson(value, pointer) : value
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed
  throw problemAt('invalid-value', pointer, 'must be a JSON object: {"delta": 2}')
}

/** @throws Problem `invalid-value` */
export function parsedJson(value: string, pointer: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    throw problemAt('invalid-value', pointer, `must be JSON, got ${cut(value)}`)
  }
}
