/** Exponential backoff: how long to wait before a lost thread, process or device is restarted. */

/** @see https://en.wikipedia.org/wiki/Exponential_backoff */
export class Backoff {
  readonly #first: number
  readonly #most: number
  #losses = 0

  /** @param ms the first delay, which doubles with each consecutive loss, and the maximum */
  constructor({ first, most }: { readonly first: number; readonly most: number }) {
    this.#first = first
    this.#most = most
  }

  /** The delay after one more loss, in ms. */
  next(): number {
    return Math.min(this.#first * 2 ** this.#losses++, this.#most)
  }

  /** Call this when it works again. */
  reset() {
    this.#losses = 0
  }
}
