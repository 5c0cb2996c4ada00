/**
 * What a program is on the GPU: dispatches in turn, and the memory that they hand on. Data only: schedule.ts makes it from an
 * expanded program, row-kernels.ts and matmul-tiles.ts turn each dispatch into WGSL, memory-layout.ts says where things lie for given sizes.
 */
import type { LegalizedProgram, Output } from '../compiled/legalize.ts'

/** A block of memory that a dispatch writes. Scratch lives as long as the batch, the others are what it answers. */
export interface BufferDeclaration {
  readonly id: number
  readonly role: Output['role'] | 'scratch'
  /** The input, of a gradient. */
  readonly name: string
  readonly node: number
  /** Slowest first. */
  readonly axes: readonly string[]
  /** The axis whose parts have each a whole copy of these axes, for sums that are added up in two dispatches. */
  readonly parts: string | undefined
}

/** Adds up a reduction of `node` over its axis, for each point of the dispatch. */
export interface Reduce {
  readonly kind: 'reduce'
  readonly node: number
  readonly axis: string
  /** Where the sums of the parts are, when this adds up those. */
  readonly from: BufferDeclaration | undefined
}

/** Writes a node: once a point, or for each place along `axis`. */
export interface Store {
  readonly kind: 'store'
  readonly node: number
  readonly block: BufferDeclaration
  readonly axis: string | undefined
}

export type KernelOp = Reduce | Store

/** One point of `axes` is worked on by `lanes` threads, which share the loops over other axes. */
export interface RowReductionKernel {
  readonly kind: 'rows'
  /** The last one goes from thread to thread, or from group to group of lanes. */
  readonly axes: readonly string[]
  readonly lanes: number
  /** An axis of which each point takes one part only. */
  readonly parts: string | undefined
  /** Short axes of which each thread has a row by itself: axis -> as long as it may be. */
  readonly strips: Readonly<Record<string, number>>
  /** In an order in which each one finds what it needs. */
  readonly items: readonly KernelOp[]
}

/** sum over `axis` of a[batch, rows, axis] * b[batch, columns, axis], in square tiles. */
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

/** A program cut into stages, for one class of sizes. */
export interface KernelSchedule {
  readonly program: LegalizedProgram
  readonly stages: readonly Dispatch[]
  readonly blocks: readonly BufferDeclaration[]
  /** Axes of one place, which order nothing in memory. */
  readonly units: ReadonlySet<string>
}

/** Threads of a workgroup where no row needs more. */
export const WORKGROUP_SIZE = 128
/** Side of a tile, how deep it is loaded at once, and the side of what one thread holds of it. */
export const TILE = { side: 32, depth: 16, own: 4 } as const

/** Up to so long an axis is walked along by so many lanes; beyond, it is cut into parts. */
const LANES = [
  [32, 1],
  [1024, 64],
  [32768, 256],
] as const

/** Rows up to the longest of these are worked on by one thread each, in shared memory of that size. */
const SHORT = [4, 8, 16, 32] as const

/** The room for a row of a short axis; undefined where it is not short. */
export function rowTileSize(size: number): number | undefined {
  return SHORT.find((bound) => size <= bound)
}

/** Threads, and rows, of a workgroup that keeps them in shared memory. */
export function stripThreads({ strips }: RowReductionKernel): number {
  return Math.max(...Object.values(strips)) > 16 ? 32 : 64
}

/** A thread by itself adds up so many before it pays to give parts of them to others. */
const ALONE = 1024

/**
 * How long an axis is, as far as that decides how a program is cut: equal classes are cut alike.
 *
 * @example
 * sizeClass(10) === sizeClass(16) // true
 */
export function sizeClass(size: number): number {
  return [1, 4, 8, 16, 32, ALONE, 32768].filter((bound) => size > bound).length
}

/** Threads that walk together along an axis of this class. */
export function threadsPerRow(size: number): number {
  return LANES.find(([longest]) => size <= longest)?.[1] ?? LANES.at(-1)![1]
}

/** Whether a sum over so many is cut into parts. */
export function needsSplitReduction(size: number, lanes: number): boolean {
  return size > (lanes === 1 ? ALONE : LANES.at(-1)![0])
}

/** Elements of a part: about as many as there are parts, so that neither dispatch has long loops. */
export function splitReductionChunk(size: number, lanes: number): number {
  const least = lanes === 1 ? 256 : 16384
  return Math.max(least, 2 ** Math.ceil(Math.log2(Math.sqrt(size))))
}
