/** `npm run bench:clients`: value and gradient in each language, local and remote, beside the framework's own loss. */
import auto from './bench/auto.ts'
import clients from './bench/clients.ts'
import { runBench } from './bench/run.ts'

await runBench({
  title: 'Benchmarks of the clients',
  command: 'npm run bench:clients',
  file: new URL('../docs/benchmarks-clients.md', import.meta.url),
  about: ['Clients and service share the cores.'],
  parts: { clients, auto },
})
