/**
 * Cooperative scheduling on the event loop: large pieces of work wait for their turn. In each iteration they get as much
 * time together as everything else took since their last turn (fair queuing with two classes), at least one piece and
 * at most `MOST_MS`. So small requests wait for a few pieces instead of for all that are ready, and large ones do not
 * starve when small ones fill every iteration.
 */

/** From this size on, copying or scanning the bytes takes a millisecond or more. */
export const LARGE_BYTES = 2 ** 20
/** How long everyone else may wait for large pieces, in addition to the last of them. */
const MOST_MS = 20
/** How many pieces may run in an iteration. Node runs the immediates that were set before the iteration. */
const MOST_PIECES = 16

export interface EventLoopYield {
  /**
   * Resolves when it is the piece's turn. Returns undefined for a small piece, which can run at once.
   *
   * @param begun whether the piece continues a request that has had a turn already. Such pieces go first: finishing
   * what was begun frees memory, and a request of three pieces does not wait for three whole queues.
   */
  next(bytes: number, begun?: boolean): Promise<void> | undefined
}

/**
 * @param before called when it is a piece's turn
 * @param now a clock in milliseconds
 * @example
 * const turns = createEventLoopYield()
 * await turns.next(body.length)
 */
export function createEventLoopYield(
  before = () => {},
  now: () => number = () => performance.now(),
): EventLoopYield {
  return new FairTurns(before, now)
}

class FairTurns implements EventLoopYield {
  readonly #before: () => void
  readonly #now: () => number
  readonly #begun: (() => void)[] = []
  readonly #fresh: (() => void)[] = []
  /** How many immediates are set. */
  #immediates = 0
  /** Counts the iterations in which there was a turn. */
  #iteration = 0
  /** Until when large pieces may start in this iteration. */
  #until = 0
  #isRunning = false
  /** When the last piece ended, or when a piece began to wait while there was none. */
  #idleSince = 0

  constructor(before: () => void, now: () => number) {
    this.#before = before
    this.#now = now
  }

  next(bytes: number, begun = false): Promise<void> | undefined {
    if (bytes < LARGE_BYTES) return undefined
    if (this.#waiting === 0) this.#idleSince = this.#now()
    return new Promise((resolve) => {
      const queue = begun ? this.#begun : this.#fresh
      queue.push(resolve)
      this.#arm()
    })
  }

  get #waiting(): number {
    return this.#begun.length + this.#fresh.length
  }

  #arm() {
    if (this.#immediates >= Math.min(this.#waiting, MOST_PIECES)) return
    this.#immediates++
    const setIn = this.#iteration
    setImmediate(() => this.#turn(setIn))
    // A piece runs in the microtasks between its turn and this.
    setImmediate(() => this.#end())
  }

  /** @param setIn the iteration in which the immediate was set */
  #turn(setIn: number) {
    this.#immediates--
    const now = this.#now()
    const isFirst = setIn === this.#iteration
    if (isFirst) {
      this.#iteration++
      this.#until = now + Math.min(now - this.#idleSince, MOST_MS)
    }
    if (isFirst || now < this.#until) this.#begin()
    this.#arm()
  }

  #begin() {
    const resolve = this.#begun.shift() ?? this.#fresh.shift()
    if (resolve === undefined) return
    this.#before()
    this.#isRunning = true
    resolve()
  }

  #end() {
    if (this.#isRunning) this.#idleSince = this.#now()
    this.#isRunning = false
  }
}
