/** The WebGPU engine for its own tests, on SwiftShader or a GPU. If it is not available, the reason is printed once. */
import { NoDevice } from '../../../src/engines/webgpu/device.ts'
import { openWebGpu, type WebGpuEngine, type WebGpuOptions } from '../../../src/engines/webgpu/engine.ts'

/** @returns undefined without a device; the tests are then skipped */
export async function openHere(options: Partial<WebGpuOptions> = {}): Promise<WebGpuEngine | undefined> {
  try {
    return await openWebGpu({ reason: 'test', ...options })
  } catch (error) {
    if (!(error instanceof NoDevice)) throw error
    console.log(`webgpu is not tested here: ${error.message}`)
    return undefined
  }
}
