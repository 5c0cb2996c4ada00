/**
 * `npm run test:coverage [-- 5000]`: how many of the intervals of 95 % contain the true value, in 2,000 simulated sets of each
 * kind, for the bootstrap as well as for standard errors. `npm test` simulates fewer for the bootstrap.
 */
import { startVitest } from 'vitest/node'

process.env.SETS = process.argv[2] ?? '2000'
const vitest = await startVitest('test', ['test/evaluation/intervals.test.ts'], { watch: false })
await vitest.close()
