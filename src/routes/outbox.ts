/**
 * Answers leave together, when the event loop has dealt with all that arrived in one of its rounds. A client on the same
 * machine is woken for every answer that finds it waiting, which costs as much as a small loss; of several in a row only
 * the first does. It writes nothing itself.
 */

/** An answer that is ready. */
export interface Departure {
  /** Writes it; called once, and never throws. */
  depart(): void
}

/** The most that an answer waits for others, beside what one of them takes. */
const LONGEST_MS = 1

export class Outbox {
  #ready: Departure[] = []
  /** When the first of them was added. */
  #since = 0

  /**
   * @param now `performance.now()`
   * @example
   * outbox.add({ depart: () => response.end(bytes) }, performance.now())
   */
  add(departure: Departure, now: number) {
    if (this.#ready.length === 0) {
      this.#since = now
      setImmediate(this.empty)
    }
    this.#ready.push(departure)
    if (now - this.#since > LONGEST_MS) this.empty()
  }

  /** Sends all that are ready: to be called before whatever holds the event loop up. */
  readonly empty = () => {
    const ready = this.#ready
    if (ready.length === 0) return
    this.#ready = []
    for (const departure of ready) departure.depart()
  }
}
