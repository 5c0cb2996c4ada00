/** What is minimised, and what is found. */

/** The weighted loss of a constant prediction, with derivatives. */
export interface Objective {
  readonly size: number
  /** Value, gradient, and (for one number) nothing more; both are sums over all targets. */
  readonly at: (constant: readonly number[]) => {
    readonly value: number
    readonly gradient: readonly number[]
  }
  /** The numbers that a prediction may be. */
  readonly range: readonly [number, number]
  /** Where a kink may be: the least loss of absolute errors is at a target. */
  readonly kinks: readonly number[]
  /** Whether it is certain that there is one valley. */
  readonly isConvex?: boolean
}

export interface Constant {
  readonly constant: readonly number[]
  readonly loss: number
  /** The largest component of the gradient there; for one number, its one-sided slopes. */
  readonly slopes: readonly number[]
  readonly iterations: number
  readonly isStationary: boolean
}
