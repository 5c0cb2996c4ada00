/** How the entry points of engine processes are started, both from sources and from the build. */
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'

/**
 * When running from sources, the process registers tsx first, as spawn-worker-thread.ts does for threads.
 *
 * @param name of a file beside this one, without its extension
 * @returns the arguments of Node, and the entry point
 * @example
 * const { execArgv, entry } = entryArguments('child')
 */
export function entryArguments(name: string): { execArgv: string[]; entry: string } {
  const isBuilt = import.meta.url.endsWith('.js')
  const loader = () => pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  const entry = fileURLToPath(new URL(`./${name}${isBuilt ? '.js' : '.ts'}`, import.meta.url))
  return { execArgv: isBuilt ? [] : ['--import', loader()], entry }
}
