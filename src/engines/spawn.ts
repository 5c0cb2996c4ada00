/** Starts worker threads, from sources and from the build alike. */
import { Worker } from 'node:worker_threads'

/**
 * Node below 22.18 cannot load TypeScript in a thread, nor does `--import tsx` reach into one, so from source the thread
 * registers tsx itself.
 *
 * @param entry the module's URL without its extension, which is that of this file
 */
export function spawn(entry: URL, workerData: unknown): Worker {
  if (import.meta.url.endsWith('.js')) return new Worker(new URL(`${entry.href}.js`), { workerData })
  const source = JSON.stringify(`${entry.href}.ts`)
  const boot = `import('tsx/esm/api').then(({ register }) => { register(); return import(${source}) })`
  return new Worker(boot, { eval: true, workerData })
}
