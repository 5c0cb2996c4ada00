import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { IS_THOROUGH } from './test/support/depth.ts'
import { swiftshaderEnvironment } from './test/support/swiftshader.ts'

/** The default leaves one core free. Many tests wait for a disk, a process or a timer, so no core needs to be. */
const FORKS = availableParallelism()

/** Suites that test more in a thorough run. The others would only repeat what `npm test` has already tested. */
function thoroughSuites(): string[] {
  const files = readdirSync('test', { recursive: true, encoding: 'utf8' }).map((file) => join('test', file))
  return files.filter((file) => file.endsWith('.test.ts') && hasDepth(file))
}

/** Itself, or a part of it that it imports. */
function hasDepth(file: string): boolean {
  const text = readFileSync(file, 'utf8')
  if (text.includes('support/depth.ts')) return true
  const parts = [...text.matchAll(/^import '(\.\/[\w-]+\.ts)'/gm)]
  return parts.some(([, part]) => hasDepth(join(dirname(file), part!)))
}

export default defineConfig({
  resolve: {
    alias: [
      {
        find: /^.*\/spawn-worker-thread\.ts$/,
        replacement: fileURLToPath(new URL('test/support/spawn-built-worker.ts', import.meta.url)),
      },
    ],
  },
  test: {
    include: IS_THOROUGH ? thoroughSuites() : ['test/**/*.test.ts'],
    pool: 'forks',
    poolOptions: {
      forks: {
        // Loading the modules of the service again for each file takes a third of the whole time.
        isolate: false,
        maxForks: FORKS,
        minForks: FORKS,
        // Test data is young and large: fewer and larger collections of the young generation.
        execArgv: ['--max-semi-space-size=64'],
      },
    },
    setupFiles: ['test/support/turn.ts'],
    env: swiftshaderEnvironment(),
    // Servers, threads and trainings start in tests; a slow machine is not a failure.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
