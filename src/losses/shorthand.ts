/**
 * Infers a definition document from a formula and the names that are sent with it. Tensors become inputs, members of
 * `params` become parameters, and axes default to `...`. Numbers are ignored, so equal structures have equal definitions.
 */
import { type Expression, type Formula, partsOf } from '../language/ast.ts'
import { parse } from '../language/parse.ts'
import type { Definition, InputDefinition, ParamDefinition } from './custom.ts'
import type { Kind } from './define.ts'

/** What a request contains in addition to its formula. */
export interface Shorthand {
  readonly formula: string
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
  const uses = usesIn(parse(formula))
  const inputs = Object.entries(tensors).map(([name, { isInteger }]) => {
    return [name, inputOf(axes[name] ?? '...', isInteger, uses.places.get(name))] as const
  })
  const own = Object.entries(params).map(
    ([name, value]) => [name, paramOf(value, uses.words.get(name))] as const,
  )
  return { inputs: Object.fromEntries(rowsFirst(inputs)), params: Object.fromEntries(own), formula }
}

/**
 * The first axis of the first input is that of the rows, so an input with rows comes before inputs that all rows
 * share.
 */
function rowsFirst<T extends readonly [string, InputDefinition]>(inputs: readonly T[]): T[] {
  const rank = ([, { axes = '' }]: T) => {
    const [first] = axes.split(',')
    return first === 'rows' ? 0 : first === '...' ? 1 : 2
  }
  return [...inputs].sort((a, b) => rank(a) - rank(b))
}

function inputOf(axes: string, isInteger: boolean, places: string | undefined): InputDefinition {
  if (places === undefined) return { axes, kind: 'real', differentiable: !isInteger }
  return { axes, kind: 'class' satisfies Kind, places }
}

function paramOf(value: unknown, words: ReadonlySet<string> = new Set()): ParamDefinition {
  if (typeof value === 'boolean') return { type: 'boolean', default: value }
  if (typeof value === 'string') return { enum: [...new Set([value, ...words])].sort(), default: value }
  if (value === null) return { type: ['number', 'null'], default: null }
  return { type: 'number', default: 1 }
}

/** How a formula uses names. */
interface Uses {
  /** Name -> the axis that it is used as an index of. */
  readonly places: Map<string, string>
  /** Name -> the words that it is compared with. */
  readonly words: Map<string, Set<string>>
}

/** Functions that take an index of an axis, and the positions of both arguments. */
const PLACES: Readonly<Record<string, { readonly place: number; readonly axis: number }>> = {
  pick: { place: 1, axis: 2 },
  gather: { place: 1, axis: 2 },
  scatter: { place: 1, axis: 2 },
  one_hot: { place: 0, axis: 1 },
}

function usesIn({ statements }: Formula): Uses {
  const uses: Uses = { places: new Map(), words: new Map() }
  for (const { value } of statements) collect(value, uses)
  return uses
}

function collect(expression: Expression, uses: Uses) {
  if (expression.kind === 'call') collectPlace(expression.name, expression.arguments, uses)
  if (expression.kind === 'binary') collectWord(expression, uses)
  for (const part of partsOf(expression)) collect(part, uses)
}

function collectPlace(name: string, args: readonly Expression[], { places }: Uses) {
  const found = Object.hasOwn(PLACES, name) ? PLACES[name] : undefined
  const [place, axis] = [args[found?.place ?? -1], args[found?.axis ?? -1]]
  if (place?.kind === 'name' && axis?.kind === 'name') places.set(place.name, axis.name)
}

function collectWord({ operator, left, right }: Expression & { kind: 'binary' }, { words }: Uses) {
  if ((operator !== '==' && operator !== '!=') || left.kind !== 'name' || right.kind !== 'name') return
  words.set(left.name, (words.get(left.name) ?? new Set()).add(right.name))
}

/** Names that a formula reads and does not assign: its inputs and parameters, and names of axes. */
export function namesIn({ statements }: Formula): ReadonlySet<string> {
  const found = new Set<string>()
  const walk = (expression: Expression) => {
    if (expression.kind === 'name') found.add(expression.name)
    for (const part of partsOf(expression)) walk(part)
  }
  for (const { value } of statements) walk(value)
  return found
}
