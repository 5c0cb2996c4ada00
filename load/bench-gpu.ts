/**
 * `npm run bench:gpu [-- kernels|requests] [--quick]`: compares the engines that compute on a device with PyTorch
 * on the same device and with the compiled kernels, with and without micro-batching. Writes docs/benchmarks-gpu.md.
 */

import { swiftshaderEnvironment } from '../test/support/swiftshader.ts'
import { runBench } from './bench/run.ts'
import kernels from './bench-gpu/kernels.ts'
import requests from './bench-gpu/requests.ts'
import { HAS_GPU } from './bench-gpu/work.ts'

// The dynamic loader reads these variables when the processes of the sides start.
if (!HAS_GPU) Object.assign(process.env, swiftshaderEnvironment())

await runBench({
  title: 'Benchmarks on a GPU',
  command: 'npm run bench:gpu',
  file: new URL('../docs/benchmarks-gpu.md', import.meta.url),
  about: [
    HAS_GPU
      ? 'The tables name the device.'
      : '**There was no GPU here: WebGPU ran on SwiftShader, a software renderer, and TensorFlow on the CPU. The tables show only that everything runs; they say nothing about a GPU.**',
  ],
  parts: { kernels, requests },
})
