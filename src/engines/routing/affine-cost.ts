/** Cost model: predicts the time of a launch as a + b x elements, fitted by weighted least squares. */

/** In milliseconds. */
export interface AffineCost {
  /** The fixed cost of a launch. */
  readonly launch: number
  /** The cost per element of the inputs. */
  readonly element: number
}

/** The factor by which each new launch reduces the weight of older ones: after 7 launches it is half. */
const FADE = 0.9
/**
 * Regularization: sizes at which the line is pulled towards its previous value, and the weight of that relative to
 * one launch. Launches of a single size do not tell what other sizes cost.
 */
const ANCHORS = [1e3, 1e6] as const
const ANCHOR_WEIGHT = 0.01
/** The resolution of the measurement: 1 microsecond. */
const FINEST_MS = 1e-3

/**
 * Refitted after every measured launch, by the relative errors, so that small launches count as much as large ones. The
 * weights of old launches decay exponentially, so that the model follows a machine that becomes busier or a clock that
 * slows down.
 *
 * @example
 * const model = new CostModel({ launch: 1, element: 1e-6 })
 * model.observe(1024, 0.8)
 * model.predict(2048) // milliseconds
 */
export class CostModel {
  /** Number of launches that were measured. */
  observations = 0
  #line: AffineCost
  /** Decayed sums over launches: weight, weight x n, weight x n^2, weight x t, weight x n x t. */
  readonly #sums = new Float64Array(5)

  /** @param prior the estimate before anything is measured */
  constructor(prior: AffineCost) {
    this.#line = prior
  }

  get line(): AffineCost {
    return this.#line
  }

  /** @param ms how long the launch occupied its engine */
  observe(elements: number, ms: number) {
    const measured = Math.max(ms, FINEST_MS)
    // The first launch scales the prior and keeps its shape.
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

/** Weighted least squares with both terms >= 0. */
function fitted([one, n, nn, t, nt]: Float64Array): AffineCost {
  const determinant = one * nn - n * n
  const launch = (nn * t - n * nt) / determinant
  const element = (one * nt - n * t) / determinant
  if (launch < 0) return { launch: 0, element: nt / nn }
  if (element < 0) return { launch: t / one, element: 0 }
  return { launch, element }
}
