/**
 * Op-by-op fallback: tfjs's own WebGPU backend on the device that the fused kernels use. It is opened when a
 * program first needs it, and runs programs that are too large for fused shaders.
 */
import * as tf from '@tensorflow/tfjs-core'
import { type Batch, type BatchResult, UnsupportedByEngine } from '../contract.ts'
import { execute } from '../tfjs/execute.ts'
import type { OpenDevice } from './device.ts'

const PACKAGE = '@tensorflow/tfjs-backend-webgpu'

export interface Fallback {
  run(batch: Batch): Promise<BatchResult>
  close(): void
}

let opened = 0

/** @param engine the name under which results are reported */
export async function openFallback({ gpu, device }: OpenDevice, engine: string): Promise<Fallback> {
  const { WebGPUBackend } = await import(PACKAGE)
  showLikeBrowser(gpu)
  // A separate name for each device: tfjs keeps what it registered under a name, even if its device is lost.
  const name = `webgpu-${opened++}`
  tf.registerBackend(name, () => new WebGPUBackend(device))
  tf.copyRegisteredKernels('webgpu', name)
  return {
    run: async (batch) => {
      // Other engines in this process may have selected another backend in the meantime.
      if (!(await tf.setBackend(name))) throw new Error('the tfjs backend "webgpu" did not start')
      tf.enableProdMode()
      // Otherwise tfjs computes small tensors on the CPU, and a job would get different bits alone and in a batch.
      tf.env().set('WEBGPU_CPU_FORWARD', false)
      return checked(device, () => execute(batch, engine))
    },
    close: () => {
      tf.removeBackend(name)
      for (const { kernelName } of tf.getKernelsForBackend(name)) tf.unregisterKernel(kernelName, name)
    },
  }
}

/**
 * The device rejects some of tfjs's shaders (for example a transposed int32 tensor), and tfjs continues with
 * whatever the buffers contain.
 *
 * @throws UnsupportedByEngine in this case
 */
async function checked(device: GPUDevice, run: () => Promise<BatchResult>): Promise<BatchResult> {
  device.pushErrorScope('validation')
  const running = run()
  const [error, outcome] = await Promise.all([device.popErrorScope(), settled(running)])
  if (error !== null) throw new UnsupportedByEngine(`tfjs cannot run it on WebGPU: ${error.message}`)
  if ('error' in outcome) throw outcome.error
  return outcome.result
}

type Outcome = { readonly result: BatchResult } | { readonly error: unknown }

function settled(running: Promise<BatchResult>): Promise<Outcome> {
  return running.then(
    (result) => ({ result }),
    (error: unknown) => ({ error }),
  )
}

/**
 * tfjs considers WebGPU unavailable without `navigator.gpu`, even if it is given a device. Node before 21 has no
 * navigator.
 */
function showLikeBrowser(gpu: GPU) {
  const known: object = (globalThis as { navigator?: object }).navigator ?? {}
  if (!('gpu' in known)) Object.defineProperty(known, 'gpu', { value: gpu, configurable: true })
  if (!('navigator' in globalThis))
    Object.defineProperty(globalThis, 'navigator', { value: known, configurable: true })
}
