/** Blocked summation along one dimension, with an error that does not grow with its length. */
import * as tf from '@tensorflow/tfjs-core'

/** Backends add one number after another in float32. Beyond this many terms, that loses digits. */
const BLOCK = 64

/**
 * The sum, with the dimension kept at size 1: first within blocks, then over the blocks. The grouping of the terms
 * depends only on the length, never on the rest of the batch.
 */
export function sumOver(x: tf.Tensor, dimension: number): tf.Tensor {
  const length = x.shape[dimension]
  if (length <= BLOCK) return tf.sum(x, dimension, true)
  const whole = Math.floor(length / BLOCK)
  const [head, tail] = tf.split(x, [whole * BLOCK, length - whole * BLOCK], dimension) as [
    tf.Tensor,
    tf.Tensor,
  ]
  const blocked = [...x.shape.slice(0, dimension), whole, BLOCK, ...x.shape.slice(dimension + 1)]
  const blocks = tf.sum(tf.reshape(head, blocked), dimension + 1)
  const total = sumOver(blocks, dimension)
  return length === whole * BLOCK ? total : tf.add(total, tf.sum(tail, dimension, true))
}
