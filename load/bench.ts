/** `npm run bench [-- http|kernels|growth] [--quick]`: the service beside an echo, the kernels beside what else there is. */
import growth from './bench/growth.ts'
import http from './bench/http.ts'
import kernels from './bench/kernels.ts'
import { runBench } from './bench/run.ts'

await runBench({
  title: 'Benchmarks',
  command: 'npm run bench',
  file: new URL('../docs/benchmarks.md', import.meta.url),
  about: ['Clients, service and echo share the cores.'],
  parts: { http, kernels, growth },
})
