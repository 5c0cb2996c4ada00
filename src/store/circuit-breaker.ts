/** A circuit breaker with exponential backoff: while a database is down, calls fail at once instead of waiting in turn. */
import { StoreDown } from './contract.ts'

const FIRST_MS = 50
const MOST_MS = 5000

export class CircuitBreaker {
  #delay = FIRST_MS
  #until = 0
  #reason = new StoreDown('the store has not been opened')

  /** @throws StoreDown while it is too early to try again */
  check(): void {
    if (performance.now() < this.#until)
      throw new StoreDown(this.#reason.message, { told: this.#reason.told })
  }

  failed(reason: StoreDown): void {
    this.#reason = reason
    this.#until = performance.now() + this.#delay
    this.#delay = Math.min(2 * this.#delay, MOST_MS)
  }

  succeeded(): void {
    this.#delay = FIRST_MS
    this.#until = 0
  }
}
