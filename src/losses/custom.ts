/**
 * Own losses: a definition document becomes a loss like any of the catalog's. What the author of a catalog loss states and a
 * formula shows by itself (how rows depend on each other) is inferred. It knows no HTTP; schemas/definition.ts checks the JSON.
 */
import { type TSchema, Type } from '@sinclair/typebox'
import type { InputLayout } from '../language/ir.ts'
import {
  defineLoss,
  type Example,
  type InputSpec,
  input,
  type Kind,
  type Loss,
  nullable,
  oneOf,
  type Params,
} from './define.ts'
import { couplesIn, createProgramSource, firstAxisOf, holdsIndices, type Structure } from './program.ts'

/** An input as a definition document declares it. */
export interface InputDefinition {
  /** With commas between them, the slowest first; default `...`. */
  readonly axes?: string
  /** Default `real`. */
  readonly kind?: Kind
  readonly differentiable?: boolean
  readonly optional?: boolean
  readonly about?: string
  /** Of class indices: the axis whose places they are, where it is not called classes. */
  readonly places?: string
}

/** A parameter: the JSON Schema of its values. */
export interface ParamDefinition {
  readonly type?: 'number' | 'integer' | 'boolean' | 'string' | readonly ['number', 'null']
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly default: number | boolean | string | null
  readonly description?: string
}

/** What a user writes: one JSON document, for one request and for the registry alike. */
export interface Definition {
  /** `namespace/name`; absent where the loss is sent with the request that uses it. */
  readonly name?: string
  readonly about?: string
  readonly inputs: Readonly<Record<string, InputDefinition>>
  readonly params?: Readonly<Record<string, ParamDefinition>>
  readonly formula: string
  /** What one value adds to the denominator of `mean`. */
  readonly denominator?: string
  readonly examples?: readonly Omit<Example, 'from'>[]
  readonly references?: readonly string[]
}

/** What messages and metrics call a loss without a name. */
export const ANONYMOUS = 'formula'

/** Structures that are tried before a definition is taken; of more a request may be the first to meet an error. */
const MAX_STRUCTURES = 32

/**
 * A loss from its definition. Its formula has been lowered and differentiated for the structures that requests may have, so
 * that what is wrong with it is found now.
 *
 * @param name what messages and metrics call it
 * @throws FormulaError with line and column; FormulaTooLarge
 * @example
 * customLoss({ inputs: { x: { differentiable: true } }, formula: 'log1p(x^2)' }).couples // 'element'
 */
export function customLoss(definition: Definition, name = definition.name ?? ANONYMOUS): Loss {
  const declared = declare(definition, name)
  const programs = createProgramSource()
  const [usual, ...others] = structuresOf(declared)
  const { program } = programs(declared, usual)
  for (const structure of others) programs(declared, structure)
  return Object.freeze({ ...declared, couples: couplesIn(program, declared, firstAxisOf(declared)) })
}

function declare(definition: Definition, name: string): Loss {
  const { about = '', inputs, params = {}, formula, denominator, references = [], examples = [] } = definition
  return defineLoss({
    name,
    family: 'custom',
    couples: 'batch',
    about,
    inputs: mapped(inputs, inputOf),
    params: Type.Object(mapped(params, schemaOf)),
    formula,
    ...(denominator === undefined ? {} : { denominator }),
    references,
    examples: examples.map((example) => ({ ...example, from: 'its author' })),
  })
}

function mapped<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]))
}

function inputOf({ axes = '...', kind = 'real', places, ...options }: InputDefinition): InputSpec {
  return input(axes, kind, {
    ...options,
    places: places === undefined ? undefined : { axis: places, offset: 0 },
  })
}

function schemaOf({ type, enum: words, ...options }: ParamDefinition): TSchema {
  if (words !== undefined) return oneOf(words, options as { default: string })
  if (type === 'boolean') return Type.Boolean(options)
  if (type === 'integer') return Type.Integer(options as object)
  const { default: standard, description = '', ...range } = options
  if (typeof type !== 'object') return Type.Number({ ...range, default: standard, description })
  return nullable(Type.Number(range), { default: standard as number | null, description })
}

/**
 * What requests may look like: with and without each optional input, under each word and switch. The first is that of a
 * request with all inputs and no parameters of its own.
 */
function structuresOf(loss: Loss): [Structure, ...Structure[]] {
  const optional = Object.keys(loss.inputs).filter((name) => loss.inputs[name].optional)
  const absences = subsetsOf(optional)
  const params = paramsOf(loss)
  const all = absences.flatMap((absent) => params.map((values) => structureOf(loss, absent, values)))
  return all.slice(0, MAX_STRUCTURES) as [Structure, ...Structure[]]
}

/** A request with all inputs, and without parameters of its own. */
export function usualStructure(loss: Loss): Structure {
  return structuresOf(loss)[0]
}

function structureOf(loss: Loss, absent: readonly string[], params: Params): Structure {
  const present = Object.entries(loss.inputs).filter(([name]) => !absent.includes(name))
  const layouts = present.map(([name, spec]) => [name, layoutOf(spec)] as const)
  const wants = present.filter(
    ([name, { differentiable }]) => differentiable && layoutOf(loss.inputs[name]).type === 'real',
  )
  return { inputs: Object.fromEntries(layouts), params, wants: wants.map(([name]) => name), hessians: [] }
}

function layoutOf(spec: InputSpec): InputLayout {
  return { type: holdsIndices(spec, spec.axes) ? 'index' : 'real', axes: spec.axes }
}

/** Its defaults first, then with each other word, switch and null in their place. */
function paramsOf({ params }: Loss): Params[] {
  const defaults: Params = mapped(params.properties, (schema) => schema.default as Params[string])
  const others = Object.entries(params.properties).flatMap(([name, schema]) =>
    alternativesOf(schema).map((value) => ({ ...defaults, [name]: value })),
  )
  return [defaults, ...others]
}

function alternativesOf(schema: TSchema): Params[string][] {
  if (schema.type === 'boolean') return [!schema.default]
  const parts: readonly TSchema[] = schema.anyOf ?? []
  const values = parts.map((part) => (part.type === 'null' ? null : (part.const ?? 1)))
  return values.filter((value) => value !== schema.default)
}

/** From the empty one on; as many as are tried at most. */
function subsetsOf(names: readonly string[]): string[][] {
  let sets: string[][] = [[]]
  for (const name of names) {
    sets = sets.concat(sets.map((set) => set.concat(name))).slice(0, MAX_STRUCTURES)
  }
  return sets
}
