/** Tensor contraction (a sum of products along one axis) as a matrix product. */
import * as tf from '@tensorflow/tfjs-core'
import type { OpContext } from './op-context.ts'

/**
 * sum over k of a[batch, i, k] * b[batch, j, k]. The axes that both sides keep are the batch, the summed axis is
 * the inner dimension, and axes that only one side has are its rows or columns.
 */
export function contract(context: OpContext, a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  const { node, sizes, shapeOf } = context
  const [left, right] = [context.axesOf(0), context.axesOf(1)]
  const shared = node.axes.filter((axis) => left.includes(axis) && right.includes(axis))
  const rows = node.axes.filter((axis) => left.includes(axis) && !right.includes(axis))
  const columns = node.axes.filter((axis) => right.includes(axis) && !left.includes(axis))
  const count = (axes: readonly string[]) => axes.reduce((product, axis) => product * sizes[axis], 1)
  const matrix = (x: tf.Tensor, own: readonly string[], outer: readonly string[]) => {
    const dense = tf.reshape(
      x,
      own.map((axis) => sizes[axis]),
    )
    const ordered = tf.transpose(
      dense,
      [...shared, ...outer, node.axis!].map((axis) => own.indexOf(axis)),
    )
    return tf.reshape(ordered, [count(shared), count(outer), sizes[node.axis!]])
  }
  const product = tf.matMul(matrix(a, left, rows), matrix(b, right, columns), false, true)
  const found = [...shared, ...rows, ...columns]
  const laid = tf.reshape(
    product,
    found.map((axis) => sizes[axis]),
  )
  return tf.reshape(
    tf.transpose(
      laid,
      node.axes.map((axis) => found.indexOf(axis)),
    ),
    shapeOf(node.axes),
  )
}
