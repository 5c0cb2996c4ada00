/** Any GPU through WebGPU: fused WGSL kernels on Dawn, and tfjs's WebGPU backend for programs that cannot be fused. */
import type { Engine } from './contract.ts'
import { defineEngine, type Unavailable } from './define.ts'
import { missingDevice, NoDevice } from './webgpu/device.ts'

export default defineEngine({
  name: 'webgpu',
  rank: 25,
  mergesExactly: true,
  flushesSubnormals: true,
  home: 'process',
  missing: missingDevice,
  open,
})

async function open(reason: string): Promise<Engine | Unavailable> {
  try {
    // tfjs is loaded only where it computes.
    const { openWebGpu } = await import('./webgpu/engine.ts')
    return await openWebGpu({ reason })
  } catch (error) {
    if (error instanceof NoDevice) return { unavailable: error.message }
    throw error
  }
}
