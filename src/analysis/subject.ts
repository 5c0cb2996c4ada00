/**
 * What is analysed: a loss with its parameters at certain sizes, as a function of one input, for every value that
 * the other inputs may have. Labels and other discrete numbers are tried one after the other (cases); real numbers
 * stay variables with bounds.
 */
import type { Builder } from '../language/builder.ts'
import { lowerValue } from '../language/lower.ts'
import { offsetsOf } from '../language/strides.ts'
import { expandLoss, type InputSpec, type Kind, type Loss, type Params } from '../losses/define.ts'
import {
  axesOf,
  batchAxisOf,
  declaredSizes,
  holdsIndices,
  runTimeParams,
  scopeOf,
} from '../losses/program.ts'
import { type Interval, interval } from './interval.ts'
import { mergeEqualBranches } from './prune-branches.ts'
import { type Scalar, Scalars } from './scalars.ts'
import { unroll } from './unroll.ts'

/** What to analyse. */
export interface AnalysisRequest {
  readonly loss: Loss
  readonly params: Params
  /** The input to which the questions refer. */
  readonly of: string
  /** Input -> the numbers that it may have. */
  readonly domain: Readonly<Record<string, readonly [number, number]>>
  /** Axis -> its length. */
  readonly sizes: Readonly<Record<string, number>>
  /** Losses that it may be equivalent to. */
  readonly catalog?: readonly Loss[]
}

/** The loss for one choice of all discrete inputs. */
export interface Case {
  readonly scalars: Scalars
  /** The sum of all values. */
  readonly root: Scalar
  /** The elements of the input that the questions refer to. */
  readonly by: readonly string[]
  /** Bounds of all variables. */
  readonly box: ReadonlyMap<string, Interval>
  /** Discrete input -> its elements. */
  readonly labels: Readonly<Record<string, readonly number[]>>
  /** Inputs whose elements add up to 1. */
  readonly shares: readonly string[]
}

export interface Subject extends AnalysisRequest {
  readonly cases: readonly Case[]
  /** Whether the cases are all there are. */
  readonly isComplete: boolean
  /** Whether the gradient that is served may be another than the derivative (stop_gradient, straight_through). */
  readonly hasSurrogate: boolean
  /** Input -> its elements, as the variables are called. */
  readonly elements: Readonly<Record<string, number>>
}

/** Cases that are tried, at most. */
const MAX_CASES = 12
/** The same where rows are compared, and each case is a large formula. */
const MAX_PAIRED_CASES = 4

/** Lengths of axes, where nothing else is asked for. */
const DEFAULT_SIZES: Readonly<Record<string, number>> = {
  classes: 5,
  dim: 2,
  items: 3,
  count: 2,
  features: 2,
  thresholds: 3,
  bins: 4,
  time: 3,
  labels: 1,
  head_size: 3,
}

/** Real numbers of each kind, by default; not at the ends where a logarithm is infinite and what bounds it sets in. */
const DOMAINS: Readonly<Partial<Record<Kind, readonly [number, number]>>> = {
  real: [-10, 10],
  positive: [0.01, 10],
  nonnegative: [0.01, 10],
  probability: [1e-6, 1 - 1e-6],
  simplex: [1e-6, 1 - 1e-6],
  logprob: [-10, 0],
  box: [0, 10],
}

const DISCRETE: Readonly<Partial<Record<Kind, readonly number[]>>> = { sign: [-1, 1], binary: [0, 1] }

/** A point that is allowed: elements that have to add up to 1 are divided by their sum. */
export function projectToFeasible({ shares }: Case, at: ReadonlyMap<string, number>): Map<string, number> {
  const inputOf = (name: string) => name.slice(0, name.lastIndexOf('.'))
  const sums = new Map(
    shares.map((input) => [
      input,
      [...at].reduce((sum, [name, x]) => sum + (inputOf(name) === input ? x : 0), 0),
    ]),
  )
  return new Map([...at].map(([name, x]) => [name, x / (sums.get(inputOf(name)) ?? 1)]))
}

/** The name of a variable: an element of an input. */
export const elementName = (input: string, place: number): string => `${input}.${place}`

/**
 * @throws FormulaError, TooManyScalars, RangeError
 * @example
 * subjectOf({ loss: huber, params: { delta: 1 }, of: 'predictions', domain: {}, sizes: {} }).cases.length // 1
 */
export function subjectOf(question: AnalysisRequest): Subject {
  const compiled = compile(question)
  const { sizes, inputs } = compiled
  const elements = Object.fromEntries(
    inputs.map(([name, { axes }]) => [name, axes.reduce((n, axis) => n * sizes[axis], 1)]),
  )
  const choices = inputs.flatMap(([name, spec]) => choicesOf(name, spec, elements[name], question, sizes))
  const { combinations, isComplete } = combinationsOf(
    choices,
    question.loss.couples === 'batch' ? MAX_PAIRED_CASES : MAX_CASES,
  )
  const shares = inputs.flatMap(([name, spec]) => (spec.kindFor(question.params) === 'simplex' ? [name] : []))
  const cases = combinations.map((labels) => {
    const scalars = new Scalars()
    const reals = inputs.filter(([name]) => labels[name] === undefined)
    const box = new Map(
      reals.flatMap(([name, spec]) =>
        Array.from(
          { length: elements[name] },
          (_, place) => [elementName(name, place), boundsOf(name, spec, question)] as const,
        ),
      ),
    )
    const written = compiled.root(scalars, (name, place) =>
      labels[name] === undefined
        ? elementOf(scalars, compiled, name, place)
        : scalars.constant(labels[name][place]),
    )
    const root = mergeEqualBranches(scalars, written)
    const by = Array.from({ length: elements[question.of] }, (_, place) => elementName(question.of, place))
    return { scalars, root, by, box, labels, shares }
  })
  return { ...question, sizes, cases, isComplete, hasSurrogate: compiled.hasSurrogate, elements }
}

/** A loss whose formula can be written into any graph. */
export interface Compiled {
  readonly loss: Loss
  readonly params: Params
  readonly sizes: Readonly<Record<string, number>>
  /** Those that are not optional. */
  readonly inputs: readonly (readonly [name: string, spec: InputSpec])[]
  readonly hasSurrogate: boolean
  /**
   * The sum of all values.
   *
   * @param element an element of an input
   * @param param a parameter that is a real number; default: its value
   */
  readonly root: (
    scalars: Scalars,
    element: (input: string, place: number) => Scalar,
    param?: (name: string) => Scalar,
  ) => Scalar
}

/** @throws FormulaError, RangeError; TooManyScalars when it is written into a graph */
export function compile(question: Pick<AnalysisRequest, 'loss' | 'params' | 'sizes'>): Compiled {
  const { loss, params } = question
  const expanded = expandLoss(loss, params)
  const inputs = Object.entries(expanded.inputs).filter(([, spec]) => !spec.optional)
  const layouts = inputs.map(
    ([name, spec]) =>
      [name, { type: holdsIndices(spec, spec.axes) ? 'index' : 'real', axes: spec.axes }] as const,
  )
  const scope = scopeOf(expanded, { inputs: Object.fromEntries(layouts), params })
  const numbers = runTimeParams(expanded, params)
  const { build, value } = lowerValue(expanded.formula, scope)
  const sizes = sizesOf(expanded, question, build)
  const root: Compiled['root'] = (scalars, element, param = (name) => scalars.constant(numbers[name])) => {
    const input = (name: string, axes: readonly string[]) =>
      Array.from(offsetsOf(sizes, axes, expanded.inputs[name].axes), (place) => element(name, place))
    const leaves = { sizes, input, scalar: param, cotangent: () => scalars.constant(1) }
    const [values] = unroll({ nodes: build.nodes, build }, [value], leaves, scalars)
    return scalars.sum(values)
  }
  const hasSurrogate = build.nodes.some(({ op }) => op === 'stop_gradient' || op === 'straight_through')
  return { loss: expanded, params, sizes, inputs, hasSurrogate, root }
}

/** Whether the gradient that is served may be another than the derivative, because the formula says so. */
export function hasSurrogateGradient(loss: Loss, params: Params): boolean {
  return compile({ loss, params, sizes: {} }).hasSurrogate
}

/** An element as a variable; of a box, the second corner is the first one plus the sides, which are not negative. */
export function elementOf(
  scalars: Scalars,
  { loss, params }: Pick<Compiled, 'loss' | 'params'>,
  name: string,
  place: number,
): Scalar {
  const own = scalars.variable(elementName(name, place))
  const isSide = loss.inputs[name].kindFor(params) === 'box' && place % 4 >= 2
  return isSide ? scalars.make('add', [scalars.variable(elementName(name, place - 2)), own]) : own
}

/** The length of every axis, second names included. */
function sizesOf(
  loss: Loss,
  question: Pick<AnalysisRequest, 'sizes'>,
  build: Builder,
): Record<string, number> {
  const renamed = { ...declaredSizes(loss), ...build.renamed }
  const sizes = new Map<string, number>()
  for (const axis of axesOf(loss)) {
    const source = renamed[axis] ?? axis
    sizes.set(source, lengthOf(loss, source, question.sizes[source] ?? question.sizes[axis]))
  }
  const sourceOf = (axis: string) => renamed[axis] ?? axis
  for (const [rows, columns] of build.square)
    makeEqual(sizes, sourceOf(rows), sourceOf(columns), question.sizes)
  const names = Object.entries(renamed).map(([name, source]) => [name, sizes.get(source)!] as const)
  return { ...Object.fromEntries(sizes), ...Object.fromEntries(names) }
}

/** One row for a loss of rows, a few where rows are compared; one element of `...`, or a few where they are summed. */
function lengthOf(loss: Loss, axis: string, given: number | undefined): number {
  if (isCount(axis)) return Number(axis)
  if (given !== undefined || loss.couples === 'element') return given ?? 1
  const isGroup = loss.couples === 'group'
  if (axis === batchAxisOf(loss)) return loss.couples === 'batch' ? 3 : 1
  if (axis === '...') return isGroup ? 2 : 1
  return isGroup && axis === 'classes' ? 2 : (DEFAULT_SIZES[axis] ?? 2)
}

/** An axis with so many elements. */
const isCount = (axis: string) => /^\d+$/.test(axis)

/**
 * Rows and columns of a square matrix. A default gives way to what is asked for.
 *
 * @throws RangeError if both are asked for, or fixed
 */
function makeEqual(
  sizes: Map<string, number>,
  rows: string,
  columns: string,
  given: AnalysisRequest['sizes'],
) {
  if (sizes.get(rows) === sizes.get(columns)) return
  const isFree = (axis: string) => !isCount(axis) && given[axis] === undefined
  if (isFree(columns)) sizes.set(columns, sizes.get(rows)!)
  else if (isFree(rows)) sizes.set(rows, sizes.get(columns)!)
  else throw new RangeError(`the axes ${rows} and ${columns} of a square matrix must have the same size`)
}

interface Choice {
  readonly name: string
  readonly values: readonly (readonly number[])[]
}

/** All values that the elements of a discrete input may have together; none for a real input. */
function choicesOf(
  name: string,
  spec: InputSpec,
  count: number,
  question: AnalysisRequest,
  sizes: Readonly<Record<string, number>>,
): Choice[] {
  const kind = spec.kindFor(question.params)
  const given = question.domain[name]
  const listed = DISCRETE[kind] ?? (holdsIndices(spec, spec.axes) ? indicesOf(spec, kind, sizes) : undefined)
  if (listed === undefined) return []
  const allowed = given === undefined ? listed : listed.filter((x) => x >= given[0] && x <= given[1])
  if (allowed.length === 0) throw new RangeError(`the domain of ${name} contains none of its values`)
  if (kind === 'index_list') return [{ name, values: listsOf(count) }]
  return [{ name, values: tuplesOf(allowed, count) }]
}

function indicesOf(spec: InputSpec, kind: Kind, sizes: Readonly<Record<string, number>>): number[] {
  const length =
    spec.places === undefined ? (sizes.classes ?? 3) : sizes[spec.places.axis] + spec.places.offset
  if (kind === 'count')
    return Array.from({ length: (spec.atMost === undefined ? 3 : sizes[spec.atMost]) + 1 }, (_, k) => k)
  const first = spec.except === undefined ? 0 : 1
  return Array.from({ length: length - first }, (_, k) => k + first)
}

/** Some first classes, then -1. */
const listsOf = (count: number) =>
  Array.from({ length: count }, (_, listed) =>
    Array.from({ length: count }, (_, k) => (k <= listed ? k : -1)),
  )

/** All tuples, or as many as there may be cases. */
function tuplesOf(values: readonly number[], count: number): number[][] {
  let tuples: number[][] = [[]]
  for (let place = 0; place < count; place++) {
    tuples = tuples.flatMap((tuple) => values.map((value) => [...tuple, value]))
    if (tuples.length > 4096) tuples = spread(tuples, 4096)
  }
  return tuples
}

/** A few of a list, from its beginning to its end. */
const spread = <T>(list: readonly T[], count: number): T[] =>
  Array.from({ length: count }, (_, i) => list[Math.floor((i * (list.length - 1)) / Math.max(1, count - 1))])

function combinationsOf(choices: readonly Choice[], most: number) {
  let combinations: Record<string, readonly number[]>[] = [{}]
  for (const { name, values } of choices) {
    const wider = combinations.flatMap((labels) => values.map((value) => ({ ...labels, [name]: value })))
    combinations = wider
  }
  const isComplete = combinations.length <= most
  return { combinations: isComplete ? combinations : spread(combinations, most), isComplete }
}

function boundsOf(name: string, spec: InputSpec, { domain, params, of }: AnalysisRequest): Interval {
  const kind = spec.kindFor(params)
  const [lo, hi] = domain[name] ?? boundsOfKind(kind, name !== of) ?? DOMAINS.real!
  return interval(lo, hi)
}

/** The numbers of a kind, if these are not all: labels may be certain, predictions are not. */
export function boundsOfKind(kind: Kind, isLabel: boolean): readonly [number, number] | undefined {
  if (isLabel && (kind === 'probability' || kind === 'simplex')) return [0, 1]
  return kind === 'real' ? undefined : DOMAINS[kind]
}
