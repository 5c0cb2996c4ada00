/** Parameters, checked against the schemas that a kernel carries, in the words of the service. */
import { problem, problemAt } from './errors.ts'

export type Param = number | boolean | string | null | readonly number[]
export type Params = Readonly<Record<string, Param>>

/** The part of JSON Schema that parameters are described with. */
export interface ParamSchema {
  readonly type?: string
  readonly const?: unknown
  readonly anyOf?: readonly ParamSchema[]
  readonly default?: Param
  readonly structural?: boolean
  readonly infinite?: boolean
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
}

export type Schemas = Readonly<Record<string, ParamSchema>>

const NOUNS: Readonly<Record<string, string>> = {
  number: 'a number',
  integer: 'an integer',
  boolean: 'true or false',
  string: 'a string',
  null: 'null',
  array: 'a list of names',
}

const BOUNDS = [
  ['exclusiveMinimum', '>', (x: number, bound: number) => x > bound],
  ['minimum', '>=', (x: number, bound: number) => x >= bound],
  ['exclusiveMaximum', '<', (x: number, bound: number) => x < bound],
  ['maximum', '<=', (x: number, bound: number) => x <= bound],
] as const

/** Whether a kernel takes the parameter at run time. All others determine its code. */
export function isRuntime(schema: ParamSchema | undefined, value: Param): boolean {
  if (schema === undefined || typeof value !== 'number') return false
  return !(schema.anyOf ?? [schema]).some(({ type, structural }) => type === 'integer' || structural === true)
}

/** @throws InvalidRequest for a value that is out of range */
export function checkParams(schemas: Schemas, given: Params) {
  const places = Object.entries(given).flatMap(([name, value]) => {
    const schema = schemas[name]
    if (schema === undefined || fits(schema, value)) return []
    return [{ pointer: `/params/${name}`, detail: `must be ${describe(schema)}, got ${spell(value)}` }]
  })
  const [first] = places
  if (first !== undefined) throw problem('param-invalid', `${first.pointer}: ${first.detail}`, { places })
}

/** @throws InvalidRequest for a number that would be another one in float32 */
export function checkFloat32(name: string, value: number) {
  const narrow = Math.fround(value)
  const isHeld = Number.isFinite(narrow) || !Number.isFinite(value)
  if (isHeld && (narrow !== 0 || value === 0)) return
  const detail = `must fit into float32, got ${value}; or send float64 inputs`
  throw problemAt('param-invalid', `/params/${name}`, detail)
}

function describe(schema: ParamSchema): string {
  if (schema.anyOf !== undefined) return alternatives(schema.anyOf.map(describe))
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  const bounds = BOUNDS.flatMap(([key, sign]) =>
    schema[key] === undefined ? [] : [`${sign} ${schema[key]}`],
  )
  return [NOUNS[schema.type ?? ''] ?? 'a valid value', bounds.join(' and ')].filter(Boolean).join(' ')
}

function alternatives(words: readonly string[]): string {
  const last = words.at(-1)!
  return words.length === 1 ? last : `${words.slice(0, -1).join(', ')} or ${last}`
}

function fits(schema: ParamSchema, value: Param): boolean {
  if (schema.anyOf !== undefined) return schema.anyOf.some((part) => fits(part, value))
  if (schema.const !== undefined) return schema.const === value
  if (schema.type === 'null') return value === null
  if (schema.type === 'array') return Array.isArray(value)
  if (schema.type === 'boolean' || schema.type === 'string') return typeof value === schema.type
  if (typeof value !== 'number') return false
  if (!Number.isFinite(value)) return schema.infinite === true && !Number.isNaN(value)
  if (schema.type === 'integer' && !Number.isInteger(value)) return false
  return BOUNDS.every(([key, , holds]) => schema[key] === undefined || holds(value, schema[key]))
}

function spell(value: Param): string {
  return typeof value === 'object' && value !== null ? 'a list' : JSON.stringify(value)
}
