/**
 * What a launch will cost: a line, a + b x elements, fitted anew with every launch that is measured. Squares of relative
 * errors are minimised, so that small launches count as much as large ones, and old launches fade, so that the line follows
 * a machine that gets busier or a clock that falls.
 */

/** In milliseconds. */
export interface AffineCost {
  /** Of a launch, whatever its size. */
  readonly launch: number
  /** Of an element of the inputs. */
  readonly element: number
}

/** What an old launch still counts when another one comes: after 7 of them, half. */
const FADE = 0.9
/**
 * Sizes at which the line is held to what it was, and how much that counts beside one launch: launches of one size alone
 * do not tell what others cost.
 */
const ANCHORS = [1e3, 1e6] as const
const ANCHOR_WEIGHT = 0.01
/** Nothing is measured more finely: 1 microsecond. */
const FINEST_MS = 1e-3

/**
 * @example
 * const model = new CostModel({ launch: 1, element: 1e-6 })
 * model.observe(1024, 0.8)
 * model.predict(2048) // milliseconds
 */
export class CostModel {
  /** Launches that were measured. */
  observations = 0
  #line: AffineCost
  /** Of launches, faded: weight, weight x n, weight x n^2, weight x t, weight x n x t. */
  readonly #sums = new Float64Array(5)

  /** @param prior what is thought before anything is measured */
  constructor(prior: AffineCost) {
    this.#line = prior
  }

  get line(): AffineCost {
    return this.#line
  }

  /** @param ms how long the launch kept its engine busy */
  observe(elements: number, ms: number) {
    const measured = Math.max(ms, FINEST_MS)
    // The first launch tells how far off the prior is; its shape is kept.
    if (this.observations++ === 0) this.#line = scaled(this.#line, measured / this.predict(elements))
    for (let i = 0; i < this.#sums.length; i++) this.#sums[i] *= FADE
    add(this.#sums, elements, measured, 1)
    this.#line = fitted(this.#anchored())
  }

  /** Milliseconds. */
  predict(elements: number): number {
    return this.#line.launch + this.#line.element * elements
  }

  #anchored(): Float64Array {
    const sums = this.#sums.slice()
    for (const elements of ANCHORS) add(sums, elements, this.predict(elements), ANCHOR_WEIGHT)
    return sums
  }
}

function scaled({ launch, element }: AffineCost, factor: number): AffineCost {
  return { launch: launch * factor, element: element * factor }
}

function add(sums: Float64Array, elements: number, ms: number, count: number) {
  const weight = count / ms ** 2
  const terms = [1, elements, elements ** 2, ms, elements * ms]
  for (const [i, term] of terms.entries()) sums[i] += weight * term
}

/** Weighted least squares; neither term is below 0. */
function fitted([one, n, nn, t, nt]: Float64Array): AffineCost {
  const determinant = one * nn - n * n
  const launch = (nn * t - n * nt) / determinant
  const element = (one * nt - n * t) / determinant
  if (launch < 0) return { launch: 0, element: nt / nn }
  if (element < 0) return { launch: t / one, element: 0 }
  return { launch, element }
}
