/** What the bench and the processes that compute for it say to each other: one JSON object a line. */

import type { DeviceTiming } from '../../src/engines/contract.ts'

/** One measurement of one loss, value and gradient. */
export interface Task {
  readonly loss: string
  readonly rows: number
  readonly columns: number
  /** Least time that is counted, after the warm-up. */
  readonly seconds: number
}

/** The first line of a process. */
export type Hello = { readonly about: string; readonly isGpu?: boolean } | { readonly unavailable: string }

/** The answer to a task. */
export type Reply = Measured | { readonly unsupported: string }

export interface Measured {
  /** Of one call. */
  readonly nanoseconds: number
  /** Of the arithmetic in it, where the side says: without copying the inputs in and looking up the kernel. */
  readonly compute?: number
  /** The same launch with its data on the device already, where the side has one and can tell. */
  readonly device?: DeviceTiming
  /** The mean loss, and the sum of the gradient's magnitudes: equal on every side, or they compute different things. */
  readonly value: number
  readonly gradient: number
}
