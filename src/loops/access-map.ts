/** Memory reads with renamed axes and at a distance along them: chains of `rename` and `shift`. */
import type { Node } from '../language/ir.ts'

/** How each axis of the memory is read. */
export interface AxisRead {
  /** The axis of the loop. */
  readonly loop: string
  /** How many elements before the index of the loop. */
  readonly steps: number
}

export interface MemoryRead {
  /** The node whose value is in memory. */
  readonly source: number
  /** Axis of the memory -> how it is read. Axes that are read unchanged may be missing. */
  readonly axes: Readonly<Record<string, AxisRead>>
}

/** Whether a node only determines where another one is read. */
export function isRemapped({ op }: Node): boolean {
  return op === 'rename' || op === 'shift'
}

/**
 * @example
 * memoryReadOf(nodes, id) // x[time -> before] shifted by 1: { source: x, axes: { time: { loop: 'before', steps: 1 } } }
 */
export function memoryReadOf(nodes: readonly Node[], id: number): MemoryRead {
  const node = nodes[id]
  if (!isRemapped(node)) return { source: id, axes: {} }
  const { source, axes } = memoryReadOf(nodes, node.args[0])
  const found = Object.keys(axes).find((axis) => axes[axis].loop === node.axis) ?? node.axis!
  const { loop, steps } = axes[found] ?? { loop: node.axis!, steps: 0 }
  const own =
    node.op === 'rename' ? { loop: node.to!, steps } : { loop, steps: steps + nodes[node.args[1]].value! }
  return { source, axes: { ...axes, [found]: own } }
}
