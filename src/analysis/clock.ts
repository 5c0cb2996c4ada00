/** How long a proof may take. */

/** Tells when to stop. */
export interface Clock {
  readonly isOver: () => boolean
  readonly elapsed: () => number
  readonly budgetMs: number
  /** How many times as long as usual everything may take. */
  readonly patience: number
}

/** The budget for which the limits of single searches are made. */
const USUAL_MS = 1500

/**
 * @param budgetMs from now on
 * @example
 * clockOf(200).isOver() // false, for 200 ms
 */
export function clockOf(budgetMs: number): Clock {
  const start = performance.now()
  const elapsed = () => performance.now() - start
  const patience = Math.max(1, budgetMs / USUAL_MS)
  return { elapsed, budgetMs, patience, isOver: () => elapsed() >= budgetMs }
}

/** A part of the time that is left, so that one hard search does not use up that of the others: longer with a larger budget. */
export function within(clock: Clock, usualMs: number): Clock {
  return limited(clock, usualMs * clock.patience)
}

/** A share of the whole budget. */
export function portionOf(clock: Clock, share: number): Clock {
  return limited(clock, clock.budgetMs * share)
}

function limited(clock: Clock, budgetMs: number): Clock {
  const own = clockOf(budgetMs)
  return { ...own, patience: clock.patience, isOver: () => own.isOver() || clock.isOver() }
}
