/**
 * Reverse-mode automatic differentiation as a table of rules: op -> the contribution to the gradient of each
 * argument. The conventions at kinks are the published ones (docs/language.md): 0 at |0|, 0 on the inactive side of
 * a hinge, an even split among tied maxima, 0 at a zero norm.
 */
import type { Builder, Ref } from './builder.ts'
import { accumulateGradients } from './cancellation-free-sum.ts'
import { flattenSum, sumTerms } from './flattened-sum.ts'
import type { FormulaOp, Node } from './ir.ts'
import { atan2Derivatives } from './pseudo-ops.ts'
import { oneHotIndexOf } from './simplify.ts'

interface Context {
  readonly build: Builder
  readonly node: Node<FormulaOp>
  /** The node itself: the rules of exp, tanh ... are shortest in terms of their own result. */
  readonly y: Ref
  /** The upstream gradient: d loss / d y. */
  readonly g: Ref
  /** g * d, or the gated product if the node may be on a branch of `?:` that was not taken. */
  readonly times: (g: Ref, d: Ref) => Ref
  /** Whether it may be on such a branch. */
  readonly silenced: boolean
  /** Whether the argument depends on an input that may be differentiated, and so shares ties. */
  readonly varies: (arg: Ref) => boolean
}

/** The contribution to each argument; undefined for none. */
type Rule = (context: Context, ...args: Ref[]) => readonly (Ref | undefined)[]

/** Piecewise constant, or not a number: no gradient. */
const silent: Rule = () => []

const RULES: { readonly [O in FormulaOp]: Rule } = {
  input: silent,
  scalar: silent,
  constant: silent,
  index: silent,
  size: silent,
  cotangent: silent,
  stop_gradient: silent,
  sign: silent,
  floor: silent,
  round: silent,
  lt: silent,
  le: silent,
  eq: silent,
  and: silent,
  or: silent,
  not: silent,
  is_finite: silent,
  argsort: silent,
  cummax_place: silent,
  ctc_slope: silent,
  soft_dtw_slope: silent,

  // Linear: the derivative is a constant.
  neg: ({ build, g }) => [build.neg(g)],
  add: ({ g }) => [g, g],
  sub: ({ build, g }) => [g, build.neg(g)],
  expand: ({ g }) => [g],
  straight_through: ({ g }) => [undefined, g],
  reduce_sum: ({ g }) => [g],
  rename: ({ build, node, g }) => [build.rename(g, node.to!, node.axis!)],
  select: ({ build, g }, test) => {
    const zero = build.constant(0)
    return [undefined, build.select(test, g, zero), build.select(test, zero, g)]
  },
  pick: ({ build, node, g }, _x, place) => {
    const here = build.eq(build.index(node.axis!), place)
    return [build.select(here, g, build.constant(0))]
  },
  shift: ({ build, node, g }, _x, steps) => [build.shift(g, -build.constantOf(steps)!, node.axis!)],
  gather: ({ build, node, g }, _x, place) => [build.scatter(g, place, node.axis!)],
  // An upstream gradient that is the same for the whole axis has to get the axis first: these ops depend on places.
  scatter: ({ build, node, g }, _x, place) => [
    build.gather(build.expand(g, [node.axis!]), place, node.axis!),
  ],
  cumsum: ({ build, node, g }) => [
    build.make('reverse_cumsum', [build.expand(g, [node.axis!])], { axis: node.axis! }),
  ],
  reverse_cumsum: ({ build, node, g }) => [build.cumsum(g, node.axis!)],
  recurrence: (context, _x, factor) => sharesOfRecurrence(context, factor, 'reverse_recurrence', 1),
  reverse_recurrence: (context, _x, factor) => sharesOfRecurrence(context, factor, 'recurrence', -1),

  // Bilinear.
  mul: ({ times, g }, a, b) => [times(g, b), times(g, a)],
  // What weighs nothing passes nothing on, whatever comes back.
  mul_no_nan: ({ build, times, g }, a, b) => [times(g, b), build.mulNoNan(a, g)],
  contract: (context, a, b) => {
    const { build, g } = context
    if (!context.silenced) return [build.mul(g, b), build.mul(g, a)]
    const counted = withoutTraps(context)
    return [build.mul(counted, finitePart(build, b)), build.mul(counted, finitePart(build, a))]
  },
  div: ({ build, times, g, y }, _a, b) => {
    const reciprocal = build.div(build.constant(1), b)
    return [times(g, reciprocal), build.neg(times(g, build.mul(y, reciprocal)))]
  },

  // d|x| = sign x, and sign 0 = 0.
  abs: ({ build, times, g }, x) => [times(g, build.make('sign', [x]))],
  exp: ({ times, g, y }) => [times(g, y)],
  // Not y + 1: far left, where e^x - 1 rounds to -1, that has no digit of e^x left.
  expm1: ({ build, times, g }, x) => [times(g, build.exp(x))],
  log: ({ build, times, g }, x) => [times(g, build.div(build.constant(1), x))],
  log1p: ({ build, times, g }, x) => [
    times(g, build.div(build.constant(1), build.add(build.constant(1), x))),
  ],
  log2: ({ build, times, g }, x) => [times(g, build.div(build.constant(Math.LOG2E), x))],
  log10: ({ build, times, g }, x) => [times(g, build.div(build.constant(Math.LOG10E), x))],
  sqrt: ({ build, times, g, y }) => [times(g, build.div(build.constant(0.5), y))],
  safe_sqrt: ({ build, times, g, y }) => {
    const zero = build.constant(0)
    return [build.select(build.eq(y, zero), zero, times(g, build.div(build.constant(0.5), y)))]
  },
  // s' = s (1 - s) = s(x) s(-x): written with -x, it does not cancel where s is near 1.
  sigmoid: ({ build, times, g, y }, x) => [times(g, build.mul(y, build.make('sigmoid', [build.neg(x)])))],
  tanh: ({ build, times, g, y }) => [times(g, build.sub(build.constant(1), build.mul(y, y)))],
  softplus: ({ build, times, g }, x) => [times(g, build.make('sigmoid', [x]))],
  sin: ({ build, times, g }, x) => [times(g, build.make('cos', [x]))],
  cos: ({ build, times, g }, x) => [build.neg(times(g, build.make('sin', [x])))],
  atan: ({ build, times, g }, x) => {
    return [times(g, build.div(build.constant(1), build.add(build.constant(1), build.mul(x, x))))]
  },
  asin: ({ build, times, g }, x) => [times(g, slopeOfArc(build, x))],
  acos: ({ build, times, g }, x) => [build.neg(times(g, slopeOfArc(build, x)))],
  // erf' = 2/sqrt(pi) e^(-x^2)
  erf: ({ build, times, g }, x) => {
    const bell = build.exp(build.neg(build.mul(x, x)))
    return [times(g, build.mul(build.constant(2 / Math.sqrt(Math.PI)), bell))]
  },
  lgamma: ({ build, times, g }, x) => [times(g, build.make('digamma', [x]))],
  digamma: ({ build, times, g }, x) => [times(g, build.make('polygamma', [build.constant(1), x]))],
  polygamma: ({ build, times, g }, n, x) => {
    const next = build.constant(build.constantOf(n)! + 1)
    return [undefined, times(g, build.make('polygamma', [next, x]))]
  },
  atan2: ({ build, times, g }, y, x) => {
    const [upward, rightward] = atan2Derivatives(build, y, x)
    return [times(g, upward), times(g, rightward)]
  },
  lbeta: ({ build, times, g }, a, b) => {
    const slope = (x: Ref, d: Ref) => build.neg(build.make('polygamma_rise', [build.constant(0), x, d]))
    return [times(g, slope(a, b)), times(g, slope(b, a))]
  },
  polygamma_rise: ({ build, times, g }, n, x, d) => {
    const next = build.constant(build.constantOf(n)! + 1)
    const slope = build.make('polygamma', [next, build.add(x, d)])
    return [undefined, times(g, build.make('polygamma_rise', [next, x, d])), times(g, slope)]
  },
  // d a^b = b a^(b-1) da + a^b ln a db. b = 0 makes the first a plain 0 (not 0 * inf at a = 0), a = 0 the second.
  pow: ({ build, times, g, y }, a, b) => {
    const [zero, one] = [build.constant(0), build.constant(1)]
    const slope = build.mul(b, build.make('pow', [a, build.sub(b, one)]))
    const growth = build.mul(y, build.make('log', [a]))
    return [
      times(g, build.select(build.eq(b, zero), zero, slope)),
      times(g, build.select(build.eq(a, zero), zero, growth)),
    ]
  },
  ctc: ({ build, node, times, g }, ...args) => [
    times(g, build.make('ctc_slope', args, { axis: node.axis!, to: node.to! })),
  ],
  soft_dtw: ({ build, node, times, g }, ...args) => [
    times(g, build.make('soft_dtw_slope', args, { axis: node.axis!, to: node.to! })),
  ],
  solve_lower: (context, matrix) => sharesOfSolve(context, matrix, 'solve_upper'),
  solve_upper: (context, matrix) => sharesOfSolve(context, matrix, 'solve_lower'),

  logsumexp: ({ build, node, times, g }, x) => [times(g, softmax(build, x, node.axis!))],
  log_softmax: (context, x) => {
    const { build, g } = context
    const parts = flattenSum(build, [{ ref: g, negative: false }]) ?? [{ ref: g, negative: false }]
    const shares = parts.map(({ ref, negative }) => ({ ref: shareOfLogSoftmax(context, ref, x), negative }))
    return [sumTerms(build, shares)]
  },
  softmax: (context, x) => [shareOfSoftmax(context, context.y, x)],
  softmax_rest: (context, x) => {
    const { build, node } = context
    return [build.neg(shareOfSoftmax(context, softmax(build, x, node.axis!), x))]
  },
  sum_others: ({ build, node, g }) => [build.sumOthers(g, node.axis!)],

  max: (context, a, b) => larger(context, a, b, (x, y) => context.build.lt(y, x)),
  min: (context, a, b) => larger(context, a, b, (x, y) => context.build.lt(x, y)),
  // Every place that holds the maximum gets an equal share.
  reduce_max: ({ build, node, times, g, y }, x) => {
    const tied = build.select(build.eq(x, y), build.constant(1), build.constant(0))
    const share = build.div(tied, build.make('reduce_sum', [tied], { axis: node.axis! }))
    return [times(g, share)]
  },
}

/** 1 / sqrt(1 - x^2), in factors that keep their digits where x is near 1. */
function slopeOfArc(build: Builder, x: Ref): Ref {
  const one = build.constant(1)
  const square = build.mul(build.sub(one, x), build.add(one, x))
  return build.div(one, build.make('sqrt', [square]))
}

/**
 * For A x = b with the gradient g of x: the gradient of b solves the transposed system A' back = g, and that of A is -back x'
 * within its triangle. If g is 0, both are 0, whatever the matrix contains.
 */
function sharesOfSolve(
  { build, node, times, silenced, g, y }: Context,
  matrix: Ref,
  transposed: 'solve_lower' | 'solve_upper',
): readonly Ref[] {
  const { axis: rows, to: columns } = node
  const solved = build.solve(transposed, matrix, g, columns!, rows!)
  const zero = build.constant(0)
  const isReached = build.lt(zero, build.max(build.make('abs', [g]), columns!))
  const back = silenced ? build.select(isReached, solved, zero) : solved
  return [onTriangle(build, node, build.neg(times(back, y))), back]
}

/** x in the triangle that a solver reads, and 0 elsewhere. */
export function onTriangle(build: Builder, { op, axis, to }: Node<FormulaOp>, x: Ref): Ref {
  const [row, column] = [build.index(axis!), build.index(to!)]
  const isRead = build.make('le', op === 'solve_lower' ? [column, row] : [row, column])
  return build.select(isRead, x, build.constant(0))
}

/**
 * For y_k = x_k + a_k y_(k-1) with the gradient g of y: the gradient of x is the recurrence in the other direction, where each element
 * has the factor of the one that it flows into, and that of a_k is y_(k-1) times that of x_k.
 *
 * @param step 1 if the element before y_k is y_(k-1), -1 if it is y_(k+1)
 */
function sharesOfRecurrence(
  { build, node, times, g, y }: Context,
  factor: Ref,
  transposed: 'recurrence' | 'reverse_recurrence',
  step: 1 | -1,
): readonly Ref[] {
  const axis = node.axis!
  const back = build.recurrence(transposed, g, build.shift(factor, -step, axis), axis)
  return [back, times(back, build.shift(y, step, axis))]
}

function softmax(build: Builder, x: Ref, axis: string): Ref {
  return build.make('softmax', [x], { axis })
}

function softmaxRest(build: Builder, x: Ref, axis: string): Ref {
  return build.make('softmax_rest', [x], { axis })
}

/**
 * g_j - p_j sum_k g_k, in parts that keep their digits where p_j is near 1: g_j (1 - p_j) - p_j sum of the other
 * g_k.
 */
function shareOfLogSoftmax({ build, node, times }: Context, g: Ref, x: Ref): Ref {
  const axis = node.axis!
  const [p, rest] = [softmax(build, x, axis), softmaxRest(build, x, axis)]
  const one = onlyOne(build, g, axis)
  if (one === undefined) return build.sub(times(g, rest), times(build.sumOthers(g, axis), p))
  const own = times(one.g, build.pick(rest, one.place, axis))
  return build.select(one.test, own, times(build.neg(build.sum(g, axis)), p))
}

/** p_j (g_j - sum_k g_k p_k), in similar parts. */
function shareOfSoftmax(context: Context, p: Ref, x: Ref): Ref {
  const { build, node, times, g } = context
  const axis = node.axis!
  const rest = softmaxRest(build, x, axis)
  const one = onlyOne(build, g, axis)
  if (one === undefined) {
    const own = times(g, p)
    return build.sub(times(own, rest), times(build.sumOthers(own, axis), p))
  }
  const own = times(one.g, build.pick(p, one.place, axis))
  return build.select(one.test, times(own, build.pick(rest, one.place, axis)), times(build.neg(own), p))
}

/** Recognizes a gradient of a single element of an axis: `test ? g : 0`, with a test for its index. */
function onlyOne(build: Builder, received: Ref, axis: string) {
  if (build.opOf(received) !== 'select') return undefined
  const [test, g, no] = build.nodes[received].args
  const place = build.opOf(test) === 'eq' ? oneHotIndexOf(build, test, axis) : undefined
  const isAlone = place !== undefined && build.is(no, 0) && !build.axesOf(g).includes(axis)
  return isAlone ? { test, g, place } : undefined
}

/**
 * The larger one in `max`, or the smaller one in `min`, gets the whole gradient. At a tie, two variables share it
 * evenly. A variable gets nothing at a tie with a constant, so that the gradient of a hinge max(x, 0) is 0 at its
 * corner.
 */
function larger(context: Context, a: Ref, b: Ref, wins: (x: Ref, y: Ref) => Ref): readonly Ref[] {
  const { build, g, varies } = context
  const zero = build.constant(0)
  const atTie =
    varies(a) && varies(b) ? build.select(build.eq(a, b), build.mul(build.constant(0.5), g), zero) : zero
  return [build.select(wins(a, b), g, atTie), build.select(wins(b, a), g, atTie)]
}

/**
 * A gated product is not possible inside of a matrix product, and outside of it the products would need all axes at
 * once. So for each pair that counts and is not finite, g becomes infinite or NaN, and the factors are set to 0
 * where they are not finite. A plain product then gives 0 for the pairs that do not count, whatever their rows
 * contain.
 */
function withoutTraps({ build, g, y }: Context): Ref {
  return build.select(build.make('is_finite', [y]), g, build.mulNoNan(g, y))
}

/**
 * x, with 0 where it is not finite. It is built under the first name of its axes, so that x and x[rows -> others]
 * share it.
 */
function finitePart(build: Builder, x: Ref): Ref {
  const { op, axis, to } = build.nodes[x]
  if (op === 'rename') return build.rename(finitePart(build, build.argOf(x, 0)), axis!, to!)
  return build.select(build.make('is_finite', [x]), x, build.constant(0))
}

/**
 * The gradients of sum(cotangent * value) with respect to each of the inputs, with the inputs' own axes.
 *
 * @param cotangent the weight of each element of `value`
 * @param mayRest whether an element of weight 0 must have gradient 0 whatever its inputs contain, like a branch
 * that is not taken
 * @param contenders inputs that share ties: the set of requested gradients must not change any of them. Default:
 * `inputs`
 * @returns one node per input, in the same order
 * @example
 * const b = new Builder(['rows']), x = b.input('x', 'real', ['rows'])
 * differentiate(b, b.mul(x, x), b.constant(1), [x]) // [2 x]
 */
export function differentiate(
  build: Builder,
  value: Ref,
  cotangent: Ref,
  inputs: readonly Ref[],
  {
    mayRest = false,
    contenders = inputs,
  }: { readonly mayRest?: boolean; readonly contenders?: readonly Ref[] } = {},
): Ref[] {
  const varying = dependents(build, inputs, value)
  const contending = dependents(build, contenders, value)
  const silenced = behindChoices(build, value, mayRest)
  const received = new Map<Ref, Ref[]>([[value, [cotangent]]])
  for (let y = value; y >= 0; y--) {
    const parts = received.get(y)
    if (parts === undefined || !varying.has(y)) continue
    const g = accumulateGradients(build, parts)
    const node = build.nodes[y]
    const isSilenced = silenced.has(y)
    const times = isSilenced ? build.mulNoNan : build.mul
    const varies = (arg: Ref) => contending.has(arg)
    const context = { build, node, y, g, times, silenced: isSilenced, varies }
    const shares = RULES[node.op](context, ...node.args)
    node.args.forEach((arg, place) => {
      const share = varying.has(arg) ? shares[place] : undefined
      if (share !== undefined) receive(context, received, arg, share)
    })
  }
  return inputs.map((input) => {
    const parts = received.get(input)
    return build.expand(
      parts === undefined ? build.constant(0) : accumulateGradients(build, parts),
      build.axesOf(input),
    )
  })
}

/**
 * The derivative of a node with respect to each argument, element by element; undefined for none. For a sum (or
 * maximum, or sum of products) it is the share of each element of the sum.
 *
 * @example
 * derivativesOf(build, build.mul(a, b), () => true) // [b, a]
 */
export function derivativesOf(
  build: Builder,
  y: Ref,
  varies: (arg: Ref) => boolean,
): readonly (Ref | undefined)[] {
  const node = build.nodes[y]
  const context = { build, node, y, g: build.constant(1), times: build.mul, silenced: false, varies }
  return RULES[node.op](context, ...node.args)
}

/** Ops whose result has the axis `to` where their argument has `axis`. */
const MOVES_AXIS: ReadonlySet<FormulaOp> = new Set([
  'rename',
  'solve_lower',
  'solve_upper',
] satisfies FormulaOp[])

/** Adds a contribution to the gradient of a node, summed over the axes along which the node was broadcast. */
function receive(context: Context, received: Map<Ref, Ref[]>, arg: Ref, share: Ref) {
  const { build, node } = context
  const own = build.axesOf(arg)
  const spread = node.axes.map((axis) => (MOVES_AXIS.has(node.op) && axis === node.to ? node.axis! : axis))
  const extra = [...new Set([...spread, ...build.axesOf(share)])].filter((axis) => !own.includes(axis))
  const fitted = extra.reduce((sum, axis) => build.sum(sum, axis), share)
  received.set(arg, [...(received.get(arg) ?? []), fitted])
}

/** The nodes through which the value depends smoothly on the inputs. */
function dependents(build: Builder, inputs: readonly Ref[], value: Ref): Set<Ref> {
  const found = new Set(inputs)
  for (let id = 0; id <= value; id++) {
    const node = build.nodes[id]
    if (RULES[node.op] !== silent && node.args.some((arg) => found.has(arg))) found.add(id)
  }
  return found
}

/** The nodes below a branch of `?:` that may not be taken, as far as the gradient reaches. */
function behindChoices(build: Builder, value: Ref, mayRest: boolean): Set<Ref> {
  const found = new Set<Ref>(mayRest ? [value] : [])
  const reached = new Set([value])
  for (let id = value; id >= 0; id--) {
    const node = build.nodes[id]
    if (!reached.has(id) || RULES[node.op] === silent) continue
    for (const arg of node.args) reached.add(arg)
    for (const arg of found.has(id) ? node.args : []) found.add(arg)
    for (const side of node.op === 'select' ? node.args.slice(1) : []) found.add(side)
  }
  return found
}
