/**
 * The contract between batching and execution. An engine takes a batch of work of equal shape and returns values
 * and gradients. It knows programs and arrays, not losses, reductions or requests.
 */
import type { Program } from '../language/ir.ts'
import type { NumericArray, Precision } from '../tensor.ts'

/** The arrays of several jobs, to be concatenated. The engine copies them once, to where it computes. */
export type ChunkedArray<T extends NumericArray = NumericArray> = readonly T[]

/** One array. It is copied only if there are several. It is as wide as the widest of them; integers beside real numbers become real. */
export function concatChunks<T extends NumericArray>(column: ChunkedArray<T>): T {
  if (column.length === 1) return column[0]
  const length = column.reduce((total, part) => total + part.length, 0)
  const real = [Float64Array, Float32Array].flatMap(
    (kind) => column.find((part) => part instanceof kind) ?? [],
  )
  const [widest = column[0]] = real
  const whole = new (widest.constructor as new (length: number) => T)(length)
  let offset = 0
  for (const part of column) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/** A cotangent with one number for all values, as one number per value. */
export function repeated(
  cotangent: Float32Array | Float64Array,
  values: number,
): Float32Array | Float64Array {
  const column = cotangent instanceof Float64Array ? new Float64Array(values) : new Float32Array(values)
  return column.fill(cotangent[0])
}

/** One launch: a program, its arrays, and the length of each axis. */
export interface Batch {
  /** Equal keys mean equal programs, so an engine may cache what it has compiled. */
  readonly programKey: string
  readonly program: Program
  readonly precision: Precision
  /** The size of every axis that the program names. */
  readonly sizes: Readonly<Record<string, number>>
  /**
   * Input name -> its elements, in the program's layout of that input. Real inputs may be int32, and in a float64 batch float32: the
   * engine converts them while it copies or reads them.
   */
  readonly inputs: Readonly<Record<string, ChunkedArray>>
  /** Numeric parameters. */
  readonly scalars: Readonly<Record<string, number>>
  /**
   * The upstream gradient: what the gradient of each value is multiplied by. One number for all values, or one per
   * value.
   */
  readonly cotangent: ChunkedArray<Float32Array | Float64Array>
}

/** A copy of the batch with arrays of its own, each in one piece. */
export function copyBatch<B extends Pick<Batch, 'inputs' | 'cotangent'>>(batch: B): B {
  const own = <T extends NumericArray>(column: ChunkedArray<T>): ChunkedArray<T> =>
    column.length === 1 ? [column[0].slice() as T] : [concatChunks(column)]
  const inputs = Object.entries(batch.inputs).map(([name, column]) => [name, own(column)] as const)
  return { ...batch, inputs: Object.fromEntries(inputs), cotangent: own(batch.cotangent) }
}

export interface BatchResult {
  /** The unreduced values, in C order of the program's value axes. */
  readonly values: Float32Array | Float64Array
  /** What each value adds to the denominator of the mean; absent if that is 1. */
  readonly denominators?: Float32Array | Float64Array | undefined
  /** The gradient of each input that the program differentiates, in that input's layout. */
  readonly gradients: Readonly<Record<string, Float32Array | Float64Array>>
  /** Compute time in milliseconds, without transfers. */
  readonly computeMs: number
  /** Additional milliseconds for compilation. The next launch of the same kind does not need them. */
  readonly compileMs?: number
  /** The name of the engine, for metrics and `Server-Timing`. */
  readonly engine: string
  /**
   * Multiplies one of the gradients, or a part of it, in place, like `data[i] *= factor` in its own precision.
   *
   * @returns whether all of it is finite afterwards
   */
  readonly scale?: ((data: Float32Array | Float64Array, factor: number) => boolean) | undefined
  /**
   * Releases the memory that the arrays are views of; they are invalid afterwards. Absent if the arrays belong to
   * the caller.
   */
  readonly release?: () => void
  /**
   * Asks to release the memory later, after a slow client has read it. Returns false if too much memory is already
   * kept in this way.
   */
  readonly keep?: () => boolean
}

/** The cost model of a program on an engine: milliseconds, `launch + element x elements of the inputs`. */
export interface CostEstimate {
  readonly engine: string
  readonly programKey: string
  /** Number of launches that were measured. */
  readonly observations: number
  readonly launch: number
  readonly element: number
}

/** What an engine reports about itself in logs, `/health/ready` and metrics. */
export interface EngineInfo {
  readonly name: string
  /** For example `wasm simd, 1 thread`. */
  readonly device: string
  /** Why this engine was chosen. */
  readonly reason: string
  /** Whether it computes on a GPU. Only then does `auto` use it in addition to the kernels on the CPU. */
  readonly isGpu?: boolean
  /** Whether all processes of the service compute with the same one. */
  readonly isShared?: boolean
}

/** What `GET /v1/engines` reports about a device, in addition to its `EngineInfo`. */
export interface EngineDetails {
  /** For example `NVIDIA 570.86`, `TensorFlow 2.21.0, CUDA 12.5`. */
  readonly driver?: string
  /** Limits of the device, with the names and units of its own API. */
  readonly limits?: Readonly<Record<string, number>>
  /** The cache of programs that were compiled for it. */
  readonly compiled?: CompileCache
}

/** One launch whose data is already on the device. Benchmarks compare it with the device's own speed. */
export interface DeviceTiming {
  readonly kernelMs: number
  /** The minimum number of bytes that the launch reads and writes: its inputs and its results. */
  readonly bytes: number
  /** Bytes read and written per second when the device copies the same number of bytes. */
  readonly copyBytesPerSecond: number
}

export interface CompileCache {
  readonly entries: number
  /** Maximum number of entries (LRU). */
  readonly capacity: number
  readonly hits: number
  readonly misses: number
}

/** Numbers that must not grow: they are the same before and after every batch (leak detection). */
export interface EngineStats {
  readonly tensors: number
  readonly bytes: number
}

export interface Engine {
  readonly info: EngineInfo
  /** Whether the engine accepts a batch now. False while a lost thread or device is being restarted. */
  readonly isReady: boolean
  /**
   * @throws UnsupportedByEngine (rejects) if the program needs something that this engine does not have;
   * `EngineLost` if it died.
   */
  run(batch: Batch): Promise<BatchResult>
  /**
   * Computes a batch that is almost free at once, on this thread; undefined for any other batch. The arrays of the
   * result are valid until the next call.
   */
  runNow?(batch: Batch): BatchResult | undefined
  /** Names of the engines that support a program, in the order in which they are tried. */
  serving(program: Program, precision: Precision): readonly string[]
  /**
   * How many batches it should be given at once: those that it computes concurrently, and those that wait for their
   * turn.
   */
  readonly width?: number
  /** The engines that it consists of, in the order in which they are tried; absent for a single engine. */
  readonly members?: readonly Engine[]
  /** The cost model, if it decides which member computes. */
  learned?(): readonly CostEstimate[]
  stats(): Promise<EngineStats>
  /** More about the device; absent if `info` says everything. */
  describe?(): Promise<EngineDetails>
  /**
   * Times launches without transfers, for benchmarks. Absent if nothing is transferred, or if the two cannot be
   * separated.
   */
  time?(batch: Batch, launches: number): Promise<DeviceTiming>
  close(): Promise<void>
}

/** The engines that one consists of, in the order in which they are tried. */
export function leafEngines(engine: Engine): readonly Engine[] {
  return engine.members ?? [engine]
}

/** The engine cannot run the program. This is control flow, not a failure: the next engine runs the batch. */
export class UnsupportedByEngine extends Error {
  override readonly name = 'UnsupportedByEngine'
}

/** The memory for a launch is not available at the moment. Nothing else is affected, and a smaller launch may fit. */
export class OutOfMemory extends Error {
  override readonly name = 'OutOfMemory'
}

/** The thread or process of the engine died. It is being restarted, and the batch may be retried. */
export class EngineLost extends Error {
  override readonly name = 'EngineLost'
}

/**
 * The device lost its state (driver reset, unplugged card). The engine is alive and reopens the device by itself.
 * The batch was not computed, and should be tried once more on another engine.
 */
export class DeviceLost extends Error {
  override readonly name = 'DeviceLost'
}
