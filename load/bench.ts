/**
 * `npm run bench [-- http|kernels|threads|growth] [--quick]`: compares the service with a bare echo server, and the kernels
 * with other engines and PyTorch.
 */
import growth from './bench/growth.ts'
import http from './bench/http.ts'
import kernels from './bench/kernels.ts'
import { runBench } from './bench/run.ts'
import threads from './bench/threads.ts'

await runBench({
  title: 'Benchmarks',
  command: 'npm run bench',
  file: new URL('../docs/benchmarks.md', import.meta.url),
  about: ['The clients, the service and the echo server share the cores.'],
  parts: { http, kernels, threads, growth },
})
