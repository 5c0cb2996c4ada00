/** Classifies TensorFlow's error messages: tfjs-node throws plain errors, with the status and its text in one line. */
import { DeviceLost, OutOfMemory, UnsupportedByEngine } from '../contract.ts'

/** The first match counts: a lost device may also report that it cannot allocate. */
const MEANINGS = [
  [/CUDA_ERROR_(?!OUT_OF_MEMORY)\w+|device is lost|GpuDevice.*poisoned/i, DeviceLost],
  [/\bOOM\b|out of memory|RESOURCE_EXHAUSTED|failed to allocate|bad_alloc/i, OutOfMemory],
  [/UNIMPLEMENTED|not implemented|No registered|not compilable|unsupported/i, UnsupportedByEngine],
] as const

/**
 * The error as one of the contract's classes, or the error itself if it is a bug.
 *
 * @example
 * classifyError(new Error('Session fail to run with error: OOM when allocating tensor')) // an OutOfMemory
 */
export function classifyError(error: unknown): unknown {
  if (!(error instanceof Error) || error.constructor !== Error) return error
  const found = MEANINGS.find(([pattern]) => pattern.test(error.message))
  return found === undefined ? error : new found[1](error.message.split('\n')[0])
}
