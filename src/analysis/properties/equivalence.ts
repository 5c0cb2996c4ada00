/** Whether the loss is another name for one of the catalog. */
import { findEquivalent } from '../equivalence.ts'
import { type Finding, proved, refuted, supported, unknown } from '../verdict.ts'
import { type Context, type Property, rounded } from './context.ts'

function equivalentTo({ subject, clock, random }: Context): Finding | undefined {
  if (subject.catalog === undefined) return undefined
  const { found, tried, points, nearest, isOver } = findEquivalent(subject, clock, random)
  if (found !== undefined) {
    const { loss, params, factor, isProved } = found
    const evidence = { loss, params, factor: rounded(factor) }
    return isProved && subject.isComplete
      ? proved('both have the same normal form on every piece, wherever both have a value', evidence)
      : supported(`the ratio of both is the same at ${points} points`, evidence)
  }
  if (!isOver) return unknown('the catalog was not compared in the time', { tried })
  if (tried === 0) return undefined
  const evidence =
    nearest === undefined ? {} : { nearest: { ...nearest, ratios: nearest.ratios.map(rounded) } }
  return refuted(
    `two points have different ratios to each of ${tried} losses of the catalog, with the numbers of this formula as parameters`,
    { tried, ...evidence },
  )
}

export const EQUIVALENCE: readonly Property[] = [
  {
    name: 'equivalent_to',
    about: 'it is a positive multiple of a loss of the catalog',
    find: equivalentTo,
  },
]
