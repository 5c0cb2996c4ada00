/**
 * Large pieces of work take the event loop in turn, one in each of its rounds, so that whoever waits for the loop waits for
 * one piece and not for all that are ready. It decides nothing else.
 */

/** Bytes from which copying and looking through them takes a millisecond or more. */
export const LARGE_BYTES = 2 ** 20

export interface EventLoopYield {
  /** Resolves in a round of the event loop in which no other piece runs; at once where the piece is small. */
  next(bytes: number): Promise<void> | undefined
}

/**
 * @param before called when a piece's turn has come
 * @example
 * const turns = createTurns()
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
