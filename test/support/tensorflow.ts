/**
 * The TensorFlow engine, if `npm run setup:tensorflow` has been run on this machine. Otherwise its tests print the
 * reason and pass.
 */
import type { Engine } from '../../src/engines/contract.ts'
import { isUnavailable } from '../../src/engines/define.ts'
import { readSetup } from '../../src/engines/tensorflow/setup.ts'
import tensorflow from '../../src/engines/tensorflow.ts'

/** Why it is not tested here; undefined if it is. */
export const untested = whyNot()

function whyNot(): string | undefined {
  const setup = readSetup()
  return typeof setup === 'string' ? setup : undefined
}

/** @throws Error if it is set up and does not open: that is a failure, and no reason to skip the tests */
export async function openTensorflow(): Promise<Engine> {
  const opened = await tensorflow.open('test')
  if (isUnavailable(opened)) throw new Error(opened.unavailable)
  return opened
}
