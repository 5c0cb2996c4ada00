/** Loop interchange: the order in which the loops over the axes are nested. */
import type { LegalizedProgram } from './legalize.ts'
import { isReduction } from './loop-plan.ts'

/** All orders are tried for up to this many axes. Beyond, there are too many, and the program's own order is used. */
const MOST_TRIED = 5

/** The axis that is contiguous in most inputs. */
export function fastestAxis({ inputs }: Pick<LegalizedProgram, 'inputs'>): string | undefined {
  const votes = new Map<string, number>()
  for (const { axes } of Object.values(inputs)) {
    const last = axes.at(-1)
    if (last !== undefined) votes.set(last, (votes.get(last) ?? 0) + axes.length)
  }
  return [...votes].sort((a, b) => b[1] - a[1])[0]?.[0]
}

/**
 * The batch axis is outermost. The others are ordered so that the fewest sums need memory (a sum needs none if all
 * axes of its result are outside of its loop). Among equal orders, the fastest axis is innermost, then the
 * program's own order is used.
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
