/** Continuous, differentiable, Lipschitz, smooth. */

import { type Clock, within } from '../clock.ts'
import { type GradientBounds, gradientBounds } from '../gradient-hull.ts'
import { type Interval, magnitude } from '../interval.ts'
import { Jets } from '../jets.ts'
import type { Joint } from '../pieces.ts'
import { piecesOf } from '../pieces.ts'
import { pruneBranches } from '../prune-branches.ts'
import { pointOf, segmentOf } from '../segments.ts'
import { boundsOver, rangeOf, roundingGap } from '../shape.ts'
import type { Case } from '../subject.ts'
import { isFinitelyDefined, tapeOf } from '../tape.ts'
import { type Evidence, type Finding, forAll, proved, refuted, supported, unknown } from '../verdict.ts'
import {
  type Context,
  forAllCurves,
  type PiecewiseCurve,
  type Property,
  piecewiseCurves,
  rounded,
} from './context.ts'
import { servedSlope } from './numerics.ts'

const ENCLOSED = 'kinks and jumps enclosed, both sides compared'
const BY_CONSTRUCTION = 'no operation has a kink or a jump within its range'

/** Segments that are tried for a loss of many elements. */
const SEGMENTS = 12
/** Second derivatives of all operations by all pairs of variables, at most. */
const MAX_ENTRIES = 1_000_000

interface Whole {
  readonly jets: Jets
  readonly bounds: GradientBounds
  readonly isContinuous: boolean
  readonly isSmooth: boolean
}

const enclosedCases = new WeakMap<Case, Whole>()

/** The whole box at once: what no operation breaks is whole. */
function overBox(one: Case): Whole {
  const known = enclosedCases.get(one)
  if (known !== undefined) return known
  const { scalars, root, by, box } = one
  const tape = tapeOf(scalars, [pruneBranches(scalars, root, box)])
  const jets = new Jets(tape, by, box)
  const at = by.map((name) => box.get(name)!)
  jets.run(at, tape.nodes.length * by.length ** 2 > MAX_ENTRIES ? 1 : 2)
  const isDefined = !jets.value().partial
  const whole = {
    jets,
    bounds: gradientBounds(tape, by, jets),
    isContinuous: isDefined && jets.isContinuous(),
    isSmooth: isDefined && jets.isSmooth(),
  }
  enclosedCases.set(one, whole)
  return whole
}

/** The question put to random lines through the loss. */
export function alongSegments(
  context: Context,
  ask: (joints: readonly Joint[]) => Joint | undefined,
  what: string,
): Finding {
  const { subject, clock, random } = context
  const own = within(clock, 400)
  let count = 0
  for (let i = 0; i < SEGMENTS && !own.isOver(); i++) {
    const one = subject.cases[i % subject.cases.length]
    const segment = segmentOf(one, random)
    const pieces = piecesOf(segment.line, own)
    if (pieces === undefined) continue
    count++
    const found = ask(pieces.joints)
    if (found !== undefined)
      return refuted(`${what} on a line through the loss`, {
        at: pointOf(segment, found.at),
        labels: one.labels,
        slopes: [found.slope.left, found.slope.right].map(({ lo, hi }) => rounded((lo + hi) / 2)),
      })
  }
  return count === 0
    ? unknown('the formula could not be cut into pieces')
    : supported(`${count} random lines through the loss have none`, { lines: count })
}

const jumps = ({ value, isContinuous, isOwn }: Joint) =>
  !isContinuous && (isOwn === false || (value.isSame === false && roundingGap(value) === undefined))
const bends = (joint: Joint) =>
  jumps(joint) || (joint.slope.isSame === false && roundingGap(joint.slope) === undefined)

function continuous(context: Context): Finding {
  const { cases, isComplete: isWhole } = context.subject
  const isConstructed = () => isWhole && cases.every((one) => overBox(one).isContinuous)
  if (context.curves.curves.length === 0 && isConstructed()) return proved(BY_CONSTRUCTION)
  const found = forAllCurves(context, ({ pieces, at }) => {
    const wrong = pieces.joints.find(jumps)
    if (wrong !== undefined)
      return refuted(ENCLOSED, {
        at: wrong.at,
        left: middleOf(wrong.value.left),
        right: middleOf(wrong.value.right),
        others: at,
      })
    const isExact = pieces.joints.every(
      ({ isContinuous, value, isOwn }) => isContinuous || (value.isSame === true && isOwn),
    )
    return isExact ? proved(ENCLOSED) : nearly(pieces.joints.map(({ value }) => value))
  })
  if (found?.verdict === 'proved' || found?.verdict === 'refuted') return found
  if (isConstructed()) return proved(BY_CONSTRUCTION)
  return found ?? alongSegments(context, (joints) => joints.find(jumps), 'a jump')
}

const middleOf = ({ lo, hi }: { lo: number; hi: number }) => rounded((lo + hi) / 2)

function nearly(meetings: readonly Joint['value'][]): Finding {
  const gaps = meetings.map(roundingGap)
  if (gaps.some((gap) => gap === undefined)) return unknown('it is not decided how the pieces meet')
  const rounding = Math.max(...gaps.map((gap) => gap!))
  return supported(`${ENCLOSED}; they are equal to within ${rounding.toPrecision(2)}, the size of rounding`, {
    rounding,
  })
}

/** Where the slope jumps, and between which numbers. */
export function kinksOf(joints: readonly Joint[]) {
  return joints
    .filter(bends)
    .map(({ at, slope }) => ({ at, left: middleOf(slope.left), right: middleOf(slope.right) }))
}

/** The same with the slope that is served there. */
function servedKinks(curve: PiecewiseCurve, { subject }: Context) {
  return kinksOf(curve.pieces.joints).map((kink) => {
    const chosen = servedSlope(subject, curve, kink.at)
    return chosen === undefined ? kink : { ...kink, chosen: rounded(chosen) }
  })
}

function differentiable(context: Context): Finding {
  const { cases, isComplete: isWhole } = context.subject
  const isConstructed = () => isWhole && cases.every((one) => overBox(one).isSmooth)
  if (context.curves.curves.length === 0 && isConstructed()) return proved(BY_CONSTRUCTION)
  const found = forAllCurves(context, (curve) => {
    const { pieces, at } = curve
    const kinks = servedKinks(curve, context)
    if (kinks.length > 0) return refuted(ENCLOSED, { kinks, others: at })
    const isExact = pieces.joints.every(
      ({ isContinuous, value, slope, isOwn }) =>
        (isContinuous || (value.isSame === true && isOwn)) && slope.isSame === true,
    )
    if (!isExact) return nearly(pieces.joints.flatMap(({ value, slope }) => [value, slope]))
    const edge = pieces.pieces.flatMap((piece) =>
      [piece.lo, piece.hi].filter((end) => !isFinitelyDefined(boundsOver(pieces, piece, 1, end, end))),
    )
    return edge.length > 0
      ? refuted('the slope is infinite at an end of the domain', { at: edge[0], others: at })
      : proved(ENCLOSED, { kinks })
  })
  if (found?.verdict === 'proved' || found?.verdict === 'refuted') return found
  return found ?? alongSegments(context, (joints) => joints.find(bends), 'a kink')
}

function lipschitz(context: Context): Finding {
  const continuity = context.finding('continuous')
  if (piecewiseCurves(context) !== undefined && continuity.verdict === 'refuted')
    return refuted('it jumps', continuity.evidence)
  const find = ({ pieces, at }: PiecewiseCurve, clock: Clock) => {
    const { bounds, least, most } = rangeOf(pieces, 1, within(clock, 150))
    const attained = Math.max(-least.value, most.value)
    const bound = magnitude(bounds)
    if (Number.isFinite(bound))
      return proved('slope enclosed on every piece', { bound, attained: rounded(attained) })
    const place = steepest(pieces)
    return place === undefined
      ? unknown('no bound of the slope was found')
      : refuted('the slope has no bound', { ...place, others: at })
  }
  const whole = forAllCurves(context, find, largestBound)
  if (whole === undefined) return lipschitzOverBox(context)
  return continuity.verdict === 'proved' || whole.verdict !== 'proved'
    ? whole
    : supported(`${whole.method}; ${continuity.method}`, whole.evidence)
}

function largestBound(evidence: readonly Readonly<Record<string, unknown>>[]) {
  const largest = (name: string) => Math.max(...evidence.map((one) => Number(one[name] ?? Number.NaN)))
  return { bound: largest('bound'), attained: largest('attained') }
}

/** How near to an end of a piece the slope is looked at. */
const STEPS = [1e-4, 1e-8, 1e-12, 1e-20, 1e-40, 1e-60]

/**
 * A place near an end of a piece where the slope is certainly enormous, and grows with every step towards the end: a
 * slope that is only large may have a bound that was not found.
 */
function steepest(pieces: NonNullable<Context['curves']['curves'][number]['pieces']>) {
  for (const piece of pieces.pieces) {
    for (const [end, way] of [
      [piece.lo, 1],
      [piece.hi, -1],
    ] as const) {
      const places = STEPS.map((step) => end + way * step).filter((x) => x > piece.lo && x < piece.hi)
      const slopes = places.map((at) => leastSize(boundsOver(pieces, piece, 1, at, at)))
      const isGrowing = slopes.every((slope, i) => i === 0 || slope > 2 * slopes[i - 1])
      if (isGrowing && slopes.length > 1 && slopes.at(-1)! > 1e6)
        return { at: places.at(-1)!, slope: slopes.at(-1)! }
    }
  }
  return undefined
}

const leastSize = ({ lo, hi, partial }: Interval) => (partial ? Number.NaN : Math.max(lo, -hi))

/** The largest Euclidean length of a gradient. */
function lipschitzOverBox(context: Context): Finding {
  const whole = enclosedGradient(context)
  return whole.verdict === 'unknown' ? slopesAlongSegments(context, whole) : whole
}

/** The slopes along random lines have bounds: no proof that all have. */
function slopesAlongSegments({ subject, clock, random }: Context, otherwise: Finding): Finding {
  const own = within(clock, 400)
  let [count, steepest] = [0, 0]
  for (let i = 0; i < SEGMENTS && !own.isOver(); i++) {
    const segment = segmentOf(subject.cases[i % subject.cases.length], random)
    const pieces = piecesOf(segment.line, own)
    if (pieces === undefined || pieces.joints.some(jumps)) continue
    const length = Math.hypot(...Object.keys(segment.to).map((name) => segment.to[name] - segment.from[name]))
    const { bounds, least, most } = rangeOf(pieces, 1, own, 60)
    if (!Number.isFinite(magnitude(bounds)) || length === 0) continue
    count++
    steepest = Math.max(steepest, -least.value / length, most.value / length)
  }
  return count === 0
    ? otherwise
    : supported(`the slopes along ${count} random lines have a bound`, {
        lines: count,
        attained: rounded(steepest),
      })
}

function enclosedGradient({ subject }: Context): Finding {
  const findings = subject.cases.map((one) => {
    const { jets, bounds, isContinuous } = overBox(one)
    if (!isContinuous) return unknown('a condition or a jump depends on the input')
    const length = Math.hypot(...one.by.map((_, i) => magnitude(jets.slope(i)))) * (1 + 1e-14)
    const bound = Math.min(length, bounds.length)
    return Number.isFinite(bound)
      ? proved('gradient enclosed over the whole domain', { bound })
      : unknown('no bound of the slope was found')
  })
  return forAll(findings, subject.isComplete, (all) => ({
    bound: Math.max(...all.map(({ bound }) => Number(bound))),
  }))
}

function smooth(context: Context): Finding {
  const first = context.finding('differentiable')
  if (first.verdict === 'refuted') return refuted('the slope jumps', first.evidence)
  const { subject } = context
  const merge = (all: readonly Evidence[]) => stepOf(Math.max(...all.map(({ bound }) => Number(bound))))
  const byCurves = forAllCurves(
    context,
    ({ pieces }, clock) => {
      const { bounds } = rangeOf(pieces, 2, within(clock, 150))
      return ofBend(magnitude(bounds), 'second derivative enclosed on every piece')
    },
    merge,
  )
  const whole =
    byCurves ??
    forAll(
      subject.cases.map((one) => smoothOverBox(one)),
      subject.isComplete,
      merge,
    )
  return first.verdict === 'proved' || whole.verdict !== 'proved'
    ? whole
    : supported(`${whole.method}; ${first.method}`, whole.evidence)
}

/** Gradient descent with a step above 2 / bound may diverge (Nesterov 2004, section 2.1). */
const stepOf = (bound: number) => ({
  bound,
  largestStableStep: bound > 0 ? 2 / bound : Number.POSITIVE_INFINITY,
})

function ofBend(bound: number, method: string): Finding {
  return Number.isFinite(bound)
    ? proved(method, stepOf(bound))
    : unknown('no bound of the second derivative was found')
}

/** The spectral norm is at most the largest sum of a row. */
function smoothOverBox(one: Case): Finding {
  const { jets, bounds, isSmooth } = overBox(one)
  if (!isSmooth) return unknown('a kink or a condition depends on the input')
  const rows = one.by.map((_, i) => one.by.reduce((sum, _, j) => sum + magnitude(jets.bend(i, j)), 0))
  const sums = jets.order < 2 ? Number.POSITIVE_INFINITY : Math.max(...rows) * (1 + 1e-12)
  return ofBend(Math.min(sums, bounds.curvature), 'second derivatives enclosed over the whole domain')
}

export const SMOOTHNESS: readonly Property[] = [
  { name: 'continuous', about: 'small changes of the input change the loss little', find: continuous },
  { name: 'differentiable', about: 'the gradient exists everywhere and does not jump', find: differentiable },
  { name: 'lipschitz', about: 'the gradient is bounded on the domain', find: lipschitz },
  {
    name: 'smooth',
    about: 'the gradient is Lipschitz; larger steps than 2 / bound may diverge',
    find: smooth,
  },
]
