/**
 * Runs a batch on its executable: one call into TensorFlow, with inputs padded to the executable's shape and
 * results cut to size.
 */
import * as tf from '@tensorflow/tfjs-core'
import type { NumericArray } from '../../tensor.ts'
import { type Batch, type BatchResult, concatChunks } from '../contract.ts'
import type { CompiledExecutable } from './executable-cache.ts'
import { type PaddedDim, padded, unpad } from './shape-buckets.ts'

type Arrays = Pick<BatchResult, 'values' | 'denominators' | 'gradients'>

/** @throws Error from tfjs-node; no tensor is leaked */
export function runExecutable(form: CompiledExecutable, batch: Batch): Arrays {
  const filling = form.rows && { ...form.rows, count: batch.sizes[form.rows.axis] }
  // Like tf.tidy, for a function whose result contains arrays and no tensors.
  tf.engine().startScope()
  try {
    const inputs = form.arguments.map((argument) =>
      tf.tensor(bitsFor(form, batch, argument, filling), [...argument.shape], 'int32'),
    )
    return shaped(form, form.model.predict(inputs), filling)
  } finally {
    tf.engine().endScope()
  }
}

/** The data of one argument for this batch, with real numbers as their bits. */
function bitsFor(
  { program, sizes }: CompiledExecutable,
  batch: Batch,
  argument: CompiledExecutable['arguments'][number],
  filling: PaddedDim | undefined,
): Int32Array {
  if (argument.kind === 'count') return Int32Array.of(filling!.count)
  if (argument.kind === 'numbers') return bitsOf(numbersOf(batch, argument.shape[0]))
  if (argument.kind === 'cotangent') return filled(bitsOf(concatChunks(batch.cotangent)), argument.axes)
  const { type, axes } = program.inputs[argument.name]
  const data = concatChunks(batch.inputs[argument.name])
  return filled(type === 'index' ? wholeOf(data) : bitsOf(data), axes)

  function filled(bits: Int32Array, own: readonly string[]): Int32Array {
    return filling === undefined ? bits : padded(bits, own, sizes, filling)
  }
}

function numbersOf({ program, scalars, cotangent }: Batch, length: number): Float32Array {
  const numbers = new Float32Array(length)
  program.scalars.forEach((name, i) => {
    numbers[i] = scalars[name]
  })
  if (length > program.scalars.length) numbers[length - 1] = cotangent[0][0]
  return numbers
}

function wholeOf(data: NumericArray): Int32Array {
  return data instanceof Int32Array ? data : Int32Array.from(data)
}

/** The same memory, if it already contains float32. */
function bitsOf(data: NumericArray): Int32Array {
  const numbers = data instanceof Float32Array ? data : Float32Array.from(data)
  return new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length)
}

function shaped(
  { outputs, sizes }: CompiledExecutable,
  results: readonly tf.Tensor[],
  filling: PaddedDim | undefined,
): Arrays {
  const gradients: Record<string, Float32Array> = {}
  const columns: { values?: Float32Array; denominators?: Float32Array } = {}
  outputs.forEach(({ role, name, axes }, place) => {
    const data = results[place].dataSync<'float32'>()
    const own = filling === undefined ? data : unpad(data, axes, sizes, filling)
    if (role === 'gradient') gradients[name] = own
    else columns[role] = own
  })
  const { values, ...denominators } = columns
  return { values: values!, ...denominators, gradients }
}
