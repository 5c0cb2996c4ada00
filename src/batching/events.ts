/** The events of the batcher. The metrics listen to them; the batcher does not know the metrics. Types only. */

export interface BatcherEvents {
  /** A job was queued or left the queue; these are the queue's new totals. */
  queued(depth: { readonly jobs: number; readonly elements: number; readonly bytes: number }): void
  /** A batch has been computed. */
  ran(batch: {
    readonly loss: string
    readonly engine: string
    readonly jobs: number
    readonly elements: number
    readonly computeMs: number
    readonly queueMs: readonly number[]
  }): void
  /** A job was rejected or abandoned, and why. */
  shed(reason: 'overloaded' | 'draining' | 'deadline' | 'cancelled' | 'engine-lost' | 'memory'): void
}
