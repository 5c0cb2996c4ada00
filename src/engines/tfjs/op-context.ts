/** The context of an op's lowering rule. Types only. */
import type { Node } from '../../language/ir.ts'
import type { Batch } from '../contract.ts'

/** Where a node is computed. */
export interface OpContext {
  readonly node: Node
  readonly batch: Batch
  /** All axes with their sizes, in the program's order. */
  readonly sizes: Readonly<Record<string, number>>
  /** The dimension of an axis. */
  readonly dimension: (axis: string) => number
  /** The full-rank shape of a value with these axes. */
  readonly shapeOf: (axes: readonly string[]) => number[]
  /** The axes of the i-th argument. */
  readonly axesOf: (place: number) => readonly string[]
}
