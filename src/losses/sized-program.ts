/**
 * The program for the sizes of a request: along a long axis, elements are sorted instead of compared in pairs. Results differ by
 * rounding, so whoever computes for several sizes chooses as it is chosen here.
 */
import { pairAxesOf, SORTED_FROM, withSortedPairs } from '../language/sorted-pairs.ts'
import type { Loss } from './define.ts'
import type { LossProgram, ProgramSignature, ProgramSource } from './program.ts'

type Sizes = Readonly<Record<string, number>>

/** A program for axes of at least these sizes. */
export interface SizedProgram {
  readonly from: Sizes
  readonly made: LossProgram
}

/**
 * @param sizes of all axes but renamed ones
 * @example
 * programForSizes(programs, listMle, structure, { lists: 8, items: 1000 }) // its items are sorted
 */
export function programForSizes(
  programs: ProgramSource,
  loss: Loss,
  structure: ProgramSignature,
  sizes: Sizes,
): LossProgram {
  const isLong = formsOf(loss, structure).find(({ from }) => isAtLeast(sizes, from))!
  return sorted(programs(isLong.loss, structure), sizes)
}

/** All of them, those for longer axes first. The last one is for any size. */
export function programsBySize(
  programs: ProgramSource,
  loss: Loss,
  structure: ProgramSignature,
): readonly SizedProgram[] {
  return formsOf(loss, structure).flatMap(({ from, loss: form }) => {
    const made = programs(form, structure)
    return subsetsOf(pairAxesOf(made.program)).map((axes) => {
      const long = Object.fromEntries(axes.map((axis) => [axis, SORTED_FROM]))
      return { from: { ...from, ...long }, made: sorted(made, long) }
    })
  })
}

/** A loss whose second derivatives are asked for has no other form: sorting has none. */
function formsOf(loss: Loss, { hessians }: ProgramSignature): readonly { from: Sizes; loss: Loss }[] {
  const short = { from: {}, loss }
  if (loss.long === undefined || hessians.length > 0) return [short]
  const { axis, from, formula } = loss.long
  return [{ from: { [axis]: from }, loss: formula }, short]
}

const isAtLeast = (sizes: Sizes, from: Sizes) =>
  Object.entries(from).every(([axis, least]) => (sizes[axis] ?? 0) >= least)

function sorted(made: LossProgram, sizes: Sizes): LossProgram {
  const program = withSortedPairs(made.program, sizes)
  return program === made.program ? made : { ...made, program, key: `${made.key}|sorted ${program.axes}` }
}

/** The whole list first, the empty one last. */
function subsetsOf(axes: readonly string[]): readonly (readonly string[])[] {
  if (axes.length === 0) return [[]]
  const [first, ...rest] = axes
  const others = subsetsOf(rest)
  return [...others.map((subset) => [first, ...subset]), ...others]
}
