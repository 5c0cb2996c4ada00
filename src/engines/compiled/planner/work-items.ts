/**
 * The data that the planner schedules: items, the segments that they belong to, and what is known where. Data only.
 */
import type { Buffer } from '../loop-plan.ts'

/** What to do with a node: compute its value, accumulate it in a loop, or take the sum. */
export type WorkKind = 'value' | 'add' | 'sum'

export interface WorkItem {
  readonly act: WorkKind
  readonly node: number
  /** Computed again although another loop has already computed it. It writes no result. */
  readonly again: boolean
}

/** One segment of a block: what is between two loops, or in one loop. */
export interface LoopSegment {
  readonly phase: number
  readonly group: LoopPlacement
  readonly items: Map<string, WorkItem>
}

/** Outside of the block's loops, in a loop that contains other loops, or in one that does not. */
export type LoopPlacement = 'outside' | 'deep' | 'flat'

/** Node -> the memory that holds its value. */
export type BufferAssignment = ReadonlyMap<number, Buffer>

/** The position of a block: the loops that are open, and what is known there. */
export interface Scope {
  readonly depth: number
  readonly insideLanes: boolean
  readonly assignment: BufferAssignment
  /** Nodes whose value is in a local. */
  readonly known: Set<number>
  /** Nodes that are read from their local after this block. */
  readonly exported: ReadonlySet<number>
}

export function workItemKey({ act, node }: WorkItem): string {
  return `${act} ${node}`
}

/** In an order in which they can be computed (topological). */
export function topologicallySorted(items: ReadonlyMap<string, WorkItem>): WorkItem[] {
  return [...items.values()].sort((a, b) => a.node - b.node)
}
