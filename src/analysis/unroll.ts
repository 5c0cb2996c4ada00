/**
 * Unrolls a formula at given sizes: every element of every axis becomes a scalar of its own. Softmax and its kin
 * become logsumexp and differences. What depends on the order of numbers (sorting) becomes a number of which only
 * bounds are known.
 */
import type { Builder, Ref } from '../language/builder.ts'
import { FUNCTIONS } from '../language/functions.ts'
import { elementsOf, type FormulaOp, type Node } from '../language/ir.ts'
import { offsetsOf, type Sizes, strideOf } from '../language/strides.ts'
import { above } from './interval.ts'
import { toNumber } from './rational.ts'
import type { Scalar, Scalars } from './scalars.ts'

/** Where the numbers of a formula come from. */
export interface Leaves {
  /** Of all axes, renamed ones included. */
  readonly sizes: Sizes
  /** One scalar for each element of an input, in the order of the axes of its node. */
  readonly input: (name: string, axes: readonly string[]) => readonly Scalar[]
  readonly scalar: (name: string) => Scalar
  readonly cotangent: () => Scalar
}

/** A formula that takes more scalars than a proof could handle. */
export class TooManyScalars extends Error {
  override readonly name = 'TooManyScalars'
}

const MAX_SCALARS = 60_000

/** Bounds of a number that may be undefined. */
const ANYTHING = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const
/** Not below pi. */
const HALF_TURN = above(Math.PI)

interface Context {
  readonly into: Scalars
  readonly node: Node<FormulaOp>
  readonly id: Ref
  readonly leaves: Leaves
  readonly formula: Unrollable
  /** All elements of an argument, in the order of its own axes. */
  readonly data: (place: number) => readonly Scalar[]
  /** An argument, element by element of the node's own axes. */
  readonly aligned: (place: number) => readonly Scalar[]
  /** The lines of an argument along the node's axis: for each element of the axes `over`, its elements. */
  readonly lines: (place: number, over: readonly string[]) => readonly (readonly Scalar[])[]
}

/** Ops of which no more than bounds is known. */
const OPAQUE: ReadonlySet<FormulaOp> = new Set([
  'argsort',
  'cummax_place',
  'ctc',
  'ctc_slope',
  'solve_lower',
  'solve_upper',
  'soft_dtw',
  'soft_dtw_slope',
  'atan2',
  'lbeta',
  'polygamma_rise',
] satisfies FormulaOp[])

/** Whether the op becomes a number of which no more than bounds is known. */
export function isOpaque(op: FormulaOp): boolean {
  return OPAQUE.has(op)
}

/** The nodes of a builder or of a program. */
export interface Unrollable {
  readonly nodes: readonly Node<FormulaOp>[]
  /** With it, functions are recognized that compute by a series what has a shorter name. */
  readonly build?: Builder
}

type Rule = (context: Context) => readonly Scalar[]

const elementwise: Rule = ({ into, node, aligned }) => {
  const [a, b] = [aligned(0), node.args.length > 1 ? aligned(1) : undefined]
  return a.map((x, i) => into.make(node.op as 'add', b === undefined ? [x] : [x, b[i]]))
}

const countOf = ({ node, leaves }: Context) => elementsOf(node.axes, leaves.sizes)
const repeated = (context: Context, scalar: Scalar) => new Array<Scalar>(countOf(context)).fill(scalar)

/** A function of a whole line, which leaves one number of it. */
const reduced =
  (combine: (into: Scalars, line: readonly Scalar[]) => Scalar): Rule =>
  ({ into, node, lines }) =>
    lines(0, node.axes).map((line) => combine(into, line))

/** A function of a whole line, which makes one number of each element. */
const alongLine =
  (change: (context: Context, line: readonly Scalar[], place: number) => readonly Scalar[]): Rule =>
  (context) => {
    const { node, lines, leaves } = context
    const others = node.axes.filter((axis) => axis !== node.axis)
    const result = repeated(context, 0)
    const stride = strideOf(leaves.sizes, node.axes, node.axis!)
    const starts = offsetsOf(leaves.sizes, others, node.axes)
    lines(0, others).forEach((line, row) => {
      change(context, line, row).forEach((scalar, k) => {
        result[starts[row] + k * stride] = scalar
      })
    })
    return result
  }

const minus = (into: Scalars, a: Scalar, b: Scalar) => into.make('sub', [a, b])
const largest = (into: Scalars, line: readonly Scalar[]) => line.reduce((a, b) => into.make('max', [a, b]))

const RULES: { readonly [O in FormulaOp]: Rule } = {
  input: ({ node, leaves }) => leaves.input(node.name!, node.axes),
  scalar: ({ node, leaves }) => [leaves.scalar(node.name!)],
  constant: ({ into, node }) => [into.constant(node.value!)],
  index: ({ into, node, leaves }) =>
    Array.from({ length: leaves.sizes[node.axis!] }, (_, k) => into.constant(k)),
  size: ({ into, node, leaves }) => [into.constant(leaves.sizes[node.axis!])],
  cotangent: (context) => repeated(context, context.leaves.cotangent()),

  neg: elementwise,
  abs: elementwise,
  exp: elementwise,
  expm1: elementwise,
  log: elementwise,
  log1p: elementwise,
  log2: elementwise,
  log10: elementwise,
  sqrt: elementwise,
  safe_sqrt: elementwise,
  sigmoid: elementwise,
  tanh: elementwise,
  softplus: elementwise,
  sign: elementwise,
  floor: elementwise,
  round: elementwise,
  sin: elementwise,
  cos: elementwise,
  atan: elementwise,
  asin: elementwise,
  acos: elementwise,
  erf: elementwise,
  lgamma: elementwise,
  digamma: elementwise,
  stop_gradient: ({ aligned }) => aligned(0),
  add: elementwise,
  sub: elementwise,
  mul: elementwise,
  div: elementwise,
  pow: elementwise,
  max: elementwise,
  min: elementwise,
  mul_no_nan: elementwise,
  polygamma: elementwise,
  lt: elementwise,
  le: elementwise,
  eq: elementwise,
  and: elementwise,
  or: elementwise,
  not: elementwise,
  is_finite: elementwise,

  select: ({ into, aligned }) => {
    const [yes, no] = [aligned(1), aligned(2)]
    return aligned(0).map((test, i) => into.select(test, yes[i], no[i]))
  },
  expand: ({ aligned }) => aligned(0),
  rename: ({ aligned }) => aligned(0),
  reduce_sum: reduced((into, line) => into.sum(line)),
  reduce_max: reduced(largest),
  contract: ({ into, node, lines }) => {
    const right = lines(1, node.axes)
    return lines(0, node.axes).map((left, i) =>
      into.sum(left.map((a, k) => into.make('mul', [a, right[i][k]]))),
    )
  },
  pick: ({ into, node, aligned, lines }) => {
    const places = aligned(1)
    return lines(0, node.axes).map((line, i) => picked(into, line, places[i]))
  },

  argsort: opaqueIndex,
  cummax_place: opaqueIndex,
  gather: alongLine(({ into, node, lines }, line, row) =>
    linesBeside(node, lines)[row].map((place) => picked(into, line, place)),
  ),
  scatter: alongLine(({ into, node, lines }, line, row) => {
    const places = linesBeside(node, lines)[row]
    return line.map((_, k) =>
      into.sum(
        line.map((x, i) => into.select(into.make('eq', [places[i], into.constant(k)]), x, into.constant(0))),
      ),
    )
  }),
  // The places that are read are constant, so a derivative is exact; outside of the axis, there is 0.
  shift: alongLine(({ into, data }, line) => {
    const steps = toNumber(into.constantOf(data(1)[0])!)
    return line.map((_, k) => line[k - steps] ?? into.constant(0))
  }),
  cumsum: alongLine(({ into }, line) => line.map((_, k) => into.sum(line.slice(0, k + 1)))),
  reverse_cumsum: alongLine(({ into }, line) => line.map((_, k) => into.sum(line.slice(k)))),
  recurrence: alongLine(({ into, node, lines }, line, row) =>
    recurrence(into, line, linesBeside(node, lines)[row]),
  ),
  reverse_recurrence: alongLine(({ into, node, lines }, line, row) =>
    recurrence(into, line.toReversed(), linesBeside(node, lines)[row].toReversed()).toReversed(),
  ),
  ctc: (context) => opaqueOf(context, [0, Number.POSITIVE_INFINITY]),
  ctc_slope: (context) => opaqueOf(context, [-1, 0]),

  solve_lower: unknown,
  solve_upper: unknown,
  soft_dtw: unknown,
  soft_dtw_slope: unknown,
  lbeta: unknownElements,
  polygamma_rise: unknownElements,
  atan2: (context) => opaqueElements(context, [-HALF_TURN, HALF_TURN]),

  logsumexp: reduced((into, line) => into.logsumexp(line)),
  log_softmax: alongLine(({ into }, line) => line.map((x) => logShare(into, line, x))),
  softmax: alongLine(({ into }, line) => line.map((x) => into.make('exp', [logShare(into, line, x)]))),
  softmax_rest: alongLine(({ into }, line) =>
    line.map((x) => into.make('neg', [into.make('expm1', [logShare(into, line, x)])])),
  ),
  sum_others: alongLine(({ into }, line) => line.map((_, k) => into.sum(line.filter((_, i) => i !== k)))),
  straight_through: (context) => recognized(context) ?? context.aligned(0),
}

/** A place along the axis, which sorting finds. */
function opaqueIndex(context: Context): readonly Scalar[] {
  const { node, leaves } = context
  return opaqueOf(context, [0, leaves.sizes[node.axis!] - 1])
}

/** Nothing is known of the numbers, not even that there are any: a matrix may have no inverse. */
function unknown(context: Context): readonly Scalar[] {
  return opaqueOf(context, ANYTHING)
}

function unknownElements(context: Context): readonly Scalar[] {
  return opaqueElements(context, ANYTHING)
}

/** Every element depends only on the same element of each argument. */
function opaqueElements(context: Context, bounds: readonly [number, number]): readonly Scalar[] {
  const { into, node, aligned } = context
  const args = node.args.map((_, place) => aligned(place))
  return args[0].map((_, i) =>
    into.opaque(
      args.map((arg) => arg[i]),
      node.op,
      bounds,
    ),
  )
}

/** Every element depends on everything that the op gets. */
function opaqueOf(context: Context, bounds: readonly [number, number]): readonly Scalar[] {
  const { into, node, data, id } = context
  const args = [...new Set(node.args.flatMap((_, place) => [...data(place)]))]
  return Array.from({ length: countOf(context) }, (_, i) =>
    into.opaque(args, `${node.op} ${id} ${i}`, bounds),
  )
}

/** The lines of the second argument. */
function linesBeside(node: Node<FormulaOp>, lines: Context['lines']): readonly (readonly Scalar[])[] {
  return lines(
    1,
    node.axes.filter((axis) => axis !== node.axis),
  )
}

/** Each element plus its factor times the result before it. */
function recurrence(into: Scalars, line: readonly Scalar[], factors: readonly Scalar[]): Scalar[] {
  const results: Scalar[] = []
  for (const [k, x] of line.entries()) {
    const last = results.at(-1)
    results.push(last === undefined ? x : into.make('add', [into.make('mul_no_nan', [last, factors[k]]), x]))
  }
  return results
}

/** ln(e^x / sum e^line) as -ln(sum e^(line - x)): bounds of the differences know that a share is at most 1. */
function logShare(into: Scalars, line: readonly Scalar[], x: Scalar): Scalar {
  const isMasked = into.nodes[x].op === 'constant' && into.constantOf(x) === undefined
  if (line.length === 1 || isMasked) return minus(into, x, into.logsumexp(line))
  const others = line.map((other) => (other === x ? into.constant(0) : minus(into, other, x)))
  return into.make('neg', [into.logsumexp(others)])
}

/** The element of a line at a place, 0 outside. */
function picked(into: Scalars, line: readonly Scalar[], place: Scalar): Scalar {
  const known = into.constantOf(place)
  if (known !== undefined) return line[toNumber(known)] ?? into.constant(0)
  return line.reduceRight(
    (rest, x, k) => into.select(into.make('eq', [place, into.constant(k)]), x, rest),
    into.constant(0),
  )
}

/** exp_tail and logaddexp are series and cases for the sake of float32; as real functions they have a shorter form. */
function recognized({ id, node, formula, aligned }: Context): readonly Scalar[] | undefined {
  const { build } = formula
  if (build === undefined) return undefined
  const [, slope] = node.args
  const { op, args } = build.nodes[slope]
  if (op === 'sub' && isCall(build, 'exp_tail', [args[1]], id)) return aligned(1)
  if (op !== 'add' || build.opOf(args[1]) !== 'softplus') return undefined
  const inside = build.nodes[build.argOf(args[1], 0)]
  if (inside.op !== 'sub' || !isCall(build, 'logaddexp', [args[0], inside.args[0]], id)) return undefined
  // ln(e^a + e^b) = a + softplus(b - a)
  return aligned(1)
}

/** Whether a node is what a call of the function is lowered to. Nodes are unique, so it has the same number. */
function isCall(build: Builder, name: string, args: readonly Ref[], id: Ref): boolean {
  return FUNCTIONS.get(name)!.lower(build, args, []) === id
}

/**
 * The scalars of some nodes of a formula.
 *
 * @throws TooManyScalars
 */
export function unroll(
  formula: Unrollable,
  roots: readonly Ref[],
  leaves: Leaves,
  into: Scalars,
): readonly (readonly Scalar[])[] {
  const done = new Map<Ref, readonly Scalar[]>()
  const { nodes } = formula
  for (const id of neededBy(nodes, roots)) {
    const node = nodes[id]
    const { sizes } = leaves
    const axesOf = (place: number) =>
      nodes[node.args[place]].axes.map((axis) =>
        node.op === 'rename' && axis === node.axis ? node.to! : axis,
      )
    const data = (place: number) => done.get(node.args[place])!
    const aligned = (place: number) =>
      Array.from(offsetsOf(sizes, node.axes, axesOf(place)), (offset) => data(place)[offset])
    const lines = (place: number, over: readonly string[]) => {
      const [offsets, stride] = [
        offsetsOf(sizes, over, axesOf(place)),
        strideOf(sizes, axesOf(place), node.axis!),
      ]
      return Array.from(offsets, (offset) =>
        Array.from({ length: sizes[node.axis!] }, (_, k) => data(place)[offset + k * stride]),
      )
    }
    done.set(id, RULES[node.op]({ into, node, id, leaves, formula, data, aligned, lines }))
    if (into.nodes.length > MAX_SCALARS)
      throw new TooManyScalars(`the formula takes more than ${MAX_SCALARS} scalars`)
  }
  return roots.map((root) => done.get(root)!)
}

function neededBy(nodes: readonly Node<FormulaOp>[], roots: readonly Ref[]): Ref[] {
  const isNeeded = new Uint8Array(nodes.length)
  for (const root of roots) isNeeded[root] = 1
  for (let id = nodes.length - 1; id >= 0; id--)
    if (isNeeded[id]) for (const arg of nodes[id].args) isNeeded[arg] = 1
  return nodes.flatMap((_, id) => (isNeeded[id] ? [id] : []))
}
