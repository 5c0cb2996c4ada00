/** What the planner lays out: items, the stretches they stand in, and what is known where. Data only. */
import type { Buffer } from '../loop-plan.ts'

/** What is to be done with a node: make its value, add it up in a loop, or take the sum. */
export type WorkKind = 'value' | 'add' | 'sum'

export interface WorkItem {
  readonly act: WorkKind
  readonly node: number
  /** Made again where another loop has made it already: it leaves no result of its own. */
  readonly again: boolean
}

/** One stretch of a block: what stands between two loops, or in one loop. */
export interface LoopSegment {
  readonly phase: number
  readonly group: Placement
  readonly items: Map<string, WorkItem>
}

/** Outside of the block's loops, in a loop that has more inside, or in one that has not. */
export type Placement = 'outside' | 'deep' | 'flat'

/** Node -> the memory that holds its value. */
export type BufferAssignment = ReadonlyMap<number, Buffer>

/** Where a block stands: loops that are open, and what is known there. */
export interface Scope {
  readonly depth: number
  readonly insideLanes: boolean
  readonly assignment: BufferAssignment
  /** Nodes whose value a local holds. */
  readonly known: Set<number>
  /** Nodes that are read from their local by what stands behind this block. */
  readonly exported: ReadonlySet<number>
}

export function keyOf({ act, node }: WorkItem): string {
  return `${act} ${node}`
}

/** In the order in which they can be computed. */
export function sorted(items: ReadonlyMap<string, WorkItem>): WorkItem[] {
  return [...items.values()].sort((a, b) => a.node - b.node)
}
