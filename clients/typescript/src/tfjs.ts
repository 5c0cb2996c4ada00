/** Losses for TensorFlow.js, with a gradient of their own (`tf.customGrad`). */
import type { EvaluateOptions, Loss, Result } from './loss.ts'
import type { Tensors } from './tensor.ts'

/** The part of a tensor of TensorFlow.js that is used here. */
interface TfTensor {
  readonly shape: readonly number[]
  readonly dtype: string
  dataSync(): Float32Array | Int32Array | Uint8Array
}

/** The part of TensorFlow.js that is used here. */
interface Tf<T extends TfTensor> {
  customGrad(
    f: (...args: never[]) => { value: T; gradFunc: (upstream: T, saved: never) => T | T[] },
  ): (...args: T[]) => T
  tensor(data: Float32Array, shape: number[]): T
  scalar(value: number): T
  mul(a: T, b: T): T
  zerosLike(x: T): T
}

/**
 * A function of two tensors for `tf.grads`, `tf.variableGrads` and optimizers. It computes in this process, because
 * gradients of TensorFlow.js are synchronous.
 *
 * @param example inputs with the dtypes and the number of axes that it will be called with
 * @example
 * const huber = await tfLoss(tf, new Loss('huber'), { predictions: x, targets: y })
 * optimizer.minimize(() => huber(model.predict(x), y))
 */
export async function tfLoss<T extends TfTensor>(
  tf: Tf<T>,
  loss: Loss,
  example: Readonly<Record<string, T>>,
  options: EvaluateOptions = {},
): Promise<(predictions: T, targets: T) => T> {
  const [first, second] = Object.keys(example)
  const step = await loss.compile(inputsOf(example), { ...options, wrt: first })
  const function_ = tf.customGrad(((predictions: T, targets: T) => {
    const inputs = inputsOf({ [first!]: predictions, [second!]: targets })
    const result: Result = step(inputs, { wrt: first })
    const value = tf.scalar(result.loss)
    const gradient = result.gradients[first!]!
    const gradFunc = (upstream: T): T[] => {
      const data = Float32Array.from(gradient.data)
      return [tf.mul(tf.tensor(data, [...gradient.shape]), upstream), tf.zerosLike(targets)]
    }
    return { value, gradFunc }
  }) as never)
  return (predictions, targets) => function_(predictions, targets)
}

function inputsOf(tensors: Readonly<Record<string, TfTensor>>): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, own]) => [name, { shape: own.shape, data: own.dataSync() }]),
  )
}
