/**
 * The contract between batching and execution. An engine takes a batch of equal-shaped work and returns values and
 * gradients; it knows programs and arrays, not losses, reductions or requests.
 */
import type { Program } from '../language/ir.ts'
import type { NumericArray, Precision } from '../tensor.ts'

/** The arrays of several jobs, end to end; the engine copies them once, to where it computes. */
export type ChunkedArray<T extends NumericArray = NumericArray> = readonly T[]

/** One array; a copy only where there are several. */
export function concatChunks<T extends NumericArray>(column: ChunkedArray<T>): T {
  if (column.length === 1) return column[0]
  const length = column.reduce((total, part) => total + part.length, 0)
  const whole = new (column[0].constructor as new (length: number) => T)(length)
  let offset = 0
  for (const part of column) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/** One launch: a program, its arrays, and how long each axis is. */
export interface Batch {
  /** Equal keys mean equal programs, so that an engine may keep what it has compiled. */
  readonly programKey: string
  readonly program: Program
  readonly precision: Precision
  /** Size of every axis that the program names. */
  readonly sizes: Readonly<Record<string, number>>
  /** Input name -> its elements, in the program's layout of that input. */
  readonly inputs: Readonly<Record<string, ChunkedArray>>
  /** Numeric parameters. */
  readonly scalars: Readonly<Record<string, number>>
  /** What the gradient of each value is multiplied by: one number for all, or one a value. */
  readonly cotangent: ChunkedArray<Float32Array | Float64Array>
}

/** The batch with arrays that nobody else has; each is one. */
export function copyBatch<B extends Pick<Batch, 'inputs' | 'cotangent'>>(batch: B): B {
  const own = <T extends NumericArray>(column: ChunkedArray<T>): ChunkedArray<T> =>
    column.length === 1 ? [column[0].slice() as T] : [concatChunks(column)]
  const inputs = Object.entries(batch.inputs).map(([name, column]) => [name, own(column)] as const)
  return { ...batch, inputs: Object.fromEntries(inputs), cotangent: own(batch.cotangent) }
}

export interface BatchResult {
  /** The unreduced values, in C order of the program's value axes. */
  readonly values: Float32Array | Float64Array
  /** What each value adds to the mean's denominator; absent where that is 1. */
  readonly denominators?: Float32Array | Float64Array | undefined
  /** Gradient of each input that the program differentiates, in that input's layout. */
  readonly gradients: Readonly<Record<string, Float32Array | Float64Array>>
  /** Milliseconds spent in arithmetic, transfers excluded. */
  readonly computeMs: number
  /** Milliseconds beside that which went into compiling for this launch, and which the next one like it does not pay. */
  readonly compileMs?: number
  /** The engine that did it, for metrics and `Server-Timing`. */
  readonly engine: string
  /**
   * Multiplies one of the gradients, or a part of it, in place, as `data[i] *= factor` in its own precision would.
   *
   * @returns whether all of it is finite then
   */
  readonly scale?: ((data: Float32Array | Float64Array, factor: number) => boolean) | undefined
  /** Gives back the memory that the arrays are views of; they mean nothing afterwards. Absent where they are the caller's. */
  readonly release?: () => void
  /** Asks to release it later than at once, when slow callers have read it; false where too much is kept so already. */
  readonly keep?: () => boolean
}

/** What launches of a program have cost on an engine: milliseconds, `launch + element x elements of the inputs`. */
export interface CostEstimate {
  readonly engine: string
  readonly programKey: string
  /** Launches that were measured. */
  readonly observations: number
  readonly launch: number
  readonly element: number
}

/** What an engine tells about itself in logs, `/health/ready` and metrics. */
export interface EngineInfo {
  readonly name: string
  /** For instance `wasm simd, 1 thread`. */
  readonly device: string
  /** Why this one was chosen. */
  readonly reason: string
  /** Whether a GPU computes: only then does `auto` prefer it to the kernels on the processor. */
  readonly isGpu?: boolean
}

/** What `GET /v1/engines` tells about a device, beside its `EngineInfo`. */
export interface EngineDetails {
  /** For instance `NVIDIA 570.86`, `TensorFlow 2.21.0, CUDA 12.5`. */
  readonly driver?: string
  /** Limits of the device by the names that its own interface gives them, in its units. */
  readonly limits?: Readonly<Record<string, number>>
  /** Programs that were compiled for it and are kept. */
  readonly compiled?: CompileCache
}

/** One launch whose data lies on the device already: what a bench compares with the device's own speed. */
export interface DeviceTiming {
  readonly kernelMs: number
  /** Bytes that the launch reads and writes at least: its inputs and its results. */
  readonly bytes: number
  /** Bytes read and written a second when the device copies as many. */
  readonly copyBytesPerSecond: number
}

export interface CompileCache {
  readonly entries: number
  /** Beyond so many the one unused for longest goes. */
  readonly capacity: number
  readonly hits: number
  readonly misses: number
}

/** Numbers that must not drift: the same before and after every batch. */
export interface EngineStats {
  readonly tensors: number
  readonly bytes: number
}

export interface Engine {
  readonly info: EngineInfo
  /** Whether a batch would be taken now; false while a lost thread or device is being restarted. */
  readonly isReady: boolean
  /**
   * @throws UnsupportedByEngine (rejects) when the program needs what this engine has not; `EngineLost` when it died.
   */
  run(batch: Batch): Promise<BatchResult>
  /**
   * Computes at once, on this thread, what takes next to no time; undefined for anything else. The result's arrays hold
   * until the next call.
   */
  runNow?(batch: Batch): BatchResult | undefined
  /** Names of the engines that would take a program, in the order in which they are asked. */
  serving(program: Program, precision: Precision): readonly string[]
  /** How many batches it is worth giving it at once: those that it computes side by side, and what waits behind them. */
  readonly width?: number
  /** The engines that it is made of, in the order in which they are asked; absent where it is one. */
  readonly members?: readonly Engine[]
  /** What launches have cost so far, where that decides which member computes. */
  learned?(): readonly CostEstimate[]
  stats(): Promise<EngineStats>
  /** More about the device; absent where `info` says it all. */
  describe?(): Promise<EngineDetails>
  /** Times launches without transfers, for benches; absent where nothing is transferred, or cannot be told apart. */
  time?(batch: Batch, launches: number): Promise<DeviceTiming>
  close(): Promise<void>
}

/** The engines that one is made of, in the order in which they are asked. */
export function leafEngines(engine: Engine): readonly Engine[] {
  return engine.members ?? [engine]
}

/** The typed "I can't": control flow, not a failure. The next engine takes the batch. */
export class UnsupportedByEngine extends Error {
  override readonly name = 'UnsupportedByEngine'
}

/** The memory that a launch needs cannot be had now; nothing else is harmed, and a smaller launch may fit. */
export class OutOfMemory extends Error {
  override readonly name = 'OutOfMemory'
}

/** The engine's thread or device is gone; it is being restarted, and the batch may be retried. */
export class EngineLost extends Error {
  override readonly name = 'EngineLost'
}

/**
 * The device forgot all that it held (a driver's reset, an unplugged card); the engine lives and gets it again by itself.
 * The batch was not computed, and is worth one more try, elsewhere.
 */
export class DeviceLost extends Error {
  override readonly name = 'DeviceLost'
}
