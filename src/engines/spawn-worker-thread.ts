/** Starts worker threads, both from sources and from the build. */
import { Worker } from 'node:worker_threads'

/**
 * Most of what a thread holds lies outside of its heap. By default V8 would let the young generation of each grow to 48
 * MB.
 */
const resourceLimits = { maxYoungGenerationSizeMb: 12 }

/**
 * Node below 22.18 cannot load TypeScript in a thread, and `--import tsx` does not apply to threads. When running
 * from sources, the thread therefore registers tsx itself.
 *
 * @param entry the module's URL without its extension, which is that of this file
 */
export function spawn(entry: URL, workerData: unknown): Worker {
  if (import.meta.url.endsWith('.js'))
    return new Worker(new URL(`${entry.href}.js`), { workerData, resourceLimits })
  const source = JSON.stringify(`${entry.href}.ts`)
  const boot = `import('tsx/esm/api').then(({ register }) => { register(); return import(${source}) })`
  return new Worker(boot, { eval: true, workerData, resourceLimits })
}
