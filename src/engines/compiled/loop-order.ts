/** In which order the loops over the axes nest. */
import type { LegalizedProgram } from './legalize.ts'
import { isReduction } from './loop-plan.ts'

/** So many axes are tried in every order; beyond, there are too many orders, and the program's own is taken. */
const MOST_TRIED = 5

/** The axis along which most inputs lie side by side. */
export function fastestAxis({ inputs }: Pick<LegalizedProgram, 'inputs'>): string | undefined {
  const votes = new Map<string, number>()
  for (const { axes } of Object.values(inputs)) {
    const last = axes.at(-1)
    if (last !== undefined) votes.set(last, (votes.get(last) ?? 0) + axes.length)
  }
  return [...votes].sort((a, b) => b[1] - a[1])[0]?.[0]
}

/**
 * The batch axis outermost, and the others so that the fewest sums need memory (a sum has none when all axes of its
 * result lie outside of its loop); among equals, the fastest axis innermost, then the program's own order.
 */
export function loopOrder(program: LegalizedProgram): readonly string[] {
  const used = program.axes.filter((axis) => program.nodes.some(({ axes }) => axes.includes(axis)))
  const [first, ...rest] = used
  if (first === undefined) return []
  const fastest = fastestAxis(program)
  const orders = (rest.length > MOST_TRIED ? [rest] : permutations(rest)).map((order) => [first, ...order])
  const badness = (order: readonly string[]) => {
    const sums = program.nodes.filter(
      (node) =>
        isReduction(node) && node.axes.some((axis) => order.indexOf(axis) > order.indexOf(node.axis!)),
    )
    return sums.length * 2 + Number(order.at(-1) !== fastest)
  }
  return orders.reduce((best, order) => (badness(order) < badness(best) ? order : best))
}

function permutations(axes: readonly string[]): string[][] {
  if (axes.length <= 1) return [[...axes]]
  return axes.flatMap((axis) =>
    permutations(axes.filter((other) => other !== axis)).map((rest) => [axis, ...rest]),
  )
}
