import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Servers, threads and trainings start in tests; a slow machine is not a failure.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
