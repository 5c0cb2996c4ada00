import { defineConfig } from 'vitest/config'
import { swiftshaderEnvironment } from './test/support/swiftshader.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    env: swiftshaderEnvironment(),
    // Servers, threads and trainings start in tests; a slow machine is not a failure.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
