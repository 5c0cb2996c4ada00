/** Where the formula has what a node computes, also for the nodes of derivatives, which no expression was lowered to. */
import type { Position } from './ast.ts'
import type { FormulaOp, Node } from './ir.ts'

type Nodes = readonly Pick<Node<FormulaOp>, 'op' | 'args'>[]
type Places = ReadonlyMap<number, Position>

/**
 * The place of the node itself, or of a function that it is the derivative of, or else of the nearest node that it is computed
 * from.
 *
 * @example
 * placeOf(nodes, places, digamma) // that of lgamma(x), whose derivative it is
 */
export function locationOf(nodes: Nodes, places: Places, id: number): Position | undefined {
  return places.get(id) ?? placeOfKin(nodes, places, id) ?? placeBefore(nodes, places, id)
}

/** Ops of derivatives -> the functions that they are derivatives of. */
const ORIGINS: Readonly<Partial<Record<FormulaOp, readonly FormulaOp[]>>> = {
  digamma: ['lgamma'],
  polygamma: ['digamma', 'lgamma', 'polygamma'],
  gather: ['scatter'],
  scatter: ['gather'],
  cumsum: ['reverse_cumsum'],
  reverse_cumsum: ['cumsum'],
  recurrence: ['reverse_recurrence'],
  reverse_recurrence: ['recurrence'],
  ctc_slope: ['ctc'],
  soft_dtw_slope: ['soft_dtw'],
  solve_lower: ['solve_upper'],
  solve_upper: ['solve_lower'],
}

/** A function that the node is a derivative of, best with an argument in common: `digamma(x)` is that of `lgamma(x)`. */
function placeOfKin(nodes: Nodes, places: Places, id: number): Position | undefined {
  const { op, args } = nodes[id]
  const kin = [...places.keys()].filter((other) => ORIGINS[op]?.includes(nodes[other]?.op))
  const closest = kin.find((other) => nodes[other].args.some((arg) => args.includes(arg)))
  return places.get(closest ?? kin[0] ?? -1)
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
