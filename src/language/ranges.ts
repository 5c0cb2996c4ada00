/**
 * Interval analysis: the range of every node of a formula, from the ranges of its inputs. It errs on one side: a
 * range may be too wide, never too narrow. Whether a number is NaN is left open.
 */
import type { Builder, Ref } from './builder.ts'
import type { FormulaOp, Node } from './ir.ts'

export interface Range {
  readonly low: number
  readonly high: number
}

/** The ranges of inputs and run-time parameters, by name. */
export type RangeSource = (name: string) => Range

const range = (low: number, high: number): Range => ({ low, high })
export const ANY_NUMBER = range(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)
const FROM_ZERO = range(0, Number.POSITIVE_INFINITY)
const UP_TO_ZERO = range(Number.NEGATIVE_INFINITY, 0)
const TO_ONE = range(0, 1)
const AROUND_ZERO = range(-1, 1)

/** For an op, the range of its result from those of its arguments. */
type Rule = (args: readonly Range[], node: Node<FormulaOp>, build: Builder) => Range

const always =
  (known: Range): Rule =>
  () =>
    known

const same: Rule = ([x]) => x

/** Of a function that never decreases. Engines round differently, so only the sign of the result is kept. */
const rising =
  (meaning: (x: number) => number): Rule =>
  ([{ low, high }]) =>
    range(meaning(low) >= 0 ? 0 : Number.NEGATIVE_INFINITY, meaning(high) <= 0 ? 0 : Number.POSITIVE_INFINITY)

/** Sums of any number of elements, also of none. */
const summed: Rule = ([{ low, high }]) =>
  range(low >= 0 ? 0 : Number.NEGATIVE_INFINITY, high <= 0 ? 0 : Number.POSITIVE_INFINITY)

/** An element, or 0 outside of the axis. */
const elementOrZero: Rule = ([x]) => hull(x, range(0, 0))

const RULES: { readonly [O in FormulaOp]?: Rule } = {
  neg: ([{ low, high }]) => range(-high, -low),
  abs: ([{ low, high }]) => range(low > 0 ? low : high < 0 ? -high : 0, Math.max(-low, high)),
  exp: always(FROM_ZERO),
  expm1: ([x]) => range(x.low >= 0 ? 0 : -1, x.high <= 0 ? 0 : Number.POSITIVE_INFINITY),
  log: rising((x) => x - 1),
  log2: rising((x) => x - 1),
  log10: rising((x) => x - 1),
  log1p: rising((x) => x),
  sqrt: always(FROM_ZERO),
  safe_sqrt: always(FROM_ZERO),
  sigmoid: always(TO_ONE),
  tanh: ([x]) => range(x.low >= 0 ? 0 : -1, x.high <= 0 ? 0 : 1),
  softplus: always(FROM_ZERO),
  sign: ([x]) => range(Math.sign(x.low), Math.sign(x.high)),
  floor: ([x]) => range(Math.floor(x.low), Math.floor(x.high)),
  round: ([x]) => range(Math.floor(x.low), Math.ceil(x.high)),
  sin: always(AROUND_ZERO),
  cos: always(AROUND_ZERO),
  atan: rising((x) => x),
  asin: rising((x) => x),
  acos: always(FROM_ZERO),
  erf: ([x]) => range(x.low >= 0 ? 0 : -1, x.high <= 0 ? 0 : 1),
  stop_gradient: same,
  straight_through: same,
  expand: same,
  rename: same,
  add: ([a, b]) => outward(a, b, range(a.low + b.low, a.high + b.high)),
  sub: ([a, b], { args }) =>
    args[0] === args[1] ? range(0, 0) : outward(a, b, range(a.low - b.high, a.high - b.low)),
  mul: ([a, b], { args }) => (args[0] === args[1] ? FROM_ZERO : product(a, b)),
  mul_no_nan: ([a, b]) => hull(product(a, b), range(0, 0)),
  contract: ([a, b], node, build) => summed([product(a, b)], node, build),
  div: ([a, b]) => signOfQuotient(a, b),
  pow: ([base], { args }, build) => {
    const exponent = build.constantOf(args[1])
    return base.low >= 0 || (exponent !== undefined && exponent % 2 === 0) ? FROM_ZERO : ANY_NUMBER
  },
  max: ([a, b]) => range(Math.max(a.low, b.low), Math.max(a.high, b.high)),
  min: ([a, b]) => range(Math.min(a.low, b.low), Math.min(a.high, b.high)),
  select: ([, yes, no]) => hull(yes, no),
  lt: always(TO_ONE),
  le: always(TO_ONE),
  eq: always(TO_ONE),
  and: always(TO_ONE),
  or: always(TO_ONE),
  not: always(TO_ONE),
  is_finite: always(TO_ONE),
  index: always(FROM_ZERO),
  size: always(FROM_ZERO),
  reduce_sum: summed,
  reduce_max: ([x]) => range(Number.NEGATIVE_INFINITY, x.high),
  pick: elementOrZero,
  gather: elementOrZero,
  scatter: summed,
  cumsum: summed,
  reverse_cumsum: summed,
  argsort: always(FROM_ZERO),
  cummax_place: always(FROM_ZERO),
  softmax: always(TO_ONE),
  softmax_rest: always(TO_ONE),
  log_softmax: always(UP_TO_ZERO),
}

/**
 * The range of each node.
 *
 * @param ranges those of the inputs and of the parameters that are known only at run time
 * @example
 * rangesIn(build, () => ANY_NUMBER)[build.exp(x)] // { low: 0, high: Infinity }
 */
export function rangesIn(build: Builder, ranges: RangeSource): readonly Range[] {
  const found: Range[] = []
  for (const node of build.nodes) found.push(rangeOf(build, node, ranges, found))
  return found
}

function rangeOf(build: Builder, node: Node<FormulaOp>, ranges: RangeSource, found: readonly Range[]): Range {
  const { op, args, value, name } = node
  if (op === 'constant') return Number.isNaN(value!) ? ANY_NUMBER : range(value!, value!)
  if (op === 'input' || op === 'scalar') return ranges(name!)
  const known = RULES[op]?.(
    args.map((arg: Ref) => found[arg]),
    node,
    build,
  )
  return known === undefined || Number.isNaN(known.low) || Number.isNaN(known.high) ? ANY_NUMBER : known
}

function hull(a: Range, b: Range): Range {
  return range(Math.min(a.low, b.low), Math.max(a.high, b.high))
}

/** Sums of whole numbers are exact; of others, the bounds are moved by more than any engine's rounding. */
function outward(a: Range, b: Range, sum: Range): Range {
  const bounds = [a.low, a.high, b.low, b.high].filter(Number.isFinite)
  if (bounds.every(Number.isInteger)) return sum
  const slack = 1e-5 * bounds.reduce((most, bound) => Math.max(most, Math.abs(bound)), 0)
  return range(sum.low - slack, sum.high + slack)
}

/** Products that overflow or vanish keep their sign, so the bounds are 0 and infinity. Exactly 0 stays exactly 0. */
function product(a: Range, b: Range): Range {
  if (isZero(a) || isZero(b)) return range(0, 0)
  return bySign(
    (a.low >= 0 && b.low >= 0) || (a.high <= 0 && b.high <= 0),
    (a.low >= 0 && b.high <= 0) || (a.high <= 0 && b.low >= 0),
  )
}

function signOfQuotient(a: Range, b: Range): Range {
  return isZero(b) ? ANY_NUMBER : product(isZero(a) ? ANY_NUMBER : a, b)
}

function bySign(isPositive: boolean, isNegative: boolean): Range {
  return isPositive ? FROM_ZERO : isNegative ? UP_TO_ZERO : ANY_NUMBER
}

function isZero({ low, high }: Range): boolean {
  return low === 0 && high === 0
}
