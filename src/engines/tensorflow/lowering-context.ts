/** The lowering context: what an op's rule sees of the graph that it is lowered into. Types only. */
import type { Node, Program } from '../../language/ir.ts'
import type { Graph, Value } from './graph.ts'

/** What a graph is written for. */
export interface CompileSpec {
  readonly program: Program
  /** All axes, the renamed ones included; that of `rows` is the room that there is. */
  readonly sizes: Readonly<Record<string, number>>
  /** The axis along which a run may have fewer elements than there is room for. */
  readonly rows?: string
  /** Whether one number is the cotangent of all values. */
  readonly isUniform: boolean
}

/** What the graph takes at each run, in the order of its arguments. */
export type Argument =
  | { readonly kind: 'input'; readonly name: string }
  | { readonly kind: 'cotangent'; readonly axes: readonly string[] }
  /** The scalars in the program's order, and the cotangent behind them where it is one number. */
  | { readonly kind: 'numbers' }
  /** How many elements there are along `rows`. */
  | { readonly kind: 'count' }

/** What an op's rule sees of the program around it. */
export interface LoweringContext {
  readonly graph: Graph
  readonly form: CompileSpec
  readonly node: Node
  /** Dimension of an axis. */
  readonly dimension: (axis: string) => number
  /** Full-rank shape of a value with these axes. */
  readonly shapeOf: (axes: readonly string[]) => number[]
  readonly axesOf: (place: number) => readonly string[]
  readonly argumentOf: (argument: Argument) => Value
}
