/**
 * How loaded the service is, in three steps. It goes up at once and down only after a while (hysteresis), so that it does not flicker
 * and what depends on it does not either.
 */

/** From idle to refusing. */
export const LEVELS = ['normal', 'busy', 'overloaded'] as const
export type Level = (typeof LEVELS)[number]

/** How long a queue must stand until the service is busy, in ms: one that empties in between is only a burst. */
const STANDS_MS = 500
/** How long a step lasts after its reason is gone, in ms. */
const HOLD_MS = 1000

/** Jobs wait for the engine, pieces of work for the event loop. */
type Queue = 'jobs' | 'pieces'

export class LoadLevel {
  readonly #clock: () => number
  readonly #waiting = { jobs: 0, pieces: 0 }
  /** When nothing was waiting last. */
  #emptyAt: number
  #busyUntil = Number.NEGATIVE_INFINITY
  #overloadedUntil = Number.NEGATIVE_INFINITY

  /** @param clock in milliseconds */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock
    this.#emptyAt = clock()
  }

  /** How much waits in one of the queues. */
  queued(queue: Queue, count: number) {
    const now = this.#clock()
    this.#waiting[queue] = count
    if (this.#waiting.jobs + this.#waiting.pieces === 0) this.#emptyAt = now
    else if (now - this.#emptyAt > STANDS_MS) this.#busyUntil = now + HOLD_MS
  }

  /** A request was refused. */
  refused() {
    this.#overloadedUntil = this.#clock() + HOLD_MS
  }

  get level(): Level {
    const now = this.#clock()
    if (now < this.#overloadedUntil) return 'overloaded'
    return now < this.#busyUntil ? 'busy' : 'normal'
  }
}
