/**
 * Lowering rules: how each IR op is computed in TensorFlow with XLA, one row per op. interpret.ts and scalar.ts are
 * the reference, including NaN, infinities and kinks. Where XLA's own op deviates from them, the row has a comment.
 */
import type { Node, Op } from '../../language/ir.ts'
import { UnsupportedByEngine } from '../contract.ts'
import { contract } from './dot-general.ts'
import { digamma, lgamma, polygamma } from './gamma.ts'
import type { Graph, Value } from './graph.ts'
import type { LoweringContext } from './lowering-context.ts'

type Rule = (place: LoweringContext, args: readonly Value[]) => Value

const unary =
  (op: string): Rule =>
  ({ graph }, [x]) =>
    graph.unary(op, real(graph, x))

/** In float64, where XLA's float32 version is not accurate enough. */
const wide =
  (run: (graph: Graph, x: Value) => Value): Rule =>
  ({ graph }, [x]) =>
    graph.cast(run(graph, graph.cast(real(graph, x), 'float64')), 'float32')

const logarithm = (factor: number): Rule =>
  wide((graph, x) => graph.binary('Mul', graph.unary('Log', x), graph.number(factor, 'float64')))

const binary =
  (op: string): Rule =>
  ({ graph }, [a, b]) =>
    graph.binary(op, real(graph, a), real(graph, b))

const compare =
  (op: 'Less' | 'LessEqual' | 'Equal'): Rule =>
  ({ graph }, [a, b]) =>
    graph.compare(op, ...alike(graph, a, b))

/** host-op-partition.ts removes whole-axis ops from a program beforehand. */
const wholeLines: Rule = ({ node }) => {
  throw new UnsupportedByEngine(`${node.op} needs a whole axis at once`)
}

export const RULES: { readonly [O in Op]: Rule } = {
  input: (place) => input(place),
  scalar: ({ node, form, graph, argumentOf }) =>
    oneOf(graph, argumentOf({ kind: 'numbers' }), form.program.scalars.indexOf(node.name!)),
  constant: ({ node, graph }) => graph.constant(node.type === 'bool' ? 'bool' : 'float32', [node.value!]),
  size: (place) => size(place, place.node.axis!),
  index: ({ node, graph, form, shapeOf }) =>
    graph.reshape(graph.range(form.sizes[node.axis!]), shapeOf([node.axis!])),
  cotangent: (place) => cotangent(place),

  neg: unary('Neg'),
  abs: unary('Abs'),
  exp: unary('Exp'),
  expm1: unary('Expm1'),
  log: unary('Log'),
  log1p: unary('Log1p'),
  log2: logarithm(Math.LOG2E),
  log10: logarithm(Math.LOG10E),
  sqrt: unary('Sqrt'),
  safe_sqrt: unary('Sqrt'),
  sigmoid: unary('Sigmoid'),
  tanh: unary('Tanh'),
  softplus: ({ graph }, [given]) => {
    const x = real(graph, given)
    const e = graph.unary('Exp', graph.unary('Neg', graph.unary('Abs', x)))
    return graph.binary('AddV2', graph.binary('Maximum', x, graph.number(0)), graph.unary('Log1p', e))
  },
  sign: unary('Sign'),
  floor: unary('Floor'),
  round: unary('Rint'),
  sin: unary('Sin'),
  cos: unary('Cos'),
  atan: unary('Atan'),
  asin: wide((graph, x) => graph.unary('Asin', x)),
  acos: wide((graph, x) => graph.unary('Acos', x)),
  erf: unary('Erf'),
  lgamma: wide(lgamma),
  digamma: wide(digamma),
  polygamma: (place, [_n, x]) => {
    const { node, form } = place
    const order = form.program.nodes[node.args[0]].value!
    return wide((graph, y) => polygamma(graph, order, y))(place, [x])
  },
  stop_gradient: (_, [x]) => x,
  is_finite: ({ graph }, [x]) => graph.test('IsFinite', real(graph, x)),

  add: binary('AddV2'),
  sub: binary('Sub'),
  mul: binary('Mul'),
  div: binary('RealDiv'),
  pow: (place, [x, y]) => pow(place, x, y),
  max: (place, args) => extreme(place, 'Maximum', args),
  min: (place, args) => extreme(place, 'Minimum', args),
  mul_no_nan: ({ graph }, [givenG, givenD]) => {
    const [g, d] = [real(graph, givenG), real(graph, givenD)]
    const isShut = graph.compare('Equal', g, graph.number(0))
    return graph.select(isShut, graph.number(0), graph.binary('Mul', g, d))
  },

  lt: compare('Less'),
  le: compare('LessEqual'),
  eq: compare('Equal'),
  and: ({ graph }, [a, b]) => graph.logic('LogicalAnd', a, b),
  or: ({ graph }, [a, b]) => graph.logic('LogicalOr', a, b),
  not: ({ graph }, [x]) => graph.not(x),
  select: ({ graph, node }, [test, yes, no]) => {
    const side = (x: Value) => (node.type === 'real' ? real(graph, x) : x)
    return graph.select(test, side(yes), side(no))
  },

  reduce_sum: (place, [x]) => reduce(place, 'Sum', present(place, x, 0)),
  reduce_max: (place, [x]) => reduceMax(place, present(place, x, Number.NEGATIVE_INFINITY)),
  contract: (place, [a, b]) => contract(place, present(place, a, 0), present(place, b, 0)),
  pick: (place, [x, at]) => pick(place, x, at),
  shift: (place, [x]) => shift(place, present(place, x, 0)),
  rename: ({ node, graph, dimension }, [x]) => swap(graph, x, dimension(node.axis!), dimension(node.to!)),
  expand: ({ node, graph, shapeOf }, [x]) => graph.broadcast(x, shapeOf(node.axes)),
  argsort: wholeLines,
  gather: wholeLines,
  scatter: wholeLines,
  cumsum: wholeLines,
  reverse_cumsum: wholeLines,
  recurrence: wholeLines,
  reverse_recurrence: wholeLines,
  cummax_place: wholeLines,
  ctc: wholeLines,
  ctc_slope: wholeLines,
  solve_lower: wholeLines,
  solve_upper: wholeLines,
  soft_dtw: wholeLines,
  soft_dtw_slope: wholeLines,
}

function real(graph: Graph, x: Value): Value {
  return graph.cast(x, 'float32')
}

/** Integers are compared as integers, anything else as real numbers. */
function alike(graph: Graph, a: Value, b: Value): [Value, Value] {
  return a.type === b.type ? [a, b] : [real(graph, a), real(graph, b)]
}

/** An input has its own layout and is transposed to the program's order. */
function input({ node, form, graph, argumentOf, shapeOf }: LoweringContext): Value {
  const { axes } = form.program.inputs[node.name!]
  const laid = argumentOf({ kind: 'input', name: node.name! })
  const order = node.axes.map((axis) => axes.indexOf(axis))
  return graph.reshape(graph.transpose(laid, order), shapeOf(node.axes))
}

/** A single number for all values is repeated, because a sum over it counts the values. */
function cotangent({ node, form, graph, argumentOf, shapeOf }: LoweringContext): Value {
  const shape = shapeOf(node.axes)
  if (!form.isUniform) return graph.reshape(argumentOf({ kind: 'cotangent', axes: node.axes }), shape)
  return graph.broadcast(oneOf(graph, argumentOf({ kind: 'numbers' }), form.program.scalars.length), shape)
}

/** An element of a list at an index that is known at compile time, as a value for any rank. */
function oneOf(graph: Graph, list: Value, place: number): Value {
  const at = graph.constant('int32', [place], [])
  return graph.gather(list, at)
}

/** The number of elements along an axis, as a real number. */
function size({ form, graph, argumentOf }: LoweringContext, axis: string): Value {
  if (axis !== form.rows) return graph.number(form.sizes[axis])
  return real(graph, argumentOf({ kind: 'count' }))
}

/** x with the padding replaced by a neutral element; unchanged along other axes. */
function present(place: LoweringContext, x: Value, nothing: number): Value {
  const { node, form, graph, argumentOf, shapeOf } = place
  const numbers = real(graph, x)
  if (node.axis !== form.rows || node.axis === undefined) return numbers
  const places = graph.reshape(graph.range(form.sizes[node.axis]), shapeOf([node.axis]))
  const isThere = graph.compare('Less', places, argumentOf({ kind: 'count' }))
  return graph.select(isThere, numbers, graph.number(nothing))
}

/** On CPUs, XLA's maximum of two numbers returns the other one if one is NaN. A constant is known not to be NaN. */
function extreme(
  { graph, node, form }: LoweringContext,
  op: 'Maximum' | 'Minimum',
  args: readonly Value[],
): Value {
  const [a, b] = args.map((arg) => real(graph, arg))
  const isSafe = (place: number) =>
    args[place].type !== 'float32' || isFiniteConstant(form.program.nodes[node.args[place]])
  return [a, b].reduce(
    (kept, side, place) => (isSafe(place) ? kept : graph.select(graph.test('IsNan', side), side, kept)),
    graph.binary(op, a, b),
  )
}

function isFiniteConstant({ op, value }: Node): boolean {
  return op === 'constant' && Number.isFinite(value)
}

/** As in scalar.ts, 1 to the power of NaN or of an infinity is NaN; in IEEE 754 it is 1. */
function pow({ graph, node, form }: LoweringContext, x: Value, y: Value): Value {
  const [base, exponent] = [real(graph, x), real(graph, y)]
  const power = graph.binary('Pow', base, exponent)
  if (isFiniteConstant(form.program.nodes[node.args[1]])) return power
  const isOne = graph.compare('Equal', graph.unary('Abs', base), graph.number(1))
  const isBroken = graph.logic('LogicalAnd', isOne, graph.not(graph.test('IsFinite', exponent)))
  return graph.select(isBroken, graph.number(Number.NaN), power)
}

function reduce({ graph, node, dimension }: LoweringContext, op: 'Sum' | 'Max', x: Value): Value {
  return graph.reduce(op, x, dimension(node.axis!))
}

/**
 * On CPUs, XLA's maximum along an axis ignores NaN, too. A term is added that is NaN if there is a NaN, otherwise
 * 0.
 */
function reduceMax(place: LoweringContext, x: Value): Value {
  const { graph } = place
  const broken = graph.select(graph.test('IsNan', x), graph.number(Number.NaN), graph.number(0))
  return graph.binary('AddV2', reduce(place, 'Max', x), reduce(place, 'Sum', broken))
}

/**
 * Gather: reads one element along an axis, or 0 for an index outside. From a list, only that element is read.
 * Otherwise all elements are computed and all but one masked out, which XLA does in the loop that computes x,
 * without storing x.
 */
function pick(place: LoweringContext, x: Value, at: Value): Value {
  const { node, graph, dimension, shapeOf, axesOf, form } = place
  const axis = node.axis!
  if (axesOf(0).length === 1 && axesOf(0)[0] === axis && axis !== form.rows) return pickFromList(place, x, at)
  const places = graph.reshape(graph.range(form.sizes[axis]), shapeOf([axis]))
  const isHere = graph.compare('Equal', ...alike(graph, places, at))
  const kept = graph.select(isHere, present(place, x, 0), graph.number(0))
  return graph.reduce('Sum', kept, dimension(axis))
}

/** The element n steps before each element, and 0 where there is none. */
function shift({ node, graph, form, dimension }: LoweringContext, x: Value): Value {
  const [axis, steps] = [dimension(node.axis!), form.program.nodes[node.args[1]].value!]
  const count = Math.min(Math.abs(steps), x.shape[axis])
  const padded = graph.pad(x, axis, steps > 0 ? { before: count, after: 0 } : { before: 0, after: count })
  return graph.slice(padded, axis, steps > 0 ? 0 : count, x.shape[axis])
}

function pickFromList({ node, graph, form }: LoweringContext, x: Value, at: Value): Value {
  const length = form.sizes[node.axis!]
  const whole = graph.cast(at, 'int32')
  const zero = graph.constant('int32', [0])
  const isInside = graph.logic(
    'LogicalAnd',
    graph.compare('LessEqual', zero, whole),
    graph.compare('Less', whole, graph.constant('int32', [length])),
  )
  const list = graph.reshape(real(graph, x), [length])
  const read = graph.gather(list, graph.select(isInside, whole, zero))
  return graph.select(isInside, read, graph.number(0))
}

function swap(graph: Graph, x: Value, a: number, b: number): Value {
  return graph.transpose(
    x,
    x.shape.map((_, i) => (i === a ? b : i === b ? a : i)),
  )
}
