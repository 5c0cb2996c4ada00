/** Loads TensorFlow, tests it with one loss, and makes an Engine from it. */
import type { Engine } from '../contract.ts'
import { tensorflowEngine } from './engine.ts'
import { loadNative, type Native } from './native.ts'
import { probe } from './self-test.ts'
import type { Setup } from './setup.ts'

/** A process has one TensorFlow, which is loaded and tested once. */
let native: Promise<Native> | undefined

/** @throws Error in one line if the library cannot be loaded, or computes wrong results */
export async function openTensorflow(setup: Setup, reason: string): Promise<Engine> {
  native ??= start(setup)
  return tensorflowEngine(await native, reason)
}

async function start(setup: Setup): Promise<Native> {
  const loaded = loadNative(setup)
  const engine = await tensorflowEngine(loaded, 'self-test')
  await probe(engine)
  await engine.close()
  return loaded
}
