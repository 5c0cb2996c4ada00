/** What the batcher reports while it works; the metrics listen, the batcher does not know them. Types only. */

export interface BatcherEvents {
  /** A job was accepted or left: what waits now. */
  queued(depth: { readonly jobs: number; readonly elements: number; readonly bytes: number }): void
  /** A batch came back. */
  ran(batch: {
    readonly loss: string
    readonly engine: string
    readonly jobs: number
    readonly elements: number
    readonly computeMs: number
    readonly queueMs: readonly number[]
  }): void
  /** A job was turned away or given up: why. */
  shed(reason: 'overloaded' | 'draining' | 'deadline' | 'cancelled' | 'engine-lost' | 'memory'): void
}
