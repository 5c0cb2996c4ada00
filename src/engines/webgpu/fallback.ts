/**
 * The op-by-op way: tfjs's own WebGPU backend on the device that the fused way uses. It is opened when a program first needs
 * it, and takes what is too large for fused shaders.
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

/** @param engine the name under which results are told */
export async function openFallback({ gpu, device }: OpenDevice, engine: string): Promise<Fallback> {
  const { WebGPUBackend } = await import(PACKAGE)
  showLikeBrowser(gpu)
  // A name of its own for each device: tfjs keeps what it registered under a name though its device is gone.
  const name = `webgpu-${opened++}`
  tf.registerBackend(name, () => new WebGPUBackend(device))
  tf.copyRegisteredKernels('webgpu', name)
  return {
    run: async (batch) => {
      // Other engines of this process may have chosen another backend since.
      if (!(await tf.setBackend(name))) throw new Error('the tfjs backend "webgpu" did not start')
      tf.enableProdMode()
      // Else tfjs computes what is small on the processor, and a job alone would not get what it gets when merged.
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
 * Some of tfjs's shaders are refused by the device (a transposed int32 tensor, for one), and it goes on with whatever the
 * buffers hold.
 *
 * @throws UnsupportedByEngine then
 */
async function checked(device: GPUDevice, run: () => Promise<BatchResult>): Promise<BatchResult> {
  device.pushErrorScope('validation')
  const running = run()
  const [error, outcome] = await Promise.all([device.popErrorScope(), settled(running)])
  if (error !== null) throw new UnsupportedByEngine(`tfjs cannot do it on WebGPU: ${error.message}`)
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

/** tfjs takes WebGPU for absent where `navigator.gpu` is, though it is handed a device. Node before 21 has no navigator. */
function showLikeBrowser(gpu: GPU) {
  const known: object = (globalThis as { navigator?: object }).navigator ?? {}
  if (!('gpu' in known)) Object.defineProperty(known, 'gpu', { value: gpu, configurable: true })
  if (!('navigator' in globalThis))
    Object.defineProperty(globalThis, 'navigator', { value: known, configurable: true })
}
