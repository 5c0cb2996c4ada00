/**
 * Constant folding and peephole rewriting, applied while a node is created: a longer form is never built if there
 * is a shorter one. Every rule preserves the value exactly, including NaN and infinities (x * 0 is kept, because x
 * may be NaN). Rules that improve the numerics are in stable.ts.
 */

import type { Builder, Ref, Rewrite } from './builder.ts'
import { type FormulaOp, LOGIC_OPS } from './ir.ts'
import { evaluateScalar } from './scalar.ts'
import { stable } from './stable.ts'

type Rule = (build: Builder, args: readonly Ref[], attributes: { readonly axis?: string }) => Ref | undefined

/** Ops that are folded if their arguments are constants. */
const FOLDABLE: ReadonlySet<FormulaOp> = new Set([
  'neg',
  'abs',
  'exp',
  'expm1',
  'log',
  'log1p',
  'log2',
  'log10',
  'sqrt',
  'safe_sqrt',
  'sigmoid',
  'tanh',
  'softplus',
  'sign',
  'floor',
  'round',
  'sin',
  'cos',
  'atan',
  'asin',
  'acos',
  'erf',
  'lgamma',
  'digamma',
  'add',
  'sub',
  'mul',
  'div',
  'pow',
  'max',
  'min',
  'mul_no_nan',
  'polygamma',
  ...LOGIC_OPS,
] satisfies FormulaOp[])

/**
 * The simpler form of `op(args)`, or undefined if there is none.
 *
 * @example
 * simplify(build, 'add', [x, build.constant(0)], {}) // x
 */
export const simplify: Rewrite = (build, op, args, attributes) => {
  const folded = FOLDABLE.has(op) ? foldConstants(build, op, args) : undefined
  return folded ?? RULES[op]?.(build, args, attributes)
}

/**
 * The same, then the numerically stable form, which may contain composite ops: for formulas before they are
 * differentiated.
 */
export const simplifyStably: Rewrite = (build, op, args, attributes) =>
  simplify(build, op, args, attributes) ?? stable(build, op, args)

function foldConstants(build: Builder, op: FormulaOp, args: readonly Ref[]): Ref | undefined {
  const values = args.map((arg) => build.constantOf(arg))
  if (values.some((value) => value === undefined)) return undefined
  const value = evaluateScalar(op, values as number[])
  return build.isLogic(op) ? build.truth(value !== 0) : build.constant(value)
}

const RULES: { readonly [O in FormulaOp]?: Rule } = {
  neg: (build, [x]) => (build.opOf(x) === 'neg' ? build.argOf(x, 0) : undefined),
  abs: (build, [x]) => (build.opOf(x) === 'neg' ? build.make('abs', [build.argOf(x, 0)]) : undefined),
  // x + 0 would turn -0 into 0; the sign of a zero loss is not worth a pass over memory.
  add: (build, [a, b]) => when(build.is(b, 0), a) ?? when(build.is(a, 0), b) ?? addOfNegative(build, a, b),
  sub: (build, [a, b]) => when(build.is(b, 0), a) ?? when(build.is(a, 0), () => build.neg(b)),
  mul: (build, [a, b]) =>
    when(build.is(b, 1), a) ??
    when(build.is(a, 1), b) ??
    when(build.is(b, -1), () => build.neg(a)) ??
    when(build.is(a, -1), () => build.neg(b)),
  div: (build, [a, b]) => when(build.is(b, 1), a),
  mul_no_nan: (build, [g, d]) => {
    const derivative = build.constantOf(d)
    if (derivative !== undefined && Number.isFinite(derivative)) return build.mul(g, d)
    return build.is(g, 0) ? g : undefined
  },
  pow: (build, [base, exponent]) =>
    when(build.is(exponent, 1), base) ??
    when(build.is(exponent, 0), () => build.constant(1)) ??
    when(build.is(exponent, 2), () => build.mul(base, base)) ??
    when(build.is(exponent, -1), () => build.div(build.constant(1), base)),
  not: (build, [x]) => (build.opOf(x) === 'not' ? build.argOf(x, 0) : undefined),
  and: (build, [a, b]) => choose(build, a, b, build.truth(false)) ?? choose(build, b, a, build.truth(false)),
  or: (build, [a, b]) => choose(build, a, build.truth(true), b) ?? choose(build, b, build.truth(true), a),
  select: (build, [test, yes, no]) => choose(build, test, yes, no) ?? when(yes === no, yes),
  shift: (build, [x, steps]) => when(build.is(steps, 0), x),
  gather: (build, [x, place], { axis }) => {
    const steps = build.typeOf(x) === 'real' ? distanceOf(build, place, axis!) : undefined
    return steps === undefined ? undefined : build.shift(x, steps, axis!)
  },
  // Each place receives from one other place, or from none.
  scatter: (build, [x, place], { axis }) => {
    const steps = distanceOf(build, place, axis!)
    return steps === undefined ? undefined : build.shift(x, -steps, axis!)
  },
  pick: (build, [x], { axis }) => when(!build.axesOf(x).includes(axis!), x),
  reduce_sum: (build, [x], { axis }) =>
    sumOfProduct(build, x, axis!) ??
    when(build.opOf(x) === 'neg', () => build.neg(build.sum(build.argOf(x, 0), axis!))) ??
    sumOfOne(build, x, axis!),
}

/** sum over k of a[i,k] * b[j,k] never builds the [i,j,k] products: it is a contraction (a matrix product). */
function sumOfProduct(build: Builder, x: Ref, axis: string): Ref | undefined {
  if (build.opOf(x) !== 'mul') return undefined
  const [a, b] = [build.argOf(x, 0), build.argOf(x, 1)]
  const [left, right] = [build.axesOf(a), build.axesOf(b)]
  const widens = left.some((name) => !right.includes(name)) && right.some((name) => !left.includes(name))
  return widens && left.includes(axis) && right.includes(axis) ? build.contract(a, b, axis) : undefined
}

/** sum over k of (k = place ? a : 0), with one index and one a for all k, is a if the index is within the axis. */
function sumOfOne(build: Builder, x: Ref, axis: string): Ref | undefined {
  if (build.opOf(x) !== 'select') return undefined
  const [test, yes, no] = [build.argOf(x, 0), build.argOf(x, 1), build.argOf(x, 2)]
  const place = build.opOf(test) === 'eq' ? oneHotIndexOf(build, test, axis) : undefined
  if (place === undefined || !build.is(no, 0) || build.axesOf(yes).includes(axis)) return undefined
  return build.select(build.isInside(place, axis), yes, build.constant(0))
}

/** Maximum distance of a shift, which the integers of all engines can represent. Beyond it, a gather remains a gather. */
const MAX_STEPS = 2 ** 20

/** The integer n if an index is `index(axis) - n`, and n is not too large; otherwise undefined. */
function distanceOf(build: Builder, place: Ref, axis: string): number | undefined {
  const steps = stepsOf(build, place, axis)
  return steps !== undefined && Math.abs(steps) <= MAX_STEPS ? steps : undefined
}

function stepsOf(build: Builder, place: Ref, axis: string): number | undefined {
  const [op, args] = [build.opOf(place), build.nodes[place].args]
  if (place === build.index(axis)) return 0
  if (op === 'expand') return stepsOf(build, args[0], axis)
  if (op === 'sub') return movedBy(build, args[0], args[1], axis, 1)
  if (op === 'add')
    return movedBy(build, args[0], args[1], axis, -1) ?? movedBy(build, args[1], args[0], axis, -1)
  return undefined
}

function movedBy(build: Builder, from: Ref, by: Ref, axis: string, sign: 1 | -1): number | undefined {
  const distance = build.constantOf(by)
  const steps = Number.isInteger(distance) ? stepsOf(build, from, axis) : undefined
  return steps === undefined ? undefined : steps + sign * distance!
}

/** What an element's index along an axis is compared with, if that is one integer for all elements. */
export function oneHotIndexOf(build: Builder, test: Ref, axis: string): Ref | undefined {
  const [a, b] = [build.argOf(test, 0), build.argOf(test, 1)]
  const place = a === build.index(axis) ? b : b === build.index(axis) ? a : undefined
  return place !== undefined && build.typeOf(place) === 'index' && !build.axesOf(place).includes(axis)
    ? place
    : undefined
}

function addOfNegative(build: Builder, a: Ref, b: Ref): Ref | undefined {
  return build.opOf(b) === 'neg' ? build.sub(a, build.argOf(b, 0)) : undefined
}

function choose(build: Builder, test: Ref, yes: Ref, no: Ref): Ref | undefined {
  const known = build.truthOf(test)
  if (known === undefined) return undefined
  return known ? yes : no
}

function when(condition: boolean, result: Ref | undefined | (() => Ref)): Ref | undefined {
  if (!condition) return undefined
  return typeof result === 'function' ? result() : result
}
