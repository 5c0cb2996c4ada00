/**
 * Custom losses: turns a definition document into a loss like those of the catalog. The author of a catalog loss
 * states how rows depend on each other; here it is inferred from the formula. This file knows no HTTP;
 * schemas/definition.ts validates the JSON.
 */
import { type TSchema, Type } from '@sinclair/typebox'
import type { InputLayout } from '../language/ir.ts'
import { parse } from '../language/parse.ts'
import {
  defineLoss,
  type Example,
  type InputSpec,
  input,
  type Kind,
  type Loss,
  type LossWarning,
  nullable,
  oneOf,
  type Params,
  parseAxes,
} from './define.ts'
import { checkDenominator } from './denominator.ts'
import { type NameUses, nameUsesIn } from './name-uses.ts'
import {
  batchAxisOf,
  batchDependenceOf,
  createProgramSource,
  holdsIndices,
  type ProgramSignature,
  type ProgramSource,
} from './program.ts'
import { warningsOf } from './warnings.ts'

/** An input as a definition document declares it. */
export interface InputDefinition {
  /** As `parseAxes` reads them; default `...`. */
  readonly axes?: string
  /** Default: `class` for an input that the formula uses as an index of an axis, and `real` for any other. */
  readonly kind?: Kind
  readonly differentiable?: boolean
  readonly optional?: boolean
  readonly about?: string
  /** For class indices: the axis that they index. Default: the one that the formula uses them for, or else classes. */
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

/** A formula as a document contains it: one string, or a list of its lines. */
export type FormulaText = string | readonly string[]

/**
 * The text that the parser reads.
 *
 * @example
 * sourceOf(['e = x - y', 'e^2']) // 'e = x - y\ne^2'
 */
export function sourceOf(text: FormulaText): string {
  return typeof text === 'string' ? text : text.join('\n')
}

/** What a user writes: one JSON document, both for single requests and for the registry. */
export interface Definition {
  /** `namespace/name`; absent if the loss is sent with the request that uses it. */
  readonly name?: string
  readonly about?: string
  readonly inputs: Readonly<Record<string, InputDefinition>>
  readonly params?: Readonly<Record<string, ParamDefinition>>
  readonly formula: FormulaText
  /** What one value adds to the denominator of `mean`. It must not change with a differentiable input. */
  readonly denominator?: FormulaText
  readonly examples?: readonly Omit<Example, 'from'>[]
  readonly references?: readonly string[]
}

/** The name of an unnamed loss in messages and metrics. */
export const ANONYMOUS = 'formula'

/**
 * How many structures are tried before a definition is accepted, and how many operations their programs may have
 * together. Beyond that, a request may be the first to find an error.
 */
const TRIED = { structures: 32, operations: 1024 } as const

/**
 * Creates a loss from its definition. Its formula is lowered and differentiated for the structures that requests
 * can have, so that errors are found now.
 *
 * @param name the name in messages and metrics
 * @param programs where the program of the usual request is cached for the first one
 * @throws FormulaError with line and column; ProgramTooLarge
 * @example
 * customLoss({ inputs: { x: { differentiable: true } }, formula: 'log1p(x^2)' }).couples // 'element'
 */
export function customLoss(
  definition: Definition,
  name = definition.name ?? ANONYMOUS,
  programs = createProgramSource(),
): Loss {
  const declared = declare(definition, name)
  const [usual, ...others] = structuresOf(declared)
  const { program } = programs(declared, usual)
  const tried = [usual, ...tryAll(others, declared, TRIED.operations - program.nodes.length)]
  for (const structure of tried) checkDenominator(declared, structure)
  return Object.freeze({
    ...declared,
    couples: batchDependenceOf(program, declared, batchAxisOf(declared)),
    warnings: warningsOf(declared, tried).map((warning) => ({
      ...warning,
      pointer: linePointer(definition, warning),
    })),
  })
}

/** In a list of lines, the pointer names the line. */
function linePointer({ formula, denominator }: Definition, { pointer, line }: LossWarning): string {
  const text = pointer === '/formula' ? formula : denominator
  return typeof text === 'string' ? pointer : `${pointer}/${line - 1}`
}

/**
 * These programs are not cached: few requests have such structures.
 *
 * @returns the structures that were tried within so many operations
 */
function tryAll(
  structures: readonly ProgramSignature[],
  loss: Loss,
  operations: number,
): readonly ProgramSignature[] {
  const programs: ProgramSource = createProgramSource()
  let left = operations
  const isLeft = (structure: ProgramSignature) => {
    if (left > 0) left -= programs(loss, structure).program.nodes.length
    else return false
    return true
  }
  return structures.filter(isLeft)
}

function declare(definition: Definition, name: string): Loss {
  const { about = '', inputs, params = {}, denominator, references = [], examples = [] } = definition
  const formula = sourceOf(definition.formula)
  const uses = nameUsesIn(parse(formula))
  return defineLoss({
    name,
    family: 'custom',
    couples: 'batch',
    about,
    inputs: mapped(inputs, (input, name) => inputOf(withPlaces(input, name, inputs, uses))),
    params: Type.Object(mapped(params, schemaOf)),
    formula,
    ...(denominator === undefined ? {} : { denominator: sourceOf(denominator) }),
    references,
    examples: examples.map((example) => ({ ...example, from: 'its author' })),
  })
}

function mapped<A, B>(
  record: Readonly<Record<string, A>>,
  change: (value: A, name: string) => B,
): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value, name)]))
}

/** An input that the formula uses as an index contains indices of that axis, if the author does not say otherwise. */
function withPlaces(
  input: InputDefinition,
  name: string,
  inputs: Definition['inputs'],
  { places }: NameUses,
): InputDefinition {
  const isStated = input.places !== undefined || (input.kind ?? 'class') !== 'class'
  if (isStated || input.differentiable || !places.has(name)) return input
  const axis = places.get(name)
  const isAxis = Object.values(inputs).some(({ axes = '...' }) => parseAxes(axes).axes.includes(axis ?? ''))
  if (isAxis) return { ...input, ...indexKind(axis) }
  return input.kind === undefined && axis === undefined ? { ...input, ...indexKind(undefined) } : input
}

/** What an input of places is: indices of an axis, or whole numbers that a place is computed from. */
export function indexKind(axis: string | undefined): Pick<InputDefinition, 'kind' | 'places'> {
  return axis === undefined ? { kind: 'count' } : { kind: 'class', places: axis }
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
 * The structures that requests can have: with and without each optional input, and with each word and boolean. The
 * first one is a request with all inputs and default parameters.
 */
function structuresOf(loss: Loss): [ProgramSignature, ...ProgramSignature[]] {
  const optional = Object.keys(loss.inputs).filter((name) => loss.inputs[name].optional)
  const absences = subsetsOf(optional)
  const params = paramsOf(loss)
  const all = absences.flatMap((absent) => params.map((values) => structureOf(loss, absent, values)))
  return all.slice(0, TRIED.structures) as [ProgramSignature, ...ProgramSignature[]]
}

/** A request with all inputs and default parameters. */
export function defaultSignature(loss: Loss): ProgramSignature {
  return structureOf(loss, [], paramsOf(loss)[0])
}

function structureOf(loss: Loss, absent: readonly string[], params: Params): ProgramSignature {
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

/** The defaults first, then with each other word, boolean and null in their place. */
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

/** All subsets, from the empty one on, but not more than are tried. */
function subsetsOf(names: readonly string[]): string[][] {
  let sets: string[][] = [[]]
  for (const name of names) {
    sets = sets.concat(sets.map((set) => set.concat(name))).slice(0, TRIED.structures)
  }
  return sets
}
