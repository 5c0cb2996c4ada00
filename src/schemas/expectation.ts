/** What is wrong with a value that does not fit its schema: the place inside of it, what would have been right there, and what was sent. */
import { Kind as SchemaKind, type TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { type ProblemDetail, pluralize, pointerToken, problemAt } from '../errors.ts'
import { didYouMean, suggesting } from '../nearest.ts'

/** @throws Problem `invalid-value`, always */
export function throwFirstFault(schema: TSchema, value: unknown, pointer: string): never {
  const fault = firstFault(schema, value, pointer)
  throw problemAt('invalid-value', fault.pointer, fault.detail)
}

/**
 * The first place that is wrong, as deep in the value as its schema can tell.
 *
 * @param value does not fit the schema
 * @example
 * firstFault(Type.Array(Type.Number()), [0.5, 'a'], '/quantiles')
 * // { pointer: '/quantiles/1', detail: 'must be a number, got "a"' }
 */
export function firstFault(schema: TSchema, value: unknown, pointer: string): ProblemDetail {
  return faultInside(schema, value, pointer) ?? { pointer, detail: expectationMessage(schema, value) }
}

function faultInside(schema: TSchema, value: unknown, pointer: string): ProblemDetail | undefined {
  const type = Array.isArray(value) ? 'array' : isObject(value) ? 'object' : undefined
  if (type === undefined) return undefined
  if (Array.isArray(schema.anyOf)) {
    const alternatives: readonly TSchema[] = schema.anyOf
    const same = alternatives.filter((alternative) => alternative.type === type)
    if (same.length === 1) return firstFault(same[0], value, pointer)
    return same.length > 1 && isObject(value) ? faultInOneOf(same, value, pointer) : undefined
  }
  if (schema.type !== type) return undefined
  return Array.isArray(value)
    ? faultInList(schema, value, pointer)
    : faultInObject(schema, value as object, pointer)
}

/** The first required member of each alternative tells which one is meant. */
function faultInOneOf(alternatives: readonly TSchema[], value: object, pointer: string): ProblemDetail {
  const named = alternatives.filter(({ required }) => Object.hasOwn(value, required[0]))
  if (named.length === 1) return firstFault(named[0], value, pointer)
  const nameOf = ({ required }: TSchema) => required[0] as string
  const got = named.length === 0 ? '' : `, got ${named.map(nameOf).join(' and ')}`
  return { pointer, detail: `must have either ${listed(alternatives.map(nameOf))}${got}` }
}

function faultInList(schema: TSchema, list: readonly unknown[], pointer: string): ProblemDetail | undefined {
  const items: TSchema = schema.items
  const place = list.findIndex((element) => !Value.Check(items, element))
  if (place < 0 || wrongLength(schema, list) !== undefined) return undefined
  return firstFault(items, list[place], `${pointer}/${place}`)
}

function faultInObject(schema: TSchema, value: object, pointer: string): ProblemDetail | undefined {
  const { properties = {}, required = [], patternProperties = {}, additionalProperties } = schema
  const at = (name: string) => `${pointer}/${pointerToken(name)}`
  const missing = (required as readonly string[]).find((name) => !Object.hasOwn(value, name))
  if (missing !== undefined) return { pointer: at(missing), detail: 'is required' }
  const [others] = Object.values<TSchema>(patternProperties)
  for (const [name, member] of Object.entries(value)) {
    const own: TSchema | undefined = Object.hasOwn(properties, name) ? properties[name] : others
    if (own !== undefined && !Value.Check(own, member)) return firstFault(own, member, at(name))
    if (own === undefined && additionalProperties === false)
      return { pointer: at(name), detail: `is not a member here; use ${Object.keys(properties).join(', ')}` }
  }
  return undefined
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What would have been right, and what was sent. */
export function expectationMessage(schema: TSchema, value: unknown): string {
  const length = Array.isArray(value) ? wrongLength(schema, value) : undefined
  if (length !== undefined) return length
  return `must be ${describeSchema(schema)}, got ${spell(value)}${typeof value === 'string' ? wordMeant(schema, value) : ''}`
}

/** `must have 1 to 32 elements, got 0`, if it is the length of the list that is wrong. */
function wrongLength({ type, minItems = 0, maxItems }: TSchema, { length }: readonly unknown[]) {
  if (type !== 'array' || (length >= minItems && length <= (maxItems ?? length))) return undefined
  const range = maxItems === undefined ? `at least ${minItems}` : `${minItems} to ${maxItems}`
  return `must have ${length > maxItems ? `at most ${maxItems}` : range} elements, got ${length}`
}

/** Words of other frameworks -> ours. */
const OTHER_WORDS: Readonly<Record<string, string>> = {
  average: 'mean',
  avg: 'mean',
  sum_over_batch_size: 'mean',
  mean_with_sample_weight: 'weighted_mean',
  pytorch: 'torch',
  tensorflow: 'keras',
  tf: 'keras',
  jax: 'optax',
  raise: 'error',
  half: 'float16',
  fp16: 'float16',
  bf16: 'bfloat16',
  float: 'float32',
  fp32: 'float32',
  double: 'float64',
  fp64: 'float64',
  diag: 'diagonal',
  column: 'class_major',
}

function wordMeant({ anyOf = [] }: TSchema, value: string): string {
  const parts: readonly TSchema[] = anyOf
  const words = parts.map((part) => part.const).filter((word): word is string => typeof word === 'string')
  const called = value.toLowerCase()
  const other = Object.hasOwn(OTHER_WORDS, called) ? OTHER_WORDS[called] : undefined
  return other !== undefined && words.includes(other) ? suggesting(other) : didYouMean(value, words)
}

/**
 * A schema in words, including its range.
 *
 * @example
 * describeSchema(Type.Number({ exclusiveMinimum: 0 })) // 'a number > 0'
 */
export function describeSchema(schema: TSchema): string {
  if (Array.isArray(schema.anyOf)) return listed(schema.anyOf.map(describeSchema))
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  const bounds = BOUNDS.flatMap(([key, sign]) =>
    schema[key] === undefined ? [] : [`${sign} ${schema[key]}`],
  )
  return [nounOf(schema), bounds.join(' and ')].filter(Boolean).join(' ')
}

function nounOf(schema: TSchema): string {
  const kind = schema[SchemaKind] as string
  if (kind === 'Array') return listNoun(schema.items)
  return kind === 'String' ? stringNoun(schema) : (NOUNS[kind] ?? 'a valid value')
}

function stringNoun({ minLength = 0, maxLength }: TSchema): string {
  if (maxLength === undefined)
    return minLength === 0 ? 'a string' : `a string of at least ${pluralize(minLength, 'characters')}`
  return `a string of ${minLength === 0 ? 'at most' : `${minLength} to`} ${maxLength} characters`
}

function listNoun(items: TSchema): string {
  const kinds = [items.anyOf ?? items].flat().map(({ type }: TSchema) => type as string)
  if (kinds.every((kind) => kind === 'object')) return 'a list of objects'
  return kinds.every((kind) => /number|integer/.test(kind)) ? 'a list of numbers' : 'a list of names'
}

/** Each only once, with `or` before the last. */
function listed(words: readonly string[]): string {
  const others = [...new Set(words)]
  const last = others.pop()
  return others.length === 0 ? last! : `${others.join(', ')} or ${last}`
}

const BOUNDS = [
  ['exclusiveMinimum', '>'],
  ['minimum', '>='],
  ['exclusiveMaximum', '<'],
  ['maximum', '<='],
] as const

const NOUNS: Readonly<Record<string, string>> = {
  Number: 'a number',
  Integer: 'an integer',
  Boolean: 'true or false',
  Null: 'null',
  Object: 'an object',
  Record: 'an object of names',
}

/** A value as it can be repeated in a message: short, and never a whole body. */
function spell(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 40 ? `${text.slice(0, 40)}...` : text
}
