/** Exponential backoff: how long to wait before something that was lost is started again. */

/** @see https://en.wikipedia.org/wiki/Exponential_backoff */
export class Backoff {
  readonly #first: number
  readonly #most: number
  #losses = 0

  /** @param ms the first delay, which doubles with each loss in a row, and the longest */
  constructor({ first, most }: { readonly first: number; readonly most: number }) {
    this.#first = first
    this.#most = most
  }

  /** The delay after one more loss, in ms. */
  next(): number {
    return Math.min(this.#first * 2 ** this.#losses++, this.#most)
  }

  /** It works again. */
  reset() {
    this.#losses = 0
  }
}
