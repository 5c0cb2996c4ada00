/** Loads TensorFlow, tries it out with one loss, and makes it an Engine. */
import type { Engine } from '../contract.ts'
import { tensorflowEngine } from './engine.ts'
import { loadNative, type Native } from './native.ts'
import { probe } from './probe.ts'
import type { Setup } from './setup.ts'

/** A process has one TensorFlow, which is loaded and tried out once. */
let native: Promise<Native> | undefined

/** @throws Error in one line when the library cannot be loaded, or computes something else than it should */
export async function openTensorflow(setup: Setup, reason: string): Promise<Engine> {
  native ??= start(setup)
  return tensorflowEngine(await native, reason)
}

async function start(setup: Setup): Promise<Native> {
  const loaded = loadNative(setup)
  const engine = await tensorflowEngine(loaded, 'tried out')
  await probe(engine)
  await engine.close()
  return loaded
}
