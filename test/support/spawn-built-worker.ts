/**
 * Takes the place of src/engines/spawn-worker-thread.ts in tests (see vitest.config.ts): threads run what is built. They start in
 * a quarter of the time that the sources take, which each thread would compile again, and hundreds of tests start threads.
 */
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { Worker } from 'node:worker_threads'
import { builtProgram } from './programs.ts'

const SOURCES = new URL('../../src/', import.meta.url).href
const BUILD = buildOf(builtProgram('server'))
const built = (await import(
  /* @vite-ignore */ new URL('engines/spawn-worker-thread.js', BUILD).href
)) as typeof import('../../src/engines/spawn-worker-thread.ts')

/** As the function that it replaces. */
export function spawn(entry: URL, workerData: unknown): Worker {
  return built.spawn(new URL(entry.href.slice(SOURCES.length), BUILD), workerData)
}

/** The folder whose modules a program in dist starts. */
function buildOf(program: string): URL {
  const name = /import\('\.\/(\w+)\//.exec(readFileSync(program, 'utf8'))![1]!
  return new URL(`${name}/`, pathToFileURL(program))
}
