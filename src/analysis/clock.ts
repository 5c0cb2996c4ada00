/** How long a proof may take. */

/** Tells when to stop. */
export interface Clock {
  readonly isOver: () => boolean
  readonly elapsed: () => number
  readonly budgetMs: number
}

/**
 * @param budgetMs from now on
 * @example
 * clockOf(200).isOver() // false, for 200 ms
 */
export function clockOf(budgetMs: number): Clock {
  const start = performance.now()
  const elapsed = () => performance.now() - start
  return { elapsed, budgetMs, isOver: () => elapsed() >= budgetMs }
}

/** A part of the time that is left, so that one hard question does not use up that of the others. */
export function within(clock: Clock, budgetMs: number): Clock {
  const own = clockOf(budgetMs)
  return { ...own, isOver: () => own.isOver() || clock.isOver() }
}
