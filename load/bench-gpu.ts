/**
 * `npm run bench:gpu [-- kernels|requests] [--quick]`: the engines that compute on a device, beside PyTorch on the same one,
 * beside the compiled kernels, and with micro-batching and without. Writes docs/benchmarks-gpu.md.
 */

import { swiftshaderEnvironment } from '../test/support/swiftshader.ts'
import { runBench } from './bench/run.ts'
import kernels from './bench-gpu/kernels.ts'
import requests from './bench-gpu/requests.ts'
import { HAS_GPU } from './bench-gpu/work.ts'

// Read by the loader when the processes of the sides start.
if (!HAS_GPU) Object.assign(process.env, swiftshaderEnvironment())

await runBench({
  title: 'Benchmarks on a GPU',
  command: 'npm run bench:gpu',
  file: new URL('../docs/benchmarks-gpu.md', import.meta.url),
  about: [
    HAS_GPU
      ? 'The device is what the tables name.'
      : '**There was no GPU here: WebGPU ran on SwiftShader, a software renderer, and TensorFlow on the processor. The tables show that everything runs, and nothing of a GPU.**',
  ],
  parts: { kernels, requests },
})
