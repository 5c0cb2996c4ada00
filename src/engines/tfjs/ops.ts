/**
 * What each IR op is in tfjs: one row an op. Every tensor has the program's full rank, with size 1 along the axes that
 * the node has not, so that tfjs broadcasts exactly as the IR does. No gradients here: the program brings its own.
 */
import * as tf from '@tensorflow/tfjs-core'
import type { Node, Op } from '../../language/ir.ts'
import type { Batch } from '../define.ts'
import { contract } from './contract.ts'
import { sumOver } from './sum.ts'

type T = tf.Tensor

/** Where a node is computed. */
export interface OpContext {
  readonly node: Node
  readonly batch: Batch
  /** All axes with their sizes, in the program's order. */
  readonly sizes: Readonly<Record<string, number>>
  /** Dimension of an axis. */
  readonly dimension: (axis: string) => number
  /** Full-rank shape of a value with these axes. */
  readonly shapeOf: (axes: readonly string[]) => number[]
  /** Axes of the i-th argument. */
  readonly axesOf: (place: number) => readonly string[]
}

type Rule = (context: OpContext, ...args: T[]) => T

const zero = () => tf.scalar(0)
const full = ({ shapeOf }: OpContext, value: number, type: 'float32' | 'bool' = 'float32'): T =>
  tf.tensor(type === 'bool' ? [value !== 0] : [value], shapeOf([]), type)

export const OPS: { readonly [O in Op]: Rule } = {
  input: (context) => read(context),
  scalar: (context) => full(context, context.batch.scalars[context.node.name!]),
  constant: (context) =>
    full(context, context.node.value!, context.node.type === 'bool' ? 'bool' : 'float32'),
  size: (context) => full(context, context.sizes[context.node.axis!]),
  index: (context) => places(context),
  cotangent: ({ node, batch, shapeOf }) => {
    const column = batch.cotangent as Float32Array
    return tf.tensor(column, column.length === 1 ? shapeOf([]) : shapeOf(node.axes), 'float32')
  },

  neg: (_, x) => tf.neg(x),
  abs: (_, x) => tf.abs(x),
  exp: (_, x) => tf.exp(x),
  expm1: (_, x) => tf.expm1(x),
  log: (_, x) => tf.log(x),
  log1p: (_, x) => tf.log1p(x),
  sqrt: (_, x) => tf.sqrt(x),
  safe_sqrt: (_, x) => tf.sqrt(x),
  sigmoid: (_, x) => tf.sigmoid(x),
  tanh: (_, x) => tf.tanh(x),
  // tfjs's own Softplus turns into e^x too early on the left; this form is the interpreter's.
  softplus: (_, x) => tf.add(tf.relu(x), tf.log1p(tf.exp(tf.neg(tf.abs(x))))),
  // tfjs says sign(NaN) = 0, and the gradient of |NaN| would be 0 with it.
  sign: (_, x) => keepNaN(tf.sign(x), x),
  floor: (_, x) => tf.floor(x),
  sin: (_, x) => tf.sin(x),
  cos: (_, x) => tf.cos(x),
  atan: (_, x) => tf.atan(x),
  erf: (_, x) => tf.erf(x),
  stop_gradient: (_, x) => x.clone(),
  is_finite: (_, x) => tf.isFinite(x),

  add: (_, a, b) => tf.add(a, b),
  sub: (_, a, b) => tf.sub(a, b),
  mul: (_, a, b) => tf.mul(a, b),
  div: (_, a, b) => tf.div(real(a), real(b)),
  pow: (_, a, b) => tf.pow(real(a), real(b)),
  max: (_, a, b) => keepNaN(tf.maximum(a, b), a, b),
  min: (_, a, b) => keepNaN(tf.minimum(a, b), a, b),
  gate: (_, g, d) => tf.where(tf.equal(g, zero()), zero(), tf.mul(g, d)),

  lt: (_, a, b) => tf.less(a, b),
  le: (_, a, b) => tf.lessEqual(a, b),
  eq: (_, a, b) => tf.equal(a, b),
  and: (_, a, b) => tf.logicalAnd(a, b),
  or: (_, a, b) => tf.logicalOr(a, b),
  not: (_, x) => tf.logicalNot(x),
  select: ({ node }, test, yes, no) =>
    node.type === 'real' ? tf.where(test, real(yes), real(no)) : tf.where(test, yes, no),

  reduce_sum: ({ node, dimension }, x) => sumOver(x, dimension(node.axis!)),
  reduce_max: ({ node, dimension }, x) => tf.max(x, dimension(node.axis!), true),
  contract: (context, a, b) => contract(context, a, b),
  pick: (context, x, place) => {
    const here = tf.equal(places(context), place)
    return tf.sum(tf.where(here, x, zero()), context.dimension(context.node.axis!), true)
  },
  rename: ({ node, dimension }, x) => swap(x, dimension(node.axis!), dimension(node.to!)),
  expand: ({ node, shapeOf }, x) => tf.broadcastTo(x, shapeOf(node.axes)),
}

/** An input comes in its own layout and is brought into the program's order. */
function read({ node, batch, sizes, shapeOf }: OpContext): T {
  const { axes, type } = batch.program.inputs[node.name!]
  const data = batch.inputs[node.name!] as Float32Array | Int32Array
  const laid = tf.tensor(
    data,
    axes.map((axis) => sizes[axis]),
    type === 'index' ? 'int32' : 'float32',
  )
  return tf.reshape(toOrder(laid, axes, node.axes), shapeOf(node.axes))
}

/** 0, 1, 2 ... along the node's axis. */
function places({ node, sizes, shapeOf }: OpContext): T {
  return tf.reshape(tf.range(0, sizes[node.axis!], 1, 'int32'), shapeOf([node.axis!]))
}

/** Transposes from one order of axes to another; free where they agree. */
export function toOrder(x: T, from: readonly string[], to: readonly string[]): T {
  const order = to.map((axis) => from.indexOf(axis))
  return order.every((place, i) => place === i) ? x : tf.transpose(x, order)
}

function swap(x: T, a: number, b: number): T {
  const order = x.shape.map((_, i) => (i === a ? b : i === b ? a : i))
  return tf.transpose(x, order)
}

function real(x: T): T {
  return x.dtype === 'float32' ? x : tf.cast(x, 'float32')
}

/** Backends disagree on max(NaN, x); the definition says NaN. Adding 0 x (a + b) would also turn infinities into NaN. */
function keepNaN(result: T, ...args: T[]): T {
  const broken = args.map((arg) => tf.isNaN(real(arg))).reduce((some, next) => tf.logicalOr(some, next))
  return tf.where(broken, tf.scalar(Number.NaN), real(result))
}
