/** The built programs, for tests that start them as processes: what is deployed, and it starts in half the time of the sources. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/**
 * Builds the sources if they have changed.
 *
 * @returns the path of the program
 * @example
 * spawn(process.execPath, [builtProgram('cli'), 'losses'])
 */
export function builtProgram(name: 'server' | 'cli' | 'store-cli'): string {
  execFileSync(process.execPath, [`${ROOT}setup/build.js`], { stdio: ['ignore', 'ignore', 'inherit'] })
  return `${ROOT}dist/${name}.js`
}
