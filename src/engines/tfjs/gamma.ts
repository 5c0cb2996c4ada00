/** lgamma, digamma and polygamma on tfjs tensors, one op per step: engines/gamma.ts has the algorithm. */
import * as tf from '@tensorflow/tfjs-core'
import * as gamma from '../gamma.ts'

type T = tf.Tensor

const ON: gamma.Arithmetic<T> = {
  number: (value) => tf.scalar(value),
  add: (a, b) => tf.add(a, b),
  sub: (a, b) => tf.sub(a, b),
  mul: (a, b) => tf.mul(a, b),
  div: (a, b) => tf.div(a, b),
  madd: (a, b, c) => tf.add(tf.mul(a, b), c),
  less: (a, b) => tf.less(a, b),
  select: (test, yes, no) => tf.where(test, yes, no),
  keep: (x) => x,
}

export function lgamma(x: T): T {
  const argument = argumentOf(x)
  return gamma.lgamma(ON, argument, logarithmsOf(argument))
}

export function digamma(x: T): T {
  const argument = argumentOf(x)
  return gamma.digamma(ON, argument, logarithmsOf(argument))
}

/** @param n the order of the derivative of digamma, at least 1 */
export function polygamma(n: number, x: T): T {
  return gamma.polygamma(ON, n, argumentOf(x))
}

function argumentOf(x: T): gamma.ReducedArgument<T> {
  const rest = tf.sub(x, tf.round(x))
  return { x, size: tf.abs(x), rest, distance: tf.abs(rest) }
}

function logarithmsOf({ size, distance }: gamma.ReducedArgument<T>): gamma.ArgumentLogs<T> {
  return { ofSize: tf.log(size), ofDistance: tf.log(distance) }
}
