/**
 * The compiled engine: launches that take almost no time run immediately on the caller's thread. The others run on
 * the thread pool, split into slices of rows if they are large. The decision depends only on the measured cost of
 * earlier launches of the same kernel.
 */

import { type Program, sizesWithRenamedAxes } from '../../language/ir.ts'
import type { Precision } from '../../tensor.ts'
import type { Batch, BatchResult, Engine, EngineDetails, EngineInfo, EngineStats } from '../contract.ts'
import { Arena, Arenas } from './arena.ts'
import { layoutOf, packKernelParams, type RowRange, type Sizes } from './kernel.ts'
import { type Compiled, detectTarget, KernelCache } from './kernel-cache.ts'
import { argumentsOf, bytesFor, copyInputs, instantiate, resultsOf } from './launch.ts'
import { type BoundLaunch, bindInputs, LaunchCache } from './launch-cache.ts'
import { rowRangesOf, wholeRange } from './row-ranges.ts'
import { scaleInPlace } from './scale-in-place.ts'
import { KernelTrapped, Pool, type PoolOptions } from './worker-pool.ts'

export interface CompiledOptions extends PoolOptions {
  readonly reason: string
  /** Maximum size of all memories together. */
  readonly memoryBytes: number
  /** Maximum number of operations of a program that is compiled on the caller's thread. Default: no limit. */
  readonly maxNodes?: number
}

/** The caller's thread may be the one that serves everybody else, so it does not run anything longer than this. */
const INLINE_NS = 200_000
/** Maximum factor by which one launch can raise the estimated cost. */
const GROWTH = 1.02
/** A memory that has grown larger than this is dropped when it is idle. */
const KEPT_BYTES = 64 * 1024 * 1024

/**
 * @example
 * const engine = openCompiled({ reason: 'selected by name', threads: 2, memoryBytes: 2 ** 30, log: () => {} })
 */
export function openCompiled(options: CompiledOptions): Engine {
  return new CompiledEngine(options)
}

class CompiledEngine implements Engine {
  readonly info: EngineInfo
  readonly width: number
  readonly #threads: number
  readonly #memoryBytes: number
  readonly #kernels: KernelCache
  readonly #arenas: Arenas
  readonly #pool: Pool
  /** The memory for launches on the caller's thread. */
  readonly #own = new Arena({ shared: false })
  readonly #ready = new LaunchCache()
  readonly #scaleHere: BatchResult['scale'] = (data, factor) => scaleInPlace(this.#own, data, factor)

  constructor(options: CompiledOptions) {
    const target = detectTarget()
    const simd = target.relaxed ? 'relaxed simd' : 'simd'
    const { threads, reason } = options
    this.info = {
      name: 'compiled',
      device: `fused wasm, ${simd}, ${threads} thread${threads === 1 ? '' : 's'}`,
      reason,
    }
    this.width = threads + 1
    this.#threads = threads
    this.#memoryBytes = options.memoryBytes
    this.#kernels = new KernelCache(target, options.maxNodes, (kernel) => this.#pool.forgetKernel(kernel))
    this.#pool = new Pool(options)
    this.#arenas = new Arenas({ bytes: options.memoryBytes, keptBytes: KEPT_BYTES }, (arena) =>
      this.#pool.forgetMemory(arena),
    )
  }

  get isReady(): boolean {
    return this.#threads === 0 || this.#pool.size > 0
  }

  runNow(batch: Batch): BatchResult | undefined {
    const ready = this.#findReady(batch)
    if (ready !== undefined) return isQuick(ready) ? this.#runReady(ready, batch) : undefined
    const kernel = this.#kernels.find(batch)
    if (kernel === undefined) return undefined
    const sizes = sizesOf(batch)
    return isQuick({ kernel, turns: turnsOf(batch, sizes) }) ? this.#runHere(kernel, batch, sizes) : undefined
  }

  async run(batch: Batch): Promise<BatchResult> {
    const ready = this.#threads === 0 ? this.#findReady(batch) : undefined
    if (ready !== undefined) return copied(this.#runReady(ready, batch))
    const kernel = this.#kernels.kernelFor(batch)
    const sizes = sizesOf(batch)
    if (this.#threads === 0) return copied(this.#runHere(kernel, batch, sizes))
    return this.#runThere(kernel, batch, sizes)
  }

  serving(program: Program, precision: Precision): readonly string[] {
    return this.#kernels.canCompile(program, precision) ? [this.info.name] : []
  }

  async stats(): Promise<EngineStats> {
    return { tensors: this.#arenas.lent, bytes: this.#arenas.bytes + this.#own.bytes }
  }

  async describe(): Promise<EngineDetails> {
    const limits = { threads: this.#threads, memoryBytes: this.#memoryBytes }
    return { limits, compiled: this.#kernels.state }
  }

  close(): Promise<void> {
    return this.#pool.close()
  }

  #findReady(batch: Batch): BoundLaunch | undefined {
    const kernel = this.#kernels.recent(batch)
    return kernel === undefined ? undefined : this.#ready.find(kernel, batch, this.#own)
  }

  #runHere(kernel: Compiled, batch: Batch, sizes: Sizes): BatchResult {
    const arena = this.#own
    const layout = layoutOf(kernel, sizes)
    arena.reserve(bytesFor(layout, 1))
    copyInputs(kernel, layout, batch, arena)
    const args = argumentsOf(batch, sizes)
    const [at] = packKernelParams(kernel, layout, args, arena, [wholeRange(rowsOf(kernel, sizes))])
    const run = arena.bind(kernel, instantiate)
    const turns = turnsOf(batch, sizes)
    const computeMs = timed({ kernel, turns, run }, batch, at)
    this.#ready.remember(batch, { kernel, layout, turns, run }, arena)
    return { ...resultsOf(kernel, layout, arena), computeMs, engine: 'compiled', scale: this.#scaleHere }
  }

  #runReady(ready: BoundLaunch, batch: Batch): BatchResult {
    bindInputs(ready, batch, this.#own)
    const computeMs = timed(ready, batch, 0)
    const { values, denominators, gradients } = ready.results
    return { values, denominators, gradients, computeMs, engine: 'compiled', scale: this.#scaleHere }
  }

  async #runThere(kernel: Compiled, batch: Batch, sizes: Sizes): Promise<BatchResult> {
    const turns = turnsOf(batch, sizes)
    const slices = this.#slicesOf(kernel, sizes, turns)
    const layout = layoutOf(kernel, sizes)
    const arena = await this.#arenas.take(bytesFor(layout, slices.length))
    try {
      copyInputs(kernel, layout, batch, arena)
      const addresses = packKernelParams(kernel, layout, argumentsOf(batch, sizes), arena, slices)
      const spent = await settled(addresses.map((at) => this.#pool.run(kernel, arena, at)))
      learn(
        kernel,
        spent.reduce((total, ms) => total + ms, 0),
        turns,
      )
      const computeMs = Math.max(...spent)
      const release = () => this.#arenas.giveBack(arena)
      const keep = () => this.#arenas.keep(arena)
      const scale: BatchResult['scale'] = (data, factor) => scaleInPlace(arena, data, factor)
      return { ...resultsOf(kernel, layout, arena), computeMs, engine: 'compiled', scale, release, keep }
    } catch (error) {
      this.#arenas.giveBack(arena)
      throw error instanceof KernelTrapped ? trapped(batch, error) : error
    }
  }

  #slicesOf(kernel: Compiled, sizes: Sizes, turns: number): RowRange[] {
    const rows = rowsOf(kernel, sizes)
    return rows === 0 ? [wholeRange(0)] : rowRangesOf(rows, this.#threads, turns * kernel.nsPerTurn)
  }
}

/** Whether the caller's thread may run it. */
function isQuick({ kernel, turns }: Pick<BoundLaunch, 'kernel' | 'turns'>): boolean {
  return turns * kernel.nsPerTurn <= INLINE_NS
}

/**
 * Runs a kernel on this thread and updates its cost estimate.
 *
 * @returns milliseconds
 */
function timed(
  { kernel, turns, run }: Pick<BoundLaunch, 'kernel' | 'turns' | 'run'>,
  batch: Batch,
  at: number,
) {
  const started = performance.now()
  try {
    run(at)
  } catch (error) {
    throw trapped(batch, error)
  }
  const ms = performance.now() - started
  learn(kernel, ms, turns)
  return ms
}

/** Copies the arrays, so that they outlive the next launch. */
function copied({ values, denominators, gradients, scale: _, ...rest }: BatchResult): BatchResult {
  const own = Object.entries(gradients).map(([name, data]) => [name, data.slice()] as const)
  return {
    ...rest,
    values: values.slice(),
    ...(denominators === undefined ? {} : { denominators: denominators.slice() }),
    gradients: Object.fromEntries(own),
  }
}

/** Sizes of all axes. If the program renames none, this is the batch's own object, so that caches recognize it. */
function sizesOf({ program, sizes }: Batch): Sizes {
  for (const _ in program.renamed) return sizesWithRenamedAxes(program, sizes)
  return sizes
}

/** Waits for all runs, even if one fails, because the others are still writing. */
async function settled(runs: readonly Promise<number>[]): Promise<number[]> {
  const found = await Promise.allSettled(runs)
  return found.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}

/** The error for a kernel that failed: what it computed, and for which shapes. */
function trapped({ programKey, sizes }: Batch, error: unknown): KernelTrapped {
  const why = error instanceof Error ? error.message : String(error)
  return new KernelTrapped(`the kernel of ${programKey} trapped: ${why}; sizes ${JSON.stringify(sizes)}`)
}

/** The rows of the outermost loop; 0 if they are not independent. */
function rowsOf({ plan: { separable } }: Compiled, sizes: Sizes): number {
  return separable === undefined ? 0 : sizes[separable]
}

/** The number of iterations of the full loop nest. The cost of a launch is taken to be proportional to it. */
function turnsOf({ program }: Batch, sizes: Sizes): number {
  let turns = 1
  for (const axis of program.axes) turns *= sizes[axis] ?? 1
  return turns
}

/**
 * Updates the cost estimate. A fast launch lowers it by half of the difference. A slow launch may have hit the
 * compiler, the garbage collector or a busy machine, so it raises the estimate by at most a small factor.
 */
function learn(kernel: Compiled, ms: number, turns: number) {
  const measured = (ms * 1e6) / Math.max(turns, 1)
  const isFaster = measured < kernel.nsPerTurn
  kernel.nsPerTurn = isFaster
    ? (kernel.nsPerTurn + measured) / 2
    : Math.min(measured, kernel.nsPerTurn * GROWTH)
}
