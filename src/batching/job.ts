/** The types that pass through the batcher: a request's job before, and its result after. Types only. */
import type { BatchResult } from '../engines/contract.ts'
import type { Program } from '../language/ir.ts'
import type { NumericArray, Precision } from '../tensor.ts'
import type { Sender } from './fair-queue.ts'

/** One validated request, ready to run. It is made by schemas/check.ts, the only place that may reject a request. */
export interface Job {
  /** The loss's canonical name, for logs and metrics. */
  readonly loss: string
  /** Jobs with equal keys run the same program. */
  readonly programKey: string
  /** Jobs with equal keys may share a launch; undefined for a job that must run alone. */
  readonly mergeKey: string | undefined
  readonly program: Program
  readonly precision: Precision
  /** The size of every axis that the program names. */
  readonly sizes: Readonly<Record<string, number>>
  /** The axis along which jobs are concatenated; undefined for a batch-coupled loss. */
  readonly batchAxis: string | undefined
  readonly inputs: Readonly<Record<string, NumericArray>>
  readonly scalars: Readonly<Record<string, number>>
  /** Number of unreduced values. */
  readonly values: number
  /**
   * The upstream gradient: the weight of each unreduced value, including weights and a denominator that is known in
   * advance. One number for all values, or one per value.
   */
  readonly cotangent: Float32Array | Float64Array
  /** Elements of all inputs: what the job counts in the queue's budget. */
  readonly elements: number
  readonly bytes: number
  /** Who gets its turn for it. */
  readonly sender?: Sender | undefined
  /** What was known of its request before the body was read: the next one that looks the same will cost about as much. */
  readonly announced?: Announced | undefined
  /** Aborts when the client disconnects. It is created only if the job has to wait. */
  readonly signal?: (() => AbortSignal) | undefined
  /** The `performance.now()` after which nobody waits any more. It also applies in the queue. */
  readonly deadline?: number | undefined
}

/** A request whose body has not been read. */
export interface Announced {
  /** The loss and the format: what costs the same for as many bytes. */
  readonly kind: string
  /** Of the body. */
  readonly bytes: number
}

/** One job's part of the arrays of its batch. */
export type JobSlice = Pick<BatchResult, 'values' | 'denominators' | 'gradients' | 'scale'>

/** The result of a job. */
export interface JobResult extends JobSlice {
  readonly timing: JobTiming
  /**
   * Must be called while the result is read: keeps its arrays valid until the returned function is called. Returns
   * undefined if the arrays cannot be kept and must be copied. Absent if the arrays belong to the caller.
   */
  readonly hold?: () => (() => void) | undefined
}

/** All in milliseconds; sent in `Server-Timing`. */
export interface JobTiming {
  readonly queueMs: number
  readonly computeMs: number
  /** How many jobs shared the launch. */
  readonly batchJobs: number
  readonly engine: string
}
