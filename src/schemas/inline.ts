/**
 * Inline losses: custom losses that are sent with the request, as a definition document or only as a formula. Equal definitions
 * give the same loss, which is cached by the structure of the body and by its content.
 */
import { Problem, pluralize, pointerToken, problemAt, problemAtAll } from '../errors.ts'
import { FormulaError } from '../language/ast.ts'
import { parse } from '../language/parse.ts'
import { ANONYMOUS, type FormulaText, sourceOf } from '../losses/custom.ts'
import { type ResolvedLoss, withoutPreset } from '../losses/define.ts'
import { namesIn } from '../losses/name-uses.ts'
import type { ProgramSource } from '../losses/program.ts'
import { definitionOf, type Shorthand } from '../losses/shorthand.ts'
import { LruCache } from '../lru.ts'
import { didYouMean } from '../nearest.ts'
import { isInteger } from '../tensor.ts'
import type { Decoded } from '../wire/define.ts'
import { checkDefinition, formulaProblem, wrongFormula } from './definition.ts'
import { axisTexts } from './formula-source.ts'
import { onlyIntegers } from './gradients.ts'
import { COMMON_TENSORS } from './request.ts'

/** Maximum size of a definition document as JSON, in bytes. */
export const MAX_DEFINITION_BYTES = 65_536

/** Limits of the cache: definitions, and their characters. A loss takes about 30 bytes per character. */
const CACHED = { entries: 512, weight: 2 ** 19 } as const

type Losses = LruCache<string, ResolvedLoss>

/**
 * A source of losses for definitions anywhere in a body.
 *
 * @param pointer JSON pointer to the definition
 * @throws Problem that says what is wrong with the definition
 */
export type DefinitionSource = (definition: unknown, pointer: string) => ResolvedLoss

/**
 * A source with its own bounded cache. Equal definitions give the same object.
 *
 * @param programs the cache for their programs
 */
export function createDefinitionSource(programs?: ProgramSource): DefinitionSource {
  const byContent: Losses = new LruCache(CACHED)
  return (definition, pointer) => {
    const key = JSON.stringify(definition)
    checkSize(key, pointer)
    const make = () => withoutPreset(checkDefinition(definition, pointer, ANONYMOUS, programs))
    return byContent.get(key) ?? byContent.set(key, make(), key.length)
  }
}

/** The loss that a body defines, and the rest of the body. */
export interface Inline {
  readonly resolved: ResolvedLoss
  readonly request: Decoded
}

/** @throws Problem that says what is wrong with the definition */
export type InlineSource = (decoded: Decoded) => Inline

/**
 * A source with its own bounded cache.
 *
 * @param programs the cache for the programs of new losses
 */
export function createInlineSource(programs?: ProgramSource): InlineSource {
  const byStructure = new WeakMap<object, Known>()
  const definitions = createDefinitionSource(programs)
  const formulas = createFormulaSource(programs)
  return (decoded) => {
    const { structure } = decoded
    const known = structure && byStructure.get(structure)
    const again = known?.loss.deref()
    if (again !== undefined) return { resolved: again, request: { ...decoded, options: known!.options } }
    const resolved = resolve(decoded, definitions, formulas)
    const options = withoutDefinition(decoded.options)
    if (structure !== undefined) byStructure.set(structure, { loss: new WeakRef(resolved), options })
    return { resolved, request: { ...decoded, options } }
  }
}

/** What is cached for the structure of a body. The loss itself is kept alive only by the bounded caches. */
interface Known {
  readonly loss: WeakRef<ResolvedLoss>
  readonly options: Decoded['options']
}

function withoutDefinition(options: Decoded['options']): Decoded['options'] {
  const others = new Map(options)
  for (const name of ['definition', 'formula', 'axes']) others.delete(name)
  return others
}

function resolve(decoded: Decoded, definitions: DefinitionSource, formulas: FormulaSource): ResolvedLoss {
  const { options } = decoded
  const [definition, formula] = [options.get('definition'), options.get('formula')]
  if ((definition === undefined) === (formula === undefined)) {
    const detail = 'send either a formula or a definition'
    throw problemAt('missing-input', definition === undefined ? '/formula' : '/definition', detail)
  }
  if (definition === undefined) return formulas(formula, decoded)
  if (options.has('axes')) {
    const detail = 'is only for a formula; a definition specifies the axes of its inputs'
    throw problemAt('unknown-name', '/axes', detail)
  }
  return definitions(definition, '/definition')
}

/** @throws Problem `payload-too-large` */
export function checkSize(json: string, pointer: string) {
  const bytes = Buffer.byteLength(json)
  if (bytes <= MAX_DEFINITION_BYTES) return
  throw problemAt(
    'payload-too-large',
    pointer,
    `has ${pluralize(bytes, 'bytes')}, the limit is ${MAX_DEFINITION_BYTES}`,
  )
}

type FormulaSource = (formula: unknown, decoded: Decoded) => ResolvedLoss

function createFormulaSource(programs: ProgramSource | undefined): FormulaSource {
  const known: Losses = new LruCache(CACHED)
  return (formula, decoded) => {
    const wrong = wrongFormula(formula, '/formula')
    if (wrong !== undefined) throw problemAt('invalid-value', wrong.pointer, wrong.detail)
    const shorthand = shorthandOf(formula as FormulaText, decoded)
    checkHasTensors(shorthand)
    const kinds = Object.entries(shorthand.params).map(([name, value]) => [name, kindOf(value)])
    const key = JSON.stringify([formula, shorthand.tensors, shorthand.axes, kinds])
    const resolved = known.get(key) ?? known.set(key, defineShorthand(shorthand, programs), key.length)
    checkHasFloats(resolved, decoded)
    return resolved
  }
}

/** Who sends a formula declares no gradients: without any, all of the numbers were sent as integers. */
function checkHasFloats({ loss: { inputs } }: ResolvedLoss, { options }: Decoded) {
  if (Object.values(inputs).some(({ differentiable }) => differentiable)) return
  const isAsked = (options.get('gradients') ?? true) === true
  const names = Object.keys(inputs).filter((name) => inputs[name].kind === 'real')
  if (isAsked && names.length > 0) throw onlyIntegers(names)
}

/** The part of a parameter that belongs to the definition. The value of a number does not. */
function kindOf(value: unknown): unknown {
  return typeof value === 'number' ? 'number' : value
}

function defineShorthand(shorthand: Shorthand, programs: ProgramSource | undefined): ResolvedLoss {
  try {
    // An unknown name in the formula is reported first. Because of a typo, the tensor that it should name is unused, too.
    const resolved = withoutPreset(checkDefinition(definitionOf(shorthand), '', ANONYMOUS, programs))
    checkAllUsed(shorthand)
    return resolved
  } catch (error) {
    if (error instanceof FormulaError) throw formulaProblem(error, '', shorthand)
    throw error instanceof Problem ? withoutInputs(error) : error
  }
}

/** A shorthand declares no inputs: their axes are under `/axes`, and the tensors at the top level of the body. */
function withoutInputs(problem: Problem): Problem {
  const errors = (problem.options.errors ?? []).map((error) => ({
    ...error,
    pointer: shorter(error.pointer),
  }))
  const isPlaced = errors.length > 0 && problem.code !== 'formula-invalid'
  return isPlaced ? problemAtAll(problem.code, errors) : problem
}

function shorter(pointer: string): string {
  const [, name, part] = /^\/inputs\/([^/]+)(?:\/(\w+))?$/.exec(pointer) ?? []
  if (name === undefined) return pointer === '/inputs' ? '/axes' : pointer
  if (part === 'places') return '/axes'
  return part === 'axes' ? `/axes/${name}` : `/${name}`
}

function shorthandOf(formula: FormulaText, { tensors, options }: Decoded): Shorthand {
  const own = [...tensors].filter(([name]) => !Object.hasOwn(COMMON_TENSORS, name))
  const params = options.get('params') ?? {}
  if (typeof params !== 'object') throw problemAt('invalid-value', '/params', 'must be an object')
  return {
    formula,
    tensors: Object.fromEntries(own.map(([name, { dtype }]) => [name, { isInteger: isInteger(dtype) }])),
    params: params as Shorthand['params'],
    axes: checkAxes(
      options.get('axes') ?? {},
      own.map(([name]) => name),
    ),
  }
}

function checkAxes(given: unknown, tensors: readonly string[]): Shorthand['axes'] {
  const axes = axisTexts(given)
  const strange = Object.keys(axes).find((name) => !tensors.includes(name))
  if (strange === undefined) return axes
  const detail = `there is no tensor with this name${didYouMean(strange, tensors)}`
  throw problemAt('unknown-name', `/axes/${pointerToken(strange)}`, detail)
}

/** @throws Problem `missing-input` if there is no tensor; the message lists the names that the formula uses */
function checkHasTensors({ formula, tensors, params }: Shorthand) {
  if (Object.keys(tensors).length > 0) return
  const names = [...namesUsed(formula)].filter((name) => !Object.hasOwn(params, name)).slice(0, 8)
  const which = names.length === 0 ? '' : ` (${names.join(', ')})`
  const detail = `the body contains no tensors: send those that the formula uses${which} as top-level members`
  throw problemAt('missing-input', '/formula', detail)
}

/** @throws Problem `formula-invalid` */
function namesUsed(formula: FormulaText): ReadonlySet<string> {
  try {
    return namesIn(parse(sourceOf(formula)))
  } catch (error) {
    if (error instanceof FormulaError) throw formulaProblem(error, '', { formula })
    throw error
  }
}

/** Otherwise, an unused tensor or parameter would be silently ignored. */
function checkAllUsed({ formula, tensors, params }: Shorthand) {
  const names = namesIn(parse(sourceOf(formula)))
  const strange = [
    ...Object.keys(tensors).map((name) => ({ name, pointer: `/${pointerToken(name)}` })),
    ...Object.keys(params).map((name) => ({ name, pointer: `/params/${pointerToken(name)}` })),
  ].filter(({ name }) => !names.has(name))
  if (strange.length === 0) return
  const errors = strange.map(({ name, pointer }) => {
    return { pointer, detail: `the formula does not use "${name.slice(0, 64)}"${didYouMean(name, names)}` }
  })
  throw new Problem('unknown-name', `${errors[0].pointer}: ${errors[0].detail}`, { errors })
}
