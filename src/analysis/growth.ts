/**
 * How a function grows: its leading term c e^(rate x) x^power (ln x)^logs as x goes to infinity. Functions made of
 * exp, log and arithmetic form a Hardy field, so the derivative grows like the derivative of the leading term
 * (Hardy 1910, Orders of Infinity). Where leading terms cancel, or an op is none of these, nothing is said.
 */
import { type Rational, signOf, toNumber } from './rational.ts'
import type { Tape, TapeNode } from './tape.ts'

/** A leading term. The factor is 0 for what is 0 from some place on. */
export interface Growth {
  readonly factor: number
  /** The coefficient of x in the exponent. */
  readonly rate: number
  readonly power: number
  readonly logs: number
  /** Whether only the rate and the sign are certain, as of e^(x + something smaller). */
  readonly isVague?: boolean
}

const constant = (factor: number): Growth => ({ factor, rate: 0, power: 0, logs: 0 })
const ZERO = constant(0)

type Known = Growth | undefined
type Rule = (args: readonly Growth[], node: TapeNode) => Known

/**
 * The leading term of the root.
 *
 * @param variable what goes to infinity; there must be no other
 * @param way 1 to +infinity, -1 to -infinity
 */
export function growthOf(tape: Tape, variable: string, way: 1 | -1): Known {
  const found: Known[] = []
  tape.nodes.forEach((node) => {
    found.push(growthOfNode(node, found, variable, way))
  })
  return found[tape.roots[0]]
}

function growthOfNode(node: TapeNode, found: readonly Known[], variable: string, way: 1 | -1): Known {
  if (node.op === 'variable')
    return node.name === variable ? { factor: way, rate: 0, power: 1, logs: 0 } : undefined
  if (node.op === 'constant') return Number.isFinite(node.value) ? constant(node.value!) : undefined
  const args = node.args.map((arg) => found[arg])
  if (node.op === 'select')
    return args[0] === undefined ? undefined : args[0].factor !== 0 ? args[1] : args[2]
  if (args.some((arg) => arg === undefined)) return undefined
  return certain(RULES[node.op]?.(args as Growth[], node))
}

/** Without what float64 has no number for; e^x of something small beside e^(x^2) has an infinite rate, which is one. */
function certain(x: Known): Known {
  if (x === undefined || !Number.isFinite(x.factor) || Number.isNaN(x.rate)) return undefined
  return Number.isFinite(x.power) && Number.isFinite(x.logs) ? x : undefined
}

/** A factor that only underflows is not 0. */
const nonzero = (x: Growth): Known => (x.factor === 0 ? undefined : x)

/** Which grows faster: the sign of the difference of the orders; 0 for the same order. */
export function compareGrowth(a: Growth, b: Growth): number {
  if (a.factor === 0 || b.factor === 0) return a.factor === b.factor ? 0 : a.factor === 0 ? -1 : 1
  return a.rate - b.rate || a.power - b.power || a.logs - b.logs
}

function sum(all: readonly Known[]): Known {
  const terms = all.filter((term) => term !== undefined)
  if (terms.length < all.length) return undefined
  const largest = terms.reduce((a, b) => (compareGrowth(a, b) >= 0 ? a : b), ZERO)
  const isVague = terms
    .filter(({ rate, factor }) => factor !== 0 && rate === largest.rate)
    .some((term) => term.isVague)
  if (isVague && terms.filter(({ rate, factor }) => factor !== 0 && rate === largest.rate).length > 1)
    return undefined
  const same = terms.filter((term) => compareGrowth(term, largest) === 0)
  const factor = same.reduce((total, term) => total + term.factor, 0)
  const size = same.reduce((total, term) => total + Math.abs(term.factor), 0)
  if (size > 0 && Math.abs(factor) < 1e-9 * size) return undefined
  return { ...largest, factor }
}

const scaled = (x: Growth, factor: number): Known =>
  factor === 0 || x.factor === 0 ? ZERO : nonzero({ ...x, factor: x.factor * factor })

/** A factor that is too small for float64 is not 0. */
function scaledExactly(x: Growth, factor: Rational): Known {
  const rounded = toNumber(factor)
  return rounded === 0 && signOf(factor) !== 0 ? undefined : scaled(x, rounded)
}

function product(a: Growth, b: Growth): Known {
  if (a.factor === 0 || b.factor === 0) return ZERO
  const isVague = a.isVague === true || b.isVague === true
  return nonzero({
    factor: a.factor * b.factor,
    rate: a.rate + b.rate,
    power: a.power + b.power,
    logs: a.logs + b.logs,
    isVague,
  })
}

function power(x: Growth, n: number): Known {
  if (x.factor === 0) return n > 0 ? ZERO : undefined
  const factor = x.factor ** n
  return Number.isFinite(factor)
    ? nonzero({ ...x, factor, rate: x.rate * n, power: x.power * n, logs: x.logs * n })
    : undefined
}

/** Where it goes: to a number, to infinity (of either sign), or to 0. */
function limitOf(x: Growth): number {
  if (x.factor === 0) return 0
  if (x.isVague === true && x.rate === 0) return Number.NaN
  const order = x.rate || x.power || x.logs
  return order > 0 ? x.factor * Number.POSITIVE_INFINITY : order < 0 ? 0 : x.factor
}

/** e^x of what goes to minus infinity, or to infinity, in a straight line; the constant is not known, only its sign. */
function exponential(x: Growth): Known {
  const limit = limitOf(x)
  if (Number.isNaN(limit)) return undefined
  if (Number.isFinite(limit)) return nonzero(constant(Math.exp(limit)))
  if (x.rate === 0 && x.power === 1 && x.logs === 0)
    return { factor: 1, rate: x.factor, power: 0, logs: 0, isVague: true }
  // Slower or faster than any e^cx; below 0 that does not matter beside anything else.
  return limit < 0 && x.power > 1 && x.rate === 0
    ? { factor: 1, rate: Number.NEGATIVE_INFINITY, power: 0, logs: 0, isVague: true }
    : undefined
}

function logarithm(x: Growth): Known {
  if (x.factor <= 0) return undefined
  if (x.rate !== 0)
    return Number.isFinite(x.rate) ? { factor: x.rate, rate: 0, power: 1, logs: 0 } : undefined
  if (x.power !== 0) return { factor: x.power, rate: 0, power: 0, logs: 1 }
  return x.logs === 0 && x.factor !== 1 ? constant(Math.log(x.factor)) : undefined
}

/** A function that is f(limit) where there is a limit, and something else at the ends. */
const bySides =
  (
    low: (x: Growth) => Known,
    nought: (x: Growth) => Known,
    middle: (x: number) => number,
    high: (x: Growth) => Known,
  ): Rule =>
  ([x]) => {
    const limit = limitOf(x)
    if (limit === Number.POSITIVE_INFINITY) return high(x)
    if (limit === Number.NEGATIVE_INFINITY) return low(x)
    return limit === 0 ? nought(x) : constant(middle(limit))
  }

const same = (x: Growth) => x
const settles = (value: number) => () => constant(value)
const test = (holds: boolean) => constant(holds ? 1 : 0)

function larger(args: readonly Growth[], sign: 1 | -1): Known {
  const difference = sum([args[0], scaled(args[1], -1)])
  if (difference === undefined) return undefined
  return difference.factor * sign >= 0 ? args[0] : args[1]
}

const RULES: { readonly [O in TapeNode['op']]?: Rule } = {
  linear: (args, { factors, exact }) =>
    sum([
      ...args.map((arg, place) => scaledExactly(arg, factors![place])),
      scaledExactly(constant(1), exact!),
    ]),
  add: (args) => sum(args),
  sub: ([a, b]) => sum([a, scaled(b, -1)]),
  neg: ([x]) => scaled(x, -1),
  mul: ([a, b]) => product(a, b),
  mul_no_nan: ([a, b]) => product(a, b),
  div: ([a, b]) => {
    const inverse = power(b, -1)
    return inverse === undefined ? undefined : product(a, inverse)
  },
  square: ([x]) => power(x, 2),
  pow: ([x, n]) =>
    n.rate === 0 && n.power === 0 && n.logs === 0 && x.factor > 0 ? power(x, n.factor) : undefined,
  sqrt: ([x]) => (x.factor >= 0 ? power(x, 0.5) : undefined),
  safe_sqrt: ([x]) => (x.factor >= 0 ? power(x, 0.5) : undefined),
  abs: ([x]) => scaled(x, Math.sign(x.factor)),
  sign: ([x]) => constant(Math.sign(x.factor)),
  max: (args) => larger(args, 1),
  min: (args) => larger(args, -1),
  exp: ([x]) => exponential(x),
  expm1: bySides(settles(-1), same, Math.expm1, exponential),
  log: ([x]) => logarithm(x),
  log1p: bySides(() => undefined, same, Math.log1p, logarithm),
  softplus: bySides(exponential, settles(Math.LN2), (x) => Math.log1p(Math.exp(x)), same),
  sigmoid: bySides(exponential, settles(0.5), (x) => 1 / (1 + Math.exp(-x)), settles(1)),
  tanh: bySides(settles(-1), same, Math.tanh, settles(1)),
  atan: bySides(settles(-Math.PI / 2), same, Math.atan, settles(Math.PI / 2)),
  erf: bySides(settles(-1), same, () => Number.NaN, settles(1)),
  lt: ([a, b]) => compared(a, b, (sign) => sign < 0),
  le: ([a, b]) => compared(a, b, (sign) => sign <= 0),
  eq: ([a, b]) => compared(a, b, (sign) => sign === 0),
  and: ([a, b]) => test(a.factor !== 0 && b.factor !== 0),
  or: ([a, b]) => test(a.factor !== 0 || b.factor !== 0),
  not: ([a]) => test(a.factor === 0),
}

function compared(a: Growth, b: Growth, holds: (sign: number) => boolean): Known {
  const difference = sum([a, scaled(b, -1)])
  return difference === undefined ? undefined : test(holds(Math.sign(difference.factor)))
}

/** What the slope does in the end: it grows, goes to a number, or to 0. */
export type SlopeInTheEnd =
  | { readonly kind: 'grows' }
  | { readonly kind: 'settles'; readonly at: number }
  | { readonly kind: 'fades' }

export function slopeOf({ factor, rate, power, logs, isVague }: Growth): SlopeInTheEnd | undefined {
  if (isVague === true && rate === 0) return undefined
  if (factor === 0 || rate < 0) return { kind: 'fades' }
  if (rate > 0 || power > 1 || (power === 1 && logs > 0)) return { kind: 'grows' }
  return power === 1 && logs === 0 ? { kind: 'settles', at: factor } : { kind: 'fades' }
}

/** `3 x^2`, `ln x`, `e^(0.5x)`. */
export function printed({ factor, rate, power: n, logs }: Growth): string {
  const parts = [
    rate === 0 ? '' : `e^(${rate}x)`,
    n === 0 ? '' : n === 1 ? 'x' : `x^${n}`,
    logs === 0 ? '' : logs === 1 ? 'ln x' : `(ln x)^${logs}`,
  ].filter((part) => part !== '')
  const own = Number(factor.toPrecision(6))
  return parts.length === 0 ? String(own) : own === 1 ? parts.join(' ') : `${own} ${parts.join(' ')}`
}
