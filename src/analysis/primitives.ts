/**
 * What is known of every op: an enclosure of its value, and of its first and second derivatives, over a box of
 * arguments. Monotonicity and curvature follow from their signs. A new primitive of the language has no row yet, and
 * the compiler says so.
 */
import type { BinaryOp, LogicOp, UnaryOp } from '../language/ir.ts'
import * as elementary from './elementary.ts'
import {
  above,
  abs,
  add,
  below,
  clipped,
  contains,
  div,
  ENTIRE,
  hull,
  type Interval,
  interval,
  isPoint,
  max,
  min,
  mul,
  neg,
  ONE,
  point,
  square,
  sub,
  UNDEFINED,
  ZERO,
} from './interval.ts'

/** Where a function is not smooth. */
export type Nonsmoothness =
  /** Continuous, with two slopes at 0. */
  | 'kink'
  /** Continuous, with an infinite slope at 0. */
  | 'edge'
  /** It jumps at 0. */
  | 'step'
  /** It jumps at whole or half numbers. */
  | 'steps'

export interface UnaryRow {
  readonly enclose: (x: Interval) => Interval
  /** The derivative, where there is one; at a kink, all that lies between its two slopes. */
  readonly slope: (x: Interval, y: Interval) => Interval
  /** The second derivative, wherever there is one. */
  readonly bend: (x: Interval, y: Interval, slope: Interval) => Interval
  readonly joint?: Nonsmoothness
}

export interface BinaryRow {
  readonly enclose: (a: Interval, b: Interval) => Interval
  readonly slopes: (a: Interval, b: Interval, y: Interval) => readonly [Interval, Interval]
  /** By a twice, by a and b, by b twice. */
  readonly bends: (a: Interval, b: Interval, y: Interval) => readonly [Interval, Interval, Interval]
}

const none = () => ZERO
const TWO = point(2)
const HALF = point(0.5)
/** The constant, which is no float64 itself. */
const around = (x: number) => interval(below(x), above(x))
const over = (x: Interval) => div(ONE, x)
/** x where it is not below 0: a slope is asked for only where there is a value. */
const notNegative = (x: Interval) => clipped(x, 0, Number.POSITIVE_INFINITY)

/** s(x) s(-x), which falls on both sides of 0. */
function slopeOfSigmoid(x: Interval): Interval {
  const ends = hull(slopeOfSigmoidAt(x.lo), slopeOfSigmoidAt(x.hi))
  return interval(Math.max(0, ends.lo), contains(x, 0) ? 0.25 : ends.hi, x.partial)
}

const slopeOfSigmoidAt = (x: number) => mul(elementary.sigmoid(point(x)), elementary.sigmoid(point(-x)))
const slopeOfTanh = (x: Interval) => mul(point(4), slopeOfSigmoid(mul(TWO, x)))

const reciprocalOfPositive = (x: Interval) => over(notNegative(x))
const bendOfLog = (x: Interval) => neg(over(square(notNegative(x))))
const scaledRow = (row: UnaryRow, factor: Interval, enclose: UnaryRow['enclose']): UnaryRow => ({
  enclose,
  slope: (x, y) => mul(factor, row.slope(x, y)),
  bend: (x, y) => mul(factor, row.bend(x, y, row.slope(x, y))),
})

const LOG: UnaryRow = { enclose: elementary.log, slope: reciprocalOfPositive, bend: bendOfLog }

const ROOT: UnaryRow = {
  enclose: elementary.sqrt,
  slope: (_, y) => div(HALF, y),
  bend: (_, y) => div(point(-0.25), mul(square(y), y)),
  joint: 'edge',
}

/** x / (1 - x^2)^(3/2) */
function bendOfArc(x: Interval): Interval {
  const rest = elementary.arcRadicand(x)
  return div(clipped(x, -1, 1), mul(rest, elementary.sqrt(rest)))
}

const bell = (x: Interval) => mul(around(2 / Math.sqrt(Math.PI)), elementary.exp(neg(square(x))))

export const UNARY: { readonly [O in UnaryOp | 'square']: UnaryRow } = {
  neg: { enclose: neg, slope: () => point(-1), bend: none },
  stop_gradient: { enclose: (x) => x, slope: () => ONE, bend: none },
  abs: { enclose: abs, slope: (x) => signBounds(x), bend: none, joint: 'kink' },
  square: { enclose: square, slope: (x) => mul(TWO, x), bend: () => TWO },
  exp: { enclose: elementary.exp, slope: (_, y) => y, bend: (_, y) => y },
  expm1: { enclose: elementary.expm1, slope: elementary.exp, bend: elementary.exp },
  log: LOG,
  log1p: {
    enclose: elementary.log1p,
    slope: (x) => reciprocalOfPositive(add(ONE, x)),
    bend: (x) => bendOfLog(add(ONE, x)),
  },
  log2: scaledRow(LOG, around(Math.LOG2E), elementary.log2),
  log10: scaledRow(LOG, around(Math.LOG10E), elementary.log10),
  sqrt: ROOT,
  safe_sqrt: ROOT,
  sigmoid: {
    enclose: elementary.sigmoid,
    slope: slopeOfSigmoid,
    bend: (x, _, slope) => neg(mul(slope, elementary.tanh(mul(HALF, x)))),
  },
  tanh: {
    enclose: elementary.tanh,
    slope: slopeOfTanh,
    bend: (_x, y, slope) => mul(point(-2), mul(y, slope)),
  },
  softplus: { enclose: elementary.softplus, slope: elementary.sigmoid, bend: slopeOfSigmoid },
  sign: { enclose: elementary.sign, slope: none, bend: none, joint: 'step' },
  floor: { enclose: elementary.floor, slope: none, bend: none, joint: 'steps' },
  round: { enclose: elementary.round, slope: none, bend: none, joint: 'steps' },
  sin: { enclose: elementary.sin, slope: elementary.cos, bend: (_, y) => neg(y) },
  cos: { enclose: elementary.cos, slope: (x) => neg(elementary.sin(x)), bend: (_, y) => neg(y) },
  atan: {
    enclose: elementary.atan,
    slope: (x) => over(add(ONE, square(x))),
    bend: (x) => div(mul(point(-2), x), square(add(ONE, square(x)))),
  },
  asin: {
    enclose: elementary.asin,
    slope: (x) => over(elementary.sqrt(elementary.arcRadicand(x))),
    bend: bendOfArc,
  },
  acos: {
    enclose: elementary.acos,
    slope: (x) => neg(over(elementary.sqrt(elementary.arcRadicand(x)))),
    bend: (x) => neg(bendOfArc(x)),
  },
  erf: { enclose: elementary.erf, slope: bell, bend: (x, _, slope) => mul(mul(point(-2), x), slope) },
  lgamma: {
    enclose: elementary.enclosedLgamma,
    slope: (x) => elementary.enclosedPolygamma(0, x),
    bend: (x) => elementary.enclosedPolygamma(1, x),
  },
  digamma: {
    enclose: (x) => elementary.enclosedPolygamma(0, x),
    slope: (x) => elementary.enclosedPolygamma(1, x),
    bend: (x) => elementary.enclosedPolygamma(2, x),
  },
}

/** All slopes between the two that |x| has on both sides of 0. */
function signBounds(x: Interval): Interval {
  return interval(x.lo >= 0 ? 1 : -1, x.hi <= 0 ? -1 : 1, x.partial)
}

const PRODUCT: BinaryRow = {
  enclose: mul,
  slopes: (a, b) => [b, a],
  bends: () => [ZERO, ONE, ZERO],
}

/** Whether the first argument is the larger one: 1, 0, or anything between. */
function chooses(a: Interval, b: Interval): readonly [Interval, Interval] {
  if (a.lo >= b.hi) return [ONE, ZERO]
  if (b.lo >= a.hi) return [ZERO, ONE]
  return [interval(0, 1), interval(0, 1)]
}

const flat = () => [ZERO, ZERO, ZERO] as const

export const BINARY: { readonly [O in BinaryOp]: BinaryRow } = {
  add: { enclose: add, slopes: () => [ONE, ONE], bends: flat },
  sub: { enclose: sub, slopes: () => [ONE, point(-1)], bends: flat },
  mul: PRODUCT,
  // Real numbers have no NaN to be kept away; and where g is 0, the product is 0 as well.
  mul_no_nan: {
    ...PRODUCT,
    enclose: (g, d) => {
      const product = mul(g, d)
      return contains(g, 0) ? hull(product, ZERO) : product
    },
  },
  div: {
    enclose: div,
    slopes: (_, b, y) => [over(b), neg(div(y, b))],
    bends: (_, b, y) => [ZERO, neg(over(square(b))), div(mul(TWO, y), square(b))],
  },
  pow: {
    enclose: elementary.pow,
    slopes: (a, b, y) => [mul(b, elementary.pow(a, sub(b, ONE))), mul(y, elementary.log(notNegative(a)))],
    bends: (a, b, y) => {
      const growth = elementary.log(notNegative(a))
      return [
        mul(mul(b, sub(b, ONE)), elementary.pow(a, sub(b, TWO))),
        mul(elementary.pow(a, sub(b, ONE)), add(ONE, mul(b, growth))),
        mul(y, square(growth)),
      ]
    },
  },
  max: { enclose: max, slopes: chooses, bends: flat },
  min: {
    enclose: min,
    slopes: (a, b) => {
      const [first, second] = chooses(a, b)
      return [second, first]
    },
    bends: flat,
  },
  polygamma: {
    enclose: (n, x) => (isPoint(n) ? elementary.enclosedPolygamma(n.lo, x) : UNDEFINED),
    slopes: (n, x) => [UNDEFINED, isPoint(n) ? elementary.enclosedPolygamma(n.lo + 1, x) : UNDEFINED],
    bends: (n, x) => [
      UNDEFINED,
      UNDEFINED,
      isPoint(n) ? elementary.enclosedPolygamma(n.lo + 2, x) : UNDEFINED,
    ],
  },
}

/** Whether a power may be a root of 0, where its slope is infinite. */
export const isRoot = (base: Interval, exponent: Interval): boolean =>
  base.lo <= 0 && exponent.lo < 1 && !isWholeNumber(exponent)

const isWholeNumber = ({ lo, hi }: Interval) => lo === hi && Number.isInteger(lo)

const YES = ONE
const NO = ZERO
const MAYBE = interval(0, 1)

const known = (truth: boolean) => (truth ? YES : NO)
const asTruth = (x: Interval, truth: Interval) => interval(truth.lo, truth.hi, x.partial)
const isTrue = ({ lo, hi }: Interval) => lo > 0 || hi < 0
const isFalse = ({ lo, hi }: Interval) => lo === 0 && hi === 0

/** 1 for true, 0 for false, [0, 1] for one or the other. */
export const LOGIC: { readonly [O in LogicOp]: (a: Interval, b: Interval) => Interval } = {
  lt: (a, b) => decided(a, b, a.hi < b.lo ? true : a.lo >= b.hi ? false : undefined),
  le: (a, b) => decided(a, b, a.hi <= b.lo ? true : a.lo > b.hi ? false : undefined),
  eq: (a, b) => {
    const same = isPoint(a) && isPoint(b) && a.lo === b.lo
    return decided(a, b, same ? true : a.hi < b.lo || b.hi < a.lo ? false : undefined)
  },
  and: (a, b) => decided(a, b, isFalse(a) || isFalse(b) ? false : isTrue(a) && isTrue(b) ? true : undefined),
  or: (a, b) => decided(a, b, isTrue(a) || isTrue(b) ? true : isFalse(a) && isFalse(b) ? false : undefined),
  not: (a) => decided(a, a, isTrue(a) ? false : isFalse(a) ? true : undefined),
  is_finite: (x) => {
    const mayBeInfinite = x.partial || x.lo === Number.NEGATIVE_INFINITY || x.hi === Number.POSITIVE_INFINITY
    return asTruth(x, mayBeInfinite ? MAYBE : YES)
  },
}

/** Where an operand may be undefined, NaN is compared, which is false: the test says nothing then. */
function decided(a: Interval, b: Interval, truth: boolean | undefined): Interval {
  if (a.partial || b.partial) return MAYBE
  return truth === undefined ? MAYBE : known(truth)
}

/** An op of which nothing is known but that it has a value. */
export const UNKNOWN = ENTIRE
