/**
 * Circuit breaker with exponential backoff: keeps calls away from a database that has just failed, because all of
 * them would wait for the same error.
 */
import { StoreDown } from './contract.ts'

const FIRST_MS = 50
const MOST_MS = 5000

export class Backoff {
  #delay = FIRST_MS
  #until = 0
  #reason = ''

  /** @throws StoreDown while it is too early for another attempt */
  check(): void {
    if (performance.now() < this.#until) throw new StoreDown(this.#reason)
  }

  failed({ message }: StoreDown): void {
    this.#reason = message
    this.#until = performance.now() + this.#delay
    this.#delay = Math.min(2 * this.#delay, MOST_MS)
  }

  succeeded(): void {
    this.#delay = FIRST_MS
    this.#until = 0
  }
}
