/** The lowering context: what an op's rule knows about the graph that it is lowered into. Types only. */
import type { Node, Program } from '../../language/ir.ts'
import type { Graph, Value } from './graph.ts'

/** What a graph is compiled for. */
export interface CompileSpec {
  readonly program: Program
  /** Sizes of all axes, including the renamed ones; for `rows`, the padded size. */
  readonly sizes: Readonly<Record<string, number>>
  /** The padded axis, along which a run may have fewer elements. */
  readonly rows?: string
  /** Whether a single number is the cotangent of all values. */
  readonly isUniform: boolean
}

/** The arguments of each run, in the order of the graph's arguments. */
export type OpArgument =
  | { readonly kind: 'input'; readonly name: string }
  | { readonly kind: 'cotangent'; readonly axes: readonly string[] }
  /** The scalars in the program's order, followed by the cotangent if it is a single number. */
  | { readonly kind: 'numbers' }
  /** The number of elements along `rows`. */
  | { readonly kind: 'count' }

/** What an op's rule knows about the surrounding program. */
export interface LoweringContext {
  readonly graph: Graph
  readonly form: CompileSpec
  readonly node: Node
  /** The dimension of an axis. */
  readonly dimension: (axis: string) => number
  /** The full-rank shape of a value with these axes. */
  readonly shapeOf: (axes: readonly string[]) => number[]
  readonly axesOf: (place: number) => readonly string[]
  readonly argumentOf: (argument: OpArgument) => Value
}
