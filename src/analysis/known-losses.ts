/**
 * Losses of the catalog that a loss may be a multiple of: those whose inputs can take the place of its own, with
 * parameters among the numbers that occur in its formula.
 */
import { Kind as SchemaKind, type TSchema } from '@sinclair/typebox'
import type { InputSpec, Loss, Params } from '../losses/define.ts'
import { runTimeParams } from '../losses/program.ts'
import { type Rational, toNumber } from './rational.ts'
import { Scalars } from './scalars.ts'
import { type Compiled, compile, elementName, elementOf, type Subject } from './subject.ts'
import { type Tape, tapeOf } from './tape.ts'

/** A loss of the catalog, with an input for each input of the subject. */
export interface KnownLoss {
  readonly compiled: Compiled
  /** Its inputs -> those of the subject. */
  readonly places: ReadonlyMap<string, string>
  /** Its parameters that are real numbers. */
  readonly numbers: readonly string[]
}

/** Combinations of words, truth values and whole numbers of one loss, at most. */
const MAX_FORMS = 24
/** Combinations of real parameters of one loss, at most. */
const MAX_SETTINGS = 300

/** Losses that depend on their rows in the same way, those without parameters first. */
export function lossesLike({ catalog = [], loss }: Subject): readonly Loss[] {
  const count = ({ params }: Loss) => Object.keys(params.properties).length
  return catalog
    .filter(({ name, couples }) => name !== loss.name && couples === loss.couples)
    .sort((a, b) => count(a) - count(b))
}

/** A loss with every combination of its words and truth values, if it could be the same. */
export function variantsOf(loss: Loss, subject: Subject): readonly KnownLoss[] {
  const places = placesFor(loss, subject)
  if (places === undefined) return []
  const sizes = sizesFor(loss, places, subject)
  if (sizes === undefined) return []
  return wordsOf(loss).flatMap((params) => {
    const compiled = compiledOnce(loss, params, sizes)
    if (compiled === undefined) return []
    const numbers = Object.keys(runTimeParams(compiled.loss, params))
    return [{ compiled, places, numbers }]
  })
}

/** Its inputs in their order take the place of the subject's: the one in question first. */
function placesFor(loss: Loss, subject: Subject): Map<string, string> | undefined {
  const required = ({ inputs }: Loss) => Object.keys(inputs).filter((name) => !inputs[name].optional)
  const first = required(loss).find((name) => loss.inputs[name].differentiable)
  const own = required(subject.loss).filter((name) => name !== subject.of)
  const others = required(loss).filter((name) => name !== first)
  if (first === undefined || own.length !== others.length) return undefined
  const places = new Map([[first, subject.of], ...others.map((name, i) => [name, own[i]] as const)])
  const fits = [...places].every(([name, target]) => isAlike(loss.inputs[name], subject.loss.inputs[target]))
  return fits ? places : undefined
}

const DISCRETE: readonly string[] = ['sign', 'binary']

/** Whether one input can take the place of another: the same axes, and numbers for numbers. */
function isAlike(a: InputSpec, b: InputSpec): boolean {
  if (namedAxes(a).length !== namedAxes(b).length || (a.axes[0] === '...') !== (b.axes[0] === '...'))
    return false
  const isIndex = ({ kind }: InputSpec) =>
    kind.startsWith('class') || kind === 'count' || kind === 'index_list'
  if (isIndex(a) || isIndex(b)) return isIndex(a) && isIndex(b)
  return (a.kind === 'box') === (b.kind === 'box')
}

/** Without those of dense prediction, of which there is one element. */
const namedAxes = ({ axes }: InputSpec) => axes.filter((axis) => axis !== '...')

/** Whether an input only has two values. */
export const isTwoValued = ({ kind }: InputSpec): boolean => DISCRETE.includes(kind)

function sizesFor(
  loss: Loss,
  places: ReadonlyMap<string, string>,
  subject: Subject,
): Record<string, number> | undefined {
  const sizes: Record<string, number> = { '...': subject.sizes['...'] ?? 1 }
  for (const [name, target] of places)
    for (const [i, axis] of namedAxes(loss.inputs[name]).entries()) {
      const size = subject.sizes[namedAxes(subject.loss.inputs[target])[i]]
      if (size === undefined || (sizes[axis] ?? size) !== size) return undefined
      sizes[axis] = size
    }
  return sizes
}

/** Defaults first, then every other combination of words, truth values and small numbers. */
function wordsOf({ params: { properties } }: Loss): Params[] {
  let all: Record<string, Params[string]>[] = [{}]
  for (const [name, schema] of Object.entries(properties)) {
    const values = valuesOf(schema)
    all = values.flatMap((value) => all.map((params) => ({ ...params, [name]: value }))).slice(0, MAX_FORMS)
  }
  return all
}

function valuesOf(schema: TSchema): Params[string][] {
  const alternatives: readonly TSchema[] = schema.anyOf ?? [schema]
  const words = alternatives.map((part) => part.const).filter((word) => word !== undefined)
  const own = schema.default as Params[string]
  if (words.length > 0) return [own, ...words.filter((word) => word !== own)]
  if (typeof own === 'boolean') return [own, !own]
  const number = alternatives.find((part) => part[SchemaKind] === 'Number')
  return own === null && number !== undefined ? [null, 1] : [own]
}

const compiledLosses = new WeakMap<Loss, Map<string, Compiled | undefined>>()

/** The same losses are compared with every subject. */
function compiledOnce(loss: Loss, params: Params, sizes: Record<string, number>): Compiled | undefined {
  const known = compiledLosses.get(loss) ?? new Map<string, Compiled | undefined>()
  compiledLosses.set(loss, known)
  const key = JSON.stringify([params, sizes])
  if (!known.has(key)) known.set(key, compiledOrNot(loss, params, sizes))
  return known.get(key)
}

function compiledOrNot(loss: Loss, params: Params, sizes: Record<string, number>): Compiled | undefined {
  try {
    return compile({ loss, params, sizes })
  } catch {
    return undefined
  }
}

const PARAM = 'param '

const tapes = new WeakMap<Compiled, Map<string, Tape>>()

/** A known loss for certain labels, with its parameters as variables. */
export function tapeOfKnown(
  { compiled }: KnownLoss,
  labels: Readonly<Record<string, readonly number[]>>,
): Tape {
  const known = tapes.get(compiled) ?? new Map<string, Tape>()
  tapes.set(compiled, known)
  const key = JSON.stringify(labels)
  const tape = known.get(key) ?? writtenTape(compiled, labels)
  known.set(key, tape)
  return tape
}

function writtenTape(compiled: Compiled, labels: Readonly<Record<string, readonly number[]>>): Tape {
  const scalars = new Scalars()
  const root = compiled.root(
    scalars,
    (name, place) =>
      labels[name] === undefined
        ? elementOf(scalars, compiled, name, place)
        : scalars.constant(labels[name][place]),
    (name) => scalars.variable(PARAM + name),
  )
  return tapeOf(scalars, [root])
}

/** The name of a parameter among the variables of such a tape. */
export const paramName = (variable: string): string | undefined =>
  variable.startsWith(PARAM) ? variable.slice(PARAM.length) : undefined

/** The variable of a known loss -> that of the subject. */
export function correspondingVariable({ places }: KnownLoss, variable: string): string {
  const dot = variable.lastIndexOf('.')
  return elementName(places.get(variable.slice(0, dot))!, Number(variable.slice(dot + 1)))
}

/** Settings of the real parameters: the defaults, and the numbers that occur in the formula and their kin. */
export function settingsOf({ compiled, numbers }: KnownLoss, pool: readonly number[]): Params[] {
  const { loss, params } = compiled
  let all: Record<string, Params[string]>[] = [{}]
  for (const name of numbers) {
    const values = [params[name] as number, ...pool].filter(
      (value, i, list) => list.indexOf(value) === i && isAllowed(loss.params.properties[name], value),
    )
    all = values
      .flatMap((value) => all.map((setting) => ({ ...setting, [name]: value })))
      .slice(0, MAX_SETTINGS)
  }
  return all
}

function isAllowed(schema: TSchema, value: number): boolean {
  const alternatives: readonly TSchema[] = schema.anyOf ?? [schema]
  return alternatives.some(
    ({ [SchemaKind]: kind, minimum, maximum, exclusiveMinimum, exclusiveMaximum }) =>
      kind === 'Number' &&
      value >= (minimum ?? Number.NEGATIVE_INFINITY) &&
      value <= (maximum ?? Number.POSITIVE_INFINITY) &&
      value > (exclusiveMinimum ?? Number.NEGATIVE_INFINITY) &&
      value < (exclusiveMaximum ?? Number.POSITIVE_INFINITY),
  )
}

const MAX_POOL = 64
/** Numbers of the formula itself of which others are made. */
const MAX_OWN = 8

/** The numbers of a formula and what people make of them: shares, halves, squares, complements, reciprocals. */
export function numbersIn({ cases, params }: Subject): readonly number[] {
  const [{ scalars, root }] = cases
  const exact = (x: Rational | undefined) => (x === undefined ? [] : [Math.abs(toNumber(x))])
  const own = scalars.reachable(root).flatMap((id) => {
    const { exact: value, factors = [] } = scalars.nodes[id]
    return [...exact(value), ...factors.flatMap(exact)]
  })
  const given = Object.values(params).filter((value) => typeof value === 'number')
  const few = [...new Set([...given, ...own])].slice(0, MAX_OWN)
  const shares = few.flatMap((x) => few.map((y) => x / (x + y)))
  const kin = few.flatMap((x) => [x, 1 - x, 1 / x, 2 * x, x / 2, Math.sqrt(x), x * x, 1 + x, x - 1])
  const all = [1, 0.5, 2, 0, ...few, ...shares, ...kin].filter(Number.isFinite)
  return [...new Set(all)].slice(0, MAX_POOL)
}
