/**
 * How much the expensive suites test. `npm test` takes a part, so that it stays below five minutes on two cores;
 * `npm run test:thorough` runs those suites again with all of their points, formulas and simulations. CI runs both.
 */
export const IS_THOROUGH = process.env.LOSSD_TEST_DEPTH === 'thorough'

/**
 * The number of points, formulas or simulations to test: `whole` in a thorough run, otherwise `part`.
 *
 * @example
 * fc.assert(property, { numRuns: depth(200, 5000) })
 */
export const depth = <T>(part: T, whole: T): T => (IS_THOROUGH ? whole : part)

/**
 * All items in a thorough run, otherwise every `step`-th.
 *
 * @example
 * it.each(sampled(losses, 3))('%s ...')
 */
export const sampled = <T>(items: readonly T[], step: number): readonly T[] =>
  IS_THOROUGH ? items : items.filter((_, place) => place % step === 0)
