/** Quantiles of measurements. */

/**
 * The smallest number that at most this share of the others is below.
 *
 * @param sorted in ascending order
 * @returns NaN if there are none
 * @example
 * quantile([1, 2, 3, 4], 0.99) // 4
 */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** Of numbers in any order; of two in the middle, the larger. */
export function median(numbers: readonly number[]): number {
  return quantile(
    [...numbers].sort((a, b) => a - b),
    0.5,
  )
}
