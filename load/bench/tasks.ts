/** The messages between the benchmark and the processes that compute for it: one JSON object per line. */

import type { DeviceTiming } from '../../src/engines/contract.ts'
import type { Precision } from '../../src/tensor.ts'

/** One measurement of one loss, value and gradient. */
export interface Task {
  readonly loss: string
  readonly rows: number
  readonly columns: number
  /** Of all real numbers; default: float32. */
  readonly dtype?: Precision
  /** Minimum time to measure, after the warm-up. */
  readonly seconds: number
}

/** The first line that a process prints. */
export type Hello = { readonly about: string; readonly isGpu?: boolean } | { readonly unavailable: string }

/** The reply to a task. */
export type Reply = Measured | { readonly unsupported: string }

export interface Measured {
  /** Per call. */
  readonly nanoseconds: number
  /**
   * The part of it that is computation, if the side reports it: without copying the inputs and looking up the
   * kernel.
   */
  readonly compute?: number
  /** The same launch with its data already on the device, if the side has a device and can measure this. */
  readonly device?: DeviceTiming
  /**
   * The mean loss, and the sum of the gradient's magnitudes. They must be equal on every side; otherwise the sides
   * compute different things.
   */
  readonly value: number
  readonly gradient: number
}
