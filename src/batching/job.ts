/** The nouns that pass through the batcher: one request's work before, and one request's answer after. Types only. */
import type { BatchResult } from '../engines/contract.ts'
import type { Program } from '../language/ir.ts'
import type { NumericArray, Precision } from '../tensor.ts'

/** One checked request, ready to run. Made by schemas/check.ts, which is the only place that may refuse it. */
export interface Job {
  /** The loss's canonical name, for logs and metrics. */
  readonly loss: string
  /** Equal keys run the same program. */
  readonly programKey: string
  /** Jobs with equal keys may share a launch; undefined for a job that runs as its own block. */
  readonly mergeKey: string | undefined
  readonly program: Program
  readonly precision: Precision
  /** Size of every axis that the program names. */
  readonly sizes: Readonly<Record<string, number>>
  /** The axis along which jobs are concatenated; undefined for a batch-coupled loss. */
  readonly batchAxis: string | undefined
  readonly inputs: Readonly<Record<string, NumericArray>>
  readonly scalars: Readonly<Record<string, number>>
  /** Number of unreduced values. */
  readonly values: number
  /** Row weights: what each unreduced value counts, weights and a denominator that is known beforehand included. One number for all, or one a value. */
  readonly cotangent: Float32Array | Float64Array
  /** Elements of all inputs: what the job costs in the queue's budget. */
  readonly elements: number
  readonly bytes: number
  /** Aborts when the caller has gone; asked for only when the job has to wait. */
  readonly signal?: (() => AbortSignal) | undefined
  /** `performance.now()` after which nobody waits any more; fires while queued, too. */
  readonly deadline?: number | undefined
}

/** What one job gets out of a batch: its own part of the batch's arrays. */
export type JobSlice = Pick<BatchResult, 'values' | 'denominators' | 'gradients' | 'scale'>

/** What a job got back. */
export interface JobResult extends JobSlice {
  readonly timing: JobTiming
  /**
   * To be called while the result is read: keeps the arrays until the function that comes back is called. Nothing comes
   * back where they cannot be kept, and must be copied; absent where they are the caller's own.
   */
  readonly hold?: () => (() => void) | undefined
}

/** All in milliseconds; leaves in `Server-Timing`. */
export interface JobTiming {
  readonly queueMs: number
  readonly computeMs: number
  /** How many jobs shared the launch. */
  readonly batchJobs: number
  readonly engine: string
}
