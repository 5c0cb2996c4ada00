/** What TensorFlow's messages mean for a batch: tfjs-node throws plain errors, with the status and its text in one line. */
import { DeviceLost, OutOfMemory, UnsupportedByEngine } from '../contract.ts'

/** The first that matches counts: a lost device may also say that it cannot allocate. */
const MEANINGS = [
  [/CUDA_ERROR_(?!OUT_OF_MEMORY)\w+|device is lost|GpuDevice.*poisoned/i, DeviceLost],
  [/\bOOM\b|out of memory|RESOURCE_EXHAUSTED|failed to allocate|bad_alloc/i, OutOfMemory],
  [/UNIMPLEMENTED|not implemented|No registered|not compilable|unsupported/i, UnsupportedByEngine],
] as const

/**
 * The error as the contract knows it, or itself where it is a bug.
 *
 * @example
 * meaningOf(new Error('Session fail to run with error: OOM when allocating tensor')) // an OutOfMemory
 */
export function classifyError(error: unknown): unknown {
  if (!(error instanceof Error) || error.constructor !== Error) return error
  const found = MEANINGS.find(([pattern]) => pattern.test(error.message))
  return found === undefined ? error : new found[1](error.message.split('\n')[0])
}
