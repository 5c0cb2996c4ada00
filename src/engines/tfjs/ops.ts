/**
 * Lowering rules: how each IR op is computed in tfjs, one row per op. Every tensor has the program's full rank,
 * with size 1 along the axes that the node does not have, so that tfjs broadcasts exactly like the IR. There are no
 * gradients here: the program contains its own.
 */
import * as tf from '@tensorflow/tfjs-core'
import type { Op } from '../../language/ir.ts'
import { concatChunks, UnsupportedByEngine } from '../contract.ts'
import { contract } from './contraction.ts'
import { digamma, lgamma, polygamma } from './gamma.ts'
import type { OpContext } from './op-context.ts'
import { sumOver } from './sum.ts'

type T = tf.Tensor

type Rule = (context: OpContext, ...args: T[]) => T

const zero = () => tf.scalar(0)
const full = ({ shapeOf }: OpContext, value: number, type: 'float32' | 'bool' = 'float32'): T =>
  tf.tensor(type === 'bool' ? [value !== 0] : [value], shapeOf([]), type)

/** host-op-partition.ts removes whole-axis ops from a program beforehand. */
const wholeLines: Rule = ({ node }) => {
  throw new UnsupportedByEngine(`${node.op} needs a whole axis at once`)
}

export const OPS: { readonly [O in Op]: Rule } = {
  input: (context) => read(context),
  scalar: (context) => full(context, context.batch.scalars[context.node.name!]),
  constant: (context) =>
    full(context, context.node.value!, context.node.type === 'bool' ? 'bool' : 'float32'),
  size: (context) => full(context, context.sizes[context.node.axis!]),
  index: (context) => places(context),
  // A single number for all values is repeated, because a sum over it counts the values.
  cotangent: ({ node, batch, shapeOf }) => {
    const column = concatChunks(batch.cotangent) as Float32Array
    const shape = shapeOf(node.axes)
    return column.length === 1 ? tf.fill(shape, column[0], 'float32') : tf.tensor(column, shape, 'float32')
  },

  neg: (_, x) => tf.neg(x),
  abs: (_, x) => tf.abs(x),
  exp: (_, x) => tf.exp(x),
  expm1: (_, x) => tf.expm1(x),
  log: (_, x) => tf.log(x),
  log1p: (_, x) => log1p(x),
  log2: (_, x) => tf.mul(tf.log(x), tf.scalar(Math.LOG2E)),
  log10: (_, x) => tf.mul(tf.log(x), tf.scalar(Math.LOG10E)),
  sqrt: (_, x) => tf.sqrt(x),
  safe_sqrt: (_, x) => tf.sqrt(x),
  sigmoid: (_, x) => tf.sigmoid(x),
  // In tfjs wasm, tanh(infinity) is NaN.
  tanh: (_, x) => tf.where(tf.isInf(x), sign(x), tf.tanh(x)),
  // tfjs's own Softplus switches to e^x too early on the left; this is the form of the interpreter.
  softplus: (_, x) => tf.add(tf.relu(x), log1p(tf.exp(tf.neg(tf.abs(x))))),
  sign: (_, x) => sign(x),
  floor: (_, x) => tf.floor(x),
  round: (_, x) => tf.round(x),
  sin: (_, x) => tf.sin(x),
  cos: (_, x) => tf.cos(x),
  atan: (_, x) => tf.atan(x),
  asin: (_, x) => tf.asin(x),
  acos: (_, x) => tf.acos(x),
  erf: (_, x) => tf.erf(x),
  lgamma: (_, x) => lgamma(real(x)),
  digamma: (_, x) => digamma(real(x)),
  polygamma: ({ node, batch }, _n, x) => polygamma(batch.program.nodes[node.args[0]].value!, real(x)),
  stop_gradient: (_, x) => x.clone(),
  is_finite: (_, x) => tf.isFinite(x),

  add: (_, a, b) => tf.add(a, b),
  sub: (_, a, b) => tf.sub(a, b),
  mul: (_, a, b) => tf.mul(a, b),
  div: (_, a, b) => tf.div(real(a), real(b)),
  pow: (_, a, b) => tf.pow(real(a), real(b)),
  max: (_, a, b) => keepNaN(tf.maximum(a, b), a, b),
  min: (_, a, b) => keepNaN(tf.minimum(a, b), a, b),
  mul_no_nan: (context, g, d) => {
    const shape = context.shapeOf(context.node.axes)
    return tf.where(spread(tf.equal(g, zero()), shape), tf.zeros(shape), tf.mul(g, d))
  },

  lt: (context, a, b) => tf.less(...both(context, a, b)),
  le: (context, a, b) => tf.lessEqual(...both(context, a, b)),
  eq: (context, a, b) => equal(context, a, b),
  and: (context, a, b) => tf.logicalAnd(...both(context, a, b)),
  or: (context, a, b) => tf.logicalOr(...both(context, a, b)),
  not: (_, x) => tf.logicalNot(x),
  select: (context, test, yes, no) => {
    const shape = context.shapeOf(context.node.axes)
    const side = (x: T) => spread(context.node.type === 'real' ? real(x) : x, shape)
    return tf.where(spread(test, shape), side(yes), side(no))
  },

  reduce_sum: ({ node, dimension }, x) => sumOver(x, dimension(node.axis!)),
  reduce_max: ({ node, dimension }, x) => tf.max(x, dimension(node.axis!), true),
  contract: (context, a, b) => contract(context, a, b),
  pick: (context, x, place) => pick(context, x, place),
  shift: (context, x) => shift(context, x),
  rename: ({ node, dimension }, x) => swap(x, dimension(node.axis!), dimension(node.to!)),
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
  // A tensor of its own even if nothing is repeated, because each node's tensor is disposed of separately.
  expand: ({ node, shapeOf }, x) => tf.clone(spread(x, shapeOf(node.axes))),
}

/** In tfjs wasm sign(1e-20) is 0, and in every backend sign(NaN) is 0, which would make the gradient of |NaN| 0. */
function sign(x: T): T {
  const isPositive = tf.cast(tf.greater(x, zero()), 'float32')
  return keepNaN(tf.sub(isPositive, tf.cast(tf.less(x, zero()), 'float32')), x)
}

/**
 * tfjs wasm computes log1p(x) as ln(1 + x), which is 0 for a small x. ln(u) x / (u - 1) with u = 1 + x is accurate
 * to the last digits, because the rounding errors of u cancel (Kahan; HP-15C Advanced Functions Handbook, 1982).
 */
function log1p(x: T): T {
  const u = tf.add(x, tf.scalar(1))
  const d = tf.sub(u, tf.scalar(1))
  const corrected = tf.mul(tf.log(u), tf.div(x, d))
  const exact = tf.where(tf.equal(d, zero()), x, corrected)
  return tf.where(tf.isInf(u), tf.log(u), exact)
}

/**
 * Broadcasts a tensor to a shape. In tfjs, broadcasting in a sum is a hundred times faster than tiling, comparing
 * or selecting, so for everything except plain arithmetic, tensors are broadcast in this way first.
 */
function spread(x: T, shape: readonly number[]): T {
  if (x.shape.every((size, i) => size === shape[i])) return x
  const kind = x.dtype === 'int32' ? 'int32' : 'float32'
  const repeated = tf.add(x.dtype === 'bool' ? real(x) : x, tf.zeros([...shape], kind))
  return x.dtype === 'bool' ? tf.cast(repeated, 'bool') : repeated
}

function both({ node, shapeOf }: OpContext, a: T, b: T): [T, T] {
  const shape = shapeOf(node.axes)
  return [spread(a, shape), spread(b, shape)]
}

/**
 * Integers are broadcast as float32, which is fast, and stay exact: compared with an index of an axis, directly (an
 * axis is shorter than 2^24, and a number above 2^24 stays above it when rounded), otherwise in two halves.
 */
function equal(context: OpContext, a: T, b: T): T {
  if (a.dtype !== 'int32' || b.dtype !== 'int32') return tf.equal(...both(context, a, b))
  const { node, batch } = context
  const same = (x: T, y: T) => tf.equal(...both(context, real(x), real(y)))
  if (node.args.some((arg) => batch.program.nodes[arg].op === 'index')) return same(a, b)
  const high = (x: T) => tf.floorDiv(x, tf.scalar(HALF, 'int32'))
  const low = (x: T) => tf.sub(x, tf.mul(high(x), tf.scalar(HALF, 'int32')))
  return tf.logicalAnd(same(high(a), high(b)), same(low(a), low(b)))
}

/** Splits an int32 into two integers that float32 represents. */
const HALF = 65536

/**
 * Gather: reads one element along an axis, or 0 for an index outside: from flat memory in which that axis is the
 * fastest, so that element i of row r is at r * length + i.
 */
function pick({ node, sizes, shapeOf, dimension }: OpContext, x: T, place: T): T {
  const shape = shapeOf(node.axes)
  const [length, axis, last] = [sizes[node.axis!], dimension(node.axis!), shape.length - 1]
  const places = tf.cast(tf.reshape(spread(place, shape), [-1]), 'int32')
  const zeros = tf.zerosLike(places)
  const inside = tf.logicalAnd(
    tf.greaterEqual(places, zeros),
    tf.less(places, tf.fill(places.shape, length, 'int32')),
  )
  const table = swap(spread(x, exchange(shape, axis, axis, length)), axis, last)
  const rows = tf.reshape(tf.range(0, places.size, 1, 'int32'), exchange(shape, axis, last, 1))
  const starts = tf.mul(tf.reshape(swap(rows, axis, last), [-1]), tf.scalar(length, 'int32'))
  const found = tf.gather(
    tf.reshape(table, [-1]),
    tf.add(starts, tf.where(inside, places, zeros)) as tf.Tensor1D,
  )
  return tf.reshape(tf.where(inside, found, tf.zerosLike(found)), shape)
}

/** The element n steps before each element, and 0 where there is none. */
function shift({ node, batch, dimension }: OpContext, x: T): T {
  const [axis, steps] = [dimension(node.axis!), batch.program.nodes[node.args[1]].value!]
  const count = Math.min(Math.abs(steps), x.shape[axis])
  const zeros = tf.zeros(x.shape.with(axis, count))
  const begin = x.shape.map((_, i) => (i === axis && steps < 0 ? count : 0))
  const rest = tf.slice(x, begin, x.shape.with(axis, x.shape[axis] - count))
  return tf.concat(steps > 0 ? [zeros, rest] : [rest, zeros], axis)
}

/** The shape with the size at `to` moved to `from`, and another size in its place. */
function exchange(shape: readonly number[], from: number, to: number, size: number): number[] {
  const changed = [...shape]
  changed[from] = shape[to]
  changed[to] = size
  return changed
}

/** An input has its own layout and is transposed to the program's order. */
function read({ node, batch, sizes, shapeOf }: OpContext): T {
  const { axes, type } = batch.program.inputs[node.name!]
  const data = concatChunks(batch.inputs[node.name!]) as Float32Array | Int32Array
  const laid = tf.tensor(
    data,
    axes.map((axis) => sizes[axis]),
    type === 'index' ? 'int32' : 'float32',
  )
  return tf.reshape(permute(laid, axes, node.axes), shapeOf(node.axes))
}

/** 0, 1, 2 ... along the node's axis. */
function places({ node, sizes, shapeOf }: OpContext): T {
  return tf.reshape(tf.range(0, sizes[node.axis!], 1, 'int32'), shapeOf([node.axis!]))
}

/** Transposes from one order of axes to another; free if they are equal. */
export function permute(x: T, from: readonly string[], to: readonly string[]): T {
  const order = to.map((axis) => from.indexOf(axis))
  return order.every((place, i) => place === i) ? x : transposed(x, order)
}

function swap(x: T, a: number, b: number): T {
  const order = x.shape.map((_, i) => (i === a ? b : i === b ? a : i))
  return transposed(x, order)
}

/**
 * tfjs's WebGPU backend can transpose only float32. Integers are transposed in two halves, which float32
 * represents.
 */
function transposed(x: T, order: number[]): T {
  if (x.dtype === 'float32' || !isOnWebGpu()) return tf.transpose(x, order)
  if (x.dtype === 'bool') return tf.cast(tf.transpose(real(x), order), 'bool')
  const half = tf.scalar(HALF, 'int32')
  const high = tf.floorDiv(x, half)
  const low = tf.sub(x, tf.mul(high, half))
  const [movedHigh, movedLow] = [high, low].map((part) => tf.cast(tf.transpose(real(part), order), 'int32'))
  return tf.add(tf.mul(movedHigh, half), movedLow)
}

function isOnWebGpu(): boolean {
  return tf.getBackend().startsWith('webgpu')
}

function real(x: T): T {
  if (x.dtype === 'float32') return x
  const cast = tf.cast(x, 'float32')
  // tfjs's WebGPU backend only labels it float32, and shaders that copy it fail to compile: an addition converts
  // it.
  return isOnWebGpu() ? tf.add(cast, zero()) : cast
}

/** Backends disagree on max(NaN, x); the definition is NaN. Adding 0 x (a + b) would also turn infinities into NaN. */
function keepNaN(result: T, ...args: T[]): T {
  const broken = args.map((arg) => tf.isNaN(real(arg))).reduce((some, next) => tf.logicalOr(some, next))
  return tf.where(broken, tf.scalar(Number.NaN), real(result))
}
