/**
 * Infers a definition document from a formula and the names that are sent with it. Tensors become inputs, members of
 * `params` become parameters, and axes default to `...`. Numbers are ignored, so equal structures have equal definitions.
 */
import { parse } from '../language/parse.ts'
import {
  type Definition,
  type FormulaText,
  type InputDefinition,
  indexKind,
  type ParamDefinition,
  sourceOf,
} from './custom.ts'
import { parseAxes } from './define.ts'
import { type NameUses, nameUsesIn } from './name-uses.ts'

/** What a request contains in addition to its formula. */
export interface Shorthand {
  readonly formula: FormulaText
  /** Tensor -> whether its dtype is an integer. */
  readonly tensors: Readonly<Record<string, { readonly isInteger: boolean }>>
  readonly params: Readonly<Record<string, unknown>>
  /** Tensor -> its axes. */
  readonly axes: Readonly<Record<string, string>>
}

/**
 * @throws FormulaError if the formula is invalid
 * @example
 * definitionOf({ formula: 'abs(x - y) / s', tensors: { x: real, y: real }, params: { s: 2 }, axes: {} }).inputs
 * // { x: { axes: '...', kind: 'real', differentiable: true }, y: ... }
 */
export function definitionOf({ formula, tensors, params, axes }: Shorthand): Definition {
  const uses = nameUsesIn(parse(sourceOf(formula)))
  const inputs = Object.entries(tensors).map(([name, { isInteger }]) => {
    // Names come from callers: toString is also the name of a member of every object.
    const own = Object.hasOwn(axes, name) ? axes[name] : '...'
    return [name, inputOf(name, own, isInteger, uses)] as const
  })
  const own = Object.entries(params).map(
    ([name, value]) => [name, paramOf(value, uses.words.get(name))] as const,
  )
  return { inputs: Object.fromEntries(rowsFirst(inputs)), params: Object.fromEntries(own), formula }
}

/**
 * The first axis of the first input is the batch axis, so inputs with rows come before inputs that all rows share.
 */
function rowsFirst<T extends readonly [string, InputDefinition]>(inputs: readonly T[]): T[] {
  const rank = ([, { axes = '' }]: T) => {
    const [first] = parseAxes(axes).axes
    return first === 'rows' ? 0 : first === '...' ? 1 : 2
  }
  return [...inputs].sort((a, b) => rank(a) - rank(b))
}

function inputOf(name: string, axes: string, isInteger: boolean, { places }: NameUses): InputDefinition {
  if (!places.has(name)) return { axes, kind: 'real', differentiable: !isInteger }
  return { axes, ...indexKind(places.get(name)) }
}

function paramOf(value: unknown, words: ReadonlySet<string> = new Set()): ParamDefinition {
  if (typeof value === 'boolean') return { type: 'boolean', default: value }
  if (typeof value === 'string') return { enum: [...new Set([value, ...words])].sort(), default: value }
  if (value === null) return { type: ['number', 'null'], default: null }
  return { type: 'number', default: 1 }
}
