/** Where the formula has what a node computes, also for the nodes of derivatives, which no expression was lowered to. */
import type { Position } from './ast.ts'
import type { FormulaOp, Node } from './ir.ts'

type Nodes = readonly Pick<Node<FormulaOp>, 'args'>[]
type Places = ReadonlyMap<number, Position>

/**
 * The place of the node itself, or of one that it is a derivative of: a node with the same arguments, or else the nearest one that
 * it is computed from.
 *
 * @example
 * placeOf(nodes, places, digamma) // that of lgamma(x), whose derivative it is
 */
export function placeOf(nodes: Nodes, places: Places, id: number): Position | undefined {
  return places.get(id) ?? placeOfKin(nodes, places, id) ?? placeBefore(nodes, places, id)
}

/** The derivatives of `lgamma(x)` and `gather(x, i)` have the same arguments, or the same last one. */
function placeOfKin(nodes: Nodes, places: Places, id: number): Position | undefined {
  const { args } = nodes[id]
  const placed = [...places.keys()].filter((other) => other < nodes.length)
  const twin = placed.find((other) => args.length > 0 && nodes[other].args.join() === args.join())
  const kin = placed.find((other) => args.length > 1 && nodes[other].args.at(-1) === args.at(-1))
  return places.get(twin ?? kin ?? -1)
}

/** The first place that is found in the arguments, in their arguments, and so on. */
function placeBefore(nodes: Nodes, places: Places, id: number): Position | undefined {
  const seen = new Set([id])
  for (const next of seen) {
    const found = places.get(next)
    if (found !== undefined) return found
    for (const arg of nodes[next].args) seen.add(arg)
  }
  return undefined
}
