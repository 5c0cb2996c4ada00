/**
 * `npm run bench:gpu [-- kernels|requests] [--quick]`: the engines that compute on a device, beside PyTorch on the same one,
 * beside the compiled kernels, and with micro-batching and without. Writes docs/benchmarks-gpu.md.
 */

import { runBench } from './bench/run.ts'
import kernels from './bench-gpu/kernels.ts'
import requests from './bench-gpu/requests.ts'

await runBench({
  title: 'Benchmarks on a GPU',
  command: 'npm run bench:gpu',
  file: new URL('../docs/benchmarks-gpu.md', import.meta.url),
  about: [
    'The device is what the tables name: where that is a software renderer (SwiftShader, llvmpipe) or TensorFlow on the processor, they show that everything runs, and nothing of a GPU.',
  ],
  parts: { kernels, requests },
})
