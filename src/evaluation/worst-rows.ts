/** The rows with the largest losses. Of equal losses, the first rows. */

export interface WorstRow {
  readonly loss: number
  /** The row, counted from 0 over all files. */
  readonly row: number
}

export class WorstRows {
  readonly #most: number
  #rows: WorstRow[] = []
  /** Smaller losses do not matter any more. */
  #least = Number.NEGATIVE_INFINITY

  constructor(most: number) {
    this.#most = most
    if (most === 0) this.#least = Number.POSITIVE_INFINITY
  }

  /** Rows with a smaller loss are not among the worst. */
  get least(): number {
    return this.#least
  }

  /** @param loss anything but NaN */
  add(loss: number, row: number): void {
    if (loss < this.#least || this.#most === 0) return
    this.#rows.push({ loss, row })
    if (this.#rows.length >= 4 * this.#most) this.#shrink()
  }

  merge(other: WorstRows): void {
    for (const { loss, row } of other.#rows) this.add(loss, row)
  }

  /** The worst first. */
  rows(): readonly WorstRow[] {
    this.#shrink()
    return this.#rows
  }

  #shrink() {
    this.#rows.sort((a, b) => (a.loss === b.loss ? a.row - b.row : a.loss < b.loss ? 1 : -1))
    this.#rows = this.#rows.slice(0, this.#most)
    if (this.#rows.length === this.#most && this.#most > 0) this.#least = this.#rows.at(-1)!.loss
  }
}
