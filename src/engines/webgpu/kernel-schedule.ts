/**
 * The schedule of a program on the GPU: a sequence of dispatches, and the memory that they share. Data only:
 * schedule.ts creates it from a legalized program, row-kernels.ts and matmul-tiles.ts turn each dispatch into WGSL,
 * and memory-layout.ts computes the layout for given sizes.
 */
import type { LegalizedProgram, ProgramOutput } from '../compiled/legalize.ts'

/** A block of memory that a dispatch writes. Scratch lives as long as the batch; the others are results. */
export interface BufferDeclaration {
  readonly id: number
  readonly role: ProgramOutput['role'] | 'scratch'
  /** The input, for a gradient. */
  readonly name: string
  readonly node: number
  /** Slowest first. */
  readonly axes: readonly string[]
  /**
   * The axis that is split into parts, each of which has its own copy of the block, for sums in two dispatches
   * (split reduction).
   */
  readonly parts: string | undefined
}

/** Reduces `node` over its axis, for each point of the dispatch. */
export interface Reduce {
  readonly kind: 'reduce'
  readonly node: number
  readonly axis: string
  /** The partial sums, if this reduces those. */
  readonly from: BufferDeclaration | undefined
}

/** Stores a node: once per point, or for each element along `axis`. */
export interface Store {
  readonly kind: 'store'
  readonly node: number
  readonly block: BufferDeclaration
  readonly axis: string | undefined
}

export type KernelOp = Reduce | Store

/** `lanes` threads work on one point of `axes` and share the loops over other axes. */
export interface RowReductionKernel {
  readonly kind: 'rows'
  /** The last axis varies fastest from thread to thread, or from group to group of lanes. */
  readonly axes: readonly string[]
  readonly lanes: number
  /** An axis of which each point handles only one part. */
  readonly parts: string | undefined
  /** Short axes along which each thread handles a whole row: axis -> its maximum length. */
  readonly strips: Readonly<Record<string, number>>
  /** In an order in which each item finds what it needs (topological). */
  readonly items: readonly KernelOp[]
}

/** sum over `axis` of a[batch, rows, axis] * b[batch, columns, axis], in square tiles (GEMM). */
export interface TiledMatmulKernel {
  readonly kind: 'tiles'
  readonly node: number
  readonly axis: string
  readonly batch: readonly string[]
  readonly rows: readonly string[]
  readonly columns: readonly string[]
  readonly block: BufferDeclaration
}

export type Dispatch = RowReductionKernel | TiledMatmulKernel

/** A program divided into stages, for one class of sizes. */
export interface KernelSchedule {
  readonly program: LegalizedProgram
  readonly stages: readonly Dispatch[]
  readonly blocks: readonly BufferDeclaration[]
  /** Axes of size 1, which do not affect the memory order. */
  readonly units: ReadonlySet<string>
}

/** Threads per workgroup, if no row needs more. */
export const WORKGROUP_SIZE = 128
/**
 * Side length of a tile, the depth that is loaded at once, and the side length of the part that one thread
 * computes.
 */
export const TILE = { side: 32, depth: 16, own: 4 } as const

/** Up to this length of an axis, this many lanes iterate over it together. A longer axis is split into parts. */
const LANES = [
  [32, 1],
  [1024, 64],
  [32768, 256],
] as const

/** Rows up to the longest of these lengths are handled by one thread each, in shared memory of that size. */
const SHORT = [4, 8, 16, 32] as const

/** The shared memory for a row of a short axis, in elements; undefined if the axis is not short. */
export function rowTileSize(size: number): number | undefined {
  return SHORT.find((bound) => size <= bound)
}

/** Threads, and so rows, of a workgroup that keeps its rows in shared memory. */
export function rowTileThreads({ strips }: RowReductionKernel): number {
  return Math.max(...Object.values(strips)) > 16 ? 32 : 64
}

/** A single thread sums up this many elements before it is worthwhile to split them among other threads. */
const ALONE = 1024

/**
 * The class of an axis length. Programs are scheduled in the same way for equal classes.
 *
 * @example
 * sizeClass(10) === sizeClass(16) // true
 */
export function sizeClass(size: number): number {
  return [1, 4, 8, 16, 32, ALONE, 32768].filter((bound) => size > bound).length
}

/** Number of threads that iterate together over an axis of this class. */
export function threadsPerRow(size: number): number {
  return LANES.find(([longest]) => size <= longest)?.[1] ?? LANES.at(-1)![1]
}

/** Whether a sum over this many elements is split into parts. */
export function needsSplitReduction(size: number, lanes: number): boolean {
  return size > (lanes === 1 ? ALONE : LANES.at(-1)![0])
}

/** Elements per part: about as many as there are parts, so that neither dispatch has long loops. */
export function splitReductionChunk(size: number, lanes: number): number {
  const least = lanes === 1 ? 256 : 16384
  return Math.max(least, 2 ** Math.ceil(Math.log2(Math.sqrt(size))))
}
