/**
 * Admission: a request that cannot be answered before its deadline is refused at once instead of after it has waited. `Retry-After`
 * is when the queue will have room for it, after the others that were told to come back.
 */
import type { CostModel } from './cost-model.ts'
import type { Job } from './job.ts'

/** The limits of `Retry-After`, in seconds. */
const RETRY = { least: 1, most: 60 } as const
/** The wait is estimated, and what comes later may be served earlier. */
const SAFETY = 1.25
/** Whoever comes back a little late is served; a little early, refused again. */
const MARGIN = 1.2

export interface Refusal {
  /** In ms. */
  readonly waitMs: number
  /** In seconds. */
  readonly retryAfter: number
}

export class Admission {
  readonly #costs: CostModel
  readonly #clock: () => number
  /** When all that were refused will have been served, if each comes back when it was told. */
  #promisedUntil = 0

  constructor(costs: CostModel, clock: () => number = () => performance.now()) {
    this.#costs = costs
    this.#clock = clock
  }

  /**
   * @param before the cost of what would run before it
   * @param safety the factor by which the wait may be underestimated
   * @returns undefined if it can be answered in time. With nothing before it, or with nothing measured yet, it is worth a try
   */
  judge(
    { deadline }: Pick<Job, 'deadline'>,
    cost: number,
    before: number,
    safety = SAFETY,
  ): Refusal | undefined {
    if (deadline === undefined || before === 0 || !this.#costs.isSure) return undefined
    const waitMs = this.#costs.wallMs(before)
    const leftMs = deadline - this.#clock()
    const lateMs = safety * waitMs + cost - leftMs
    // One whose deadline has passed already is not refused, but told that.
    if (lateMs <= 0 || leftMs <= 0) return undefined
    return { waitMs, retryAfter: this.#retryAfter(cost, Math.min(lateMs, waitMs)) }
  }

  /** There is no room in the queue. As it runs, there will be. */
  full(cost: number, queued: number): Refusal {
    return { waitMs: this.#costs.wallMs(queued), retryAfter: this.#retryAfter(cost, 0) }
  }

  /** `Retry-After` of a request that would be late, but does not wait for the engine. */
  later(lateMs: number): number {
    return this.#retryAfter(0, lateMs)
  }

  /**
   * @param fromMs when there will be room, if nobody else comes
   * @returns seconds
   */
  #retryAfter(cost: number, fromMs: number): number {
    const now = this.#clock()
    const begin = Math.max(now + fromMs, this.#promisedUntil)
    this.#promisedUntil = begin + this.#costs.wallMs(cost)
    const seconds = Math.ceil((MARGIN * (this.#promisedUntil - now)) / 1000)
    return Math.min(RETRY.most, Math.max(RETRY.least, seconds))
  }
}
