/**
 * Leaves out of a formula what cannot happen in a box (the other side of a kink, the branch that is not taken), and
 * branches that say the same in other words.
 */
import type { Interval } from './interval.ts'
import { NormalForms } from './normal-form.ts'
import { ONE, ZERO } from './rational.ts'
import type { Scalar, Scalars } from './scalars.ts'
import { type Box, enclose, type TapeNode, tapeOf } from './tape.ts'

/**
 * The same function on the box.
 *
 * @example
 * pruneBranches(scalars, scalars.make('abs', [x]), new Map([['x', interval(1, 2)]])) // x
 */
export function pruneBranches(scalars: Scalars, root: Scalar, box: Box): Scalar {
  const tape = tapeOf(scalars, [root])
  const values = enclose(tape, box)
  const sides = new Map<Scalar, number>()
  for (const [place, id] of scalars.reachable(root).entries()) {
    const side = sideOf(tape.nodes[place], values)
    if (side !== undefined) sides.set(id, side)
  }
  return scalars.onSide(root, (id) => sides.get(id))
}

/** See `Choices` of tape.ts. */
function sideOf({ op, args }: TapeNode, values: readonly Interval[]): number | undefined {
  const [a, b] = args.map((arg) => values[arg])
  switch (op) {
    case 'abs':
      return a.lo >= 0 ? 1 : a.hi <= 0 ? -1 : undefined
    case 'max':
      return larger(a, b, 0, 1)
    case 'min':
      return larger(a, b, 1, 0)
    case 'select':
      return a.partial ? undefined : a.lo > 0 ? 1 : a.hi === 0 ? 2 : undefined
    default:
      return undefined
  }
}

/** The larger of a number and of nothing is nothing. */
function larger(a: Interval, b: Interval, first: number, second: number): number | undefined {
  if (a.partial || b.partial) return undefined
  return a.lo >= b.hi ? first : b.lo >= a.hi ? second : undefined
}

/** Conditions of one formula that are looked at, and scalars of a formula that is, at most. */
const MAX_CONDITIONS = 48
const MAX_SIZE = 2500

/**
 * The same function without conditions that are none: both branches are equal, as in formulas that are written twice for
 * the sake of rounding, or they meet where the condition changes, as in a maximum. Both branches must have a value
 * everywhere, so that nothing is defined that was not.
 */
export function mergeEqualBranches(scalars: Scalars, root: Scalar): Scalar {
  let [result, count] = [root, 0]
  const forms = new NormalForms(scalars)
  const differs = new Set<Scalar>()
  for (;;) {
    const nodes = scalars.reachable(result)
    if (nodes.length > MAX_SIZE) return result
    const place = nodes.find((id) => scalars.nodes[id].op === 'select' && !differs.has(id))
    if (place === undefined || ++count > MAX_CONDITIONS) return result
    const simpler = withoutCondition(scalars, forms, place)
    if (simpler === undefined) differs.add(place)
    else result = scalars.replace(result, (id) => (id === place ? simpler : undefined))
  }
}

function withoutCondition(scalars: Scalars, forms: NormalForms, select: Scalar): Scalar | undefined {
  const [test, yes, no] = scalars.nodes[select].args
  const isSame = forms.areEqual(yes, no)
  const simpler = isSame ? shorter(scalars, yes, no) : asKink(scalars, forms, test, yes, no)
  return simpler !== undefined && forms.hasValue(yes) && forms.hasValue(no) ? simpler : undefined
}

const shorter = (scalars: Scalars, a: Scalar, b: Scalar): Scalar =>
  scalars.reachable(a).length <= scalars.reachable(b).length ? a : b

/** `a < 0 ? b + k a : b` is `b + k min(a, 0)`, and `a == 0 ? b + k a : b` is b. */
function asKink(
  scalars: Scalars,
  forms: NormalForms,
  test: Scalar,
  yes: Scalar,
  no: Scalar,
): Scalar | undefined {
  const { op, args } = scalars.nodes[test]
  if (op !== 'lt' && op !== 'le' && op !== 'eq') return undefined
  if (scalars.constantOf(args[1])?.top !== 0n) return undefined
  const factor = forms.ratio(scalars.difference(yes, no), args[0])
  if (factor === undefined || !forms.hasValue(args[0])) return undefined
  if (op === 'eq') return no
  const part = scalars.make('min', [args[0], scalars.constant(0)])
  return scalars.combination([no, part], [ONE, factor], ZERO)
}
