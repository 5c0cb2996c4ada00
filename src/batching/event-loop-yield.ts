/**
 * Cooperative scheduling on the event loop: large pieces of work run one per iteration, so that everyone else waits
 * for one piece instead of for all that are ready.
 */

/** From this size on, copying or scanning the bytes takes a millisecond or more. */
export const LARGE_BYTES = 2 ** 20

export interface EventLoopYield {
  /**
   * Resolves in an event loop iteration in which no other piece runs. Returns undefined for a small piece, which
   * can run at once.
   */
  next(bytes: number): Promise<void> | undefined
}

/**
 * @param before called when it is a piece's turn
 * @example
 * const turns = createEventLoopYield()
 * await turns.next(body.length)
 */
export function createEventLoopYield(before = () => {}): EventLoopYield {
  let last: Promise<void> = Promise.resolve()
  return {
    next: (bytes) => {
      if (bytes < LARGE_BYTES) return undefined
      last = last.then(() => new Promise((resolve) => setImmediate(resolve))).then(before)
      return last
    },
  }
}
