/** What the engines on tfjs share: makes an Engine from one backend of the thread's global tfjs. */
import * as tf from '@tensorflow/tfjs-core'
import type { Engine } from '../contract.ts'
import { execute } from './execute.ts'

/** @param backend a registered tfjs backend */
export async function tfjsEngine(
  name: string,
  backend: string,
  device: () => string,
  reason: string,
): Promise<Engine> {
  if (!(await tf.setBackend(backend))) throw new Error(`the tfjs backend "${backend}" did not start`)
  await tf.ready()
  tf.enableProdMode()
  return {
    info: { name, device: device(), reason },
    isReady: true,
    run: (batch) => execute(batch, name),
    serving: (_, precision) => (precision === 'float32' ? [name] : []),
    stats: async () => ({ tensors: tf.memory().numTensors, bytes: tf.memory().numBytes }),
    close: async () => close(backend),
  }
}

/** tfjs forgets a removed backend for good, unless it is registered again. */
function close(backend: string) {
  const factory = tf.findBackendFactory(backend)
  tf.removeBackend(backend)
  tf.registerBackend(backend, factory)
}
