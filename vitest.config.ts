import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { swiftshaderEnvironment } from './test/support/swiftshader.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // The default leaves one core free. Many tests wait for a disk, a process or a timer, so no core needs to be.
    poolOptions: { forks: { maxForks: availableParallelism() } },
    setupFiles: ['test/support/turn.ts'],
    env: swiftshaderEnvironment(),
    // Servers, threads and trainings start in tests; a slow machine is not a failure.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
