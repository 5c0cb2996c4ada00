/** Continuous, differentiable, Lipschitz, smooth. */

import { within } from '../clock.ts'
import { magnitude } from '../interval.ts'
import type { Joint } from '../pieces.ts'
import { piecesOf } from '../pieces.ts'
import { pointOf, segmentOf } from '../segments.ts'
import { boundsOver, gapOf, rangeOf } from '../shape.ts'
import type { Case } from '../subject.ts'
import { differentiate, isFinitelyDefined, tapeOf } from '../tape.ts'
import { type Finding, forAll, proved, refuted, supported, unknown } from '../verdict.ts'
import { type Context, cut, type Property, rounded } from './context.ts'

const ENCLOSED = 'kinks and jumps enclosed, both sides compared'
const BY_CONSTRUCTION = 'no operation has a kink or a jump within its range'

/** Segments that are tried for a loss of many elements. */
const SEGMENTS = 12

/** The whole box at once: what no operation breaks is whole. */
function overBox({ scalars, root, by, box }: Case) {
  const tape = tapeOf(scalars, [root])
  return differentiate(tape, box, by, undefined, 1)[tape.roots[0]]
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
  !isContinuous && (isOwn === false || (value.isSame === false && gapOf(value) === undefined))
const bends = (joint: Joint) =>
  jumps(joint) || (joint.slope.isSame === false && gapOf(joint.slope) === undefined)

function continuous(context: Context): Finding {
  const curves = cut(context)
  if (curves === undefined) {
    const whole = context.subject.cases.map((one) => overBox(one))
    if (
      context.subject.isComplete &&
      whole.every(({ isContinuous, value }) => isContinuous && !value.partial)
    )
      return proved(BY_CONSTRUCTION)
    return alongSegments(context, (joints) => joints.find(jumps), 'a jump')
  }
  const findings = curves.map(({ pieces, at }) => {
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
  return forAll(findings, context.curves.isComplete)
}

const middleOf = ({ lo, hi }: { lo: number; hi: number }) => rounded((lo + hi) / 2)

function nearly(meetings: readonly Joint['value'][]): Finding {
  const gaps = meetings.map(gapOf)
  if (gaps.some((gap) => gap === undefined)) return unknown('it is not decided how the pieces meet')
  const rounding = Math.max(...gaps.map((gap) => gap!))
  return supported(`${ENCLOSED}; they are equal to within ${rounding.toPrecision(2)}, the size of rounding`, {
    rounding,
  })
}

/** Where the slope jumps, and the slope that is served there. */
export function kinksOf(joints: readonly Joint[]) {
  return joints
    .filter(bends)
    .map(({ at, slope }) => ({ at, left: middleOf(slope.left), right: middleOf(slope.right) }))
}

function differentiable(context: Context): Finding {
  const curves = cut(context)
  if (curves === undefined) {
    const whole = context.subject.cases.map((one) => overBox(one))
    if (context.subject.isComplete && whole.every(({ isSmooth, value }) => isSmooth && !value.partial))
      return proved(BY_CONSTRUCTION)
    return alongSegments(context, (joints) => joints.find(bends), 'a kink')
  }
  const findings = curves.map(({ pieces, at }) => {
    const kinks = kinksOf(pieces.joints)
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
  return forAll(findings, context.curves.isComplete)
}

function lipschitz(context: Context): Finding {
  const curves = cut(context)
  if (curves === undefined) return lipschitzOverBox(context)
  const continuity = context.finding('continuous')
  if (continuity.verdict === 'refuted') return refuted('it jumps', continuity.evidence)
  const findings = curves.map(({ pieces, at }) => {
    const { bounds, least, most } = rangeOf(pieces, 1, within(context.clock, 150))
    const attained = Math.max(-least.value, most.value)
    const bound = magnitude(bounds)
    if (Number.isFinite(bound))
      return proved('slope enclosed on every piece', { bound, attained: rounded(attained) })
    const place = steepest(pieces)
    return place === undefined
      ? unknown('no bound of the slope was found')
      : refuted('the slope has no bound', { ...place, others: at })
  })
  const whole = forAll(findings, context.curves.isComplete, largestBound)
  return continuity.verdict === 'proved' || whole.verdict !== 'proved'
    ? whole
    : supported(`${whole.method}; ${continuity.method}`, whole.evidence)
}

function largestBound(evidence: readonly Readonly<Record<string, unknown>>[]) {
  const largest = (name: string) => Math.max(...evidence.map((one) => Number(one[name] ?? Number.NaN)))
  return { bound: largest('bound'), attained: largest('attained') }
}

/** A place near an end of a piece where the slope is certainly enormous. */
function steepest(pieces: NonNullable<Context['curves']['curves'][number]['pieces']>) {
  for (const piece of pieces.pieces) {
    for (const [end, way] of [
      [piece.lo, 1],
      [piece.hi, -1],
    ] as const) {
      const at = [1e-60, 1e-40, 1e-20, 1e-12].map((step) => end + way * step).find((x) => x !== end)!
      const slope = boundsOver(pieces, piece, 1, at, at)
      const least = Math.max(slope.lo, -slope.hi)
      if (least > 1e6 && !slope.partial) return { at, slope: least }
    }
  }
  return undefined
}

/** The Euclidean norm of the bounds of the partial derivatives. */
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
    const { slopes, isContinuous, value } = overBox(one)
    if (!isContinuous || value.partial) return unknown('a condition or a jump depends on the input')
    const bound = Math.hypot(...one.by.map((_, i) => (slopes?.[i] === undefined ? 0 : magnitude(slopes[i]))))
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
  const curves = cut(context)
  const findings =
    curves === undefined
      ? context.subject.cases.map((one) => smoothOverBox(one))
      : curves.map(({ pieces }) => {
          const { bounds } = rangeOf(pieces, 2, within(context.clock, 150))
          return ofBend(magnitude(bounds), 'second derivative enclosed on every piece')
        })
  const isComplete = curves === undefined ? context.subject.isComplete : context.curves.isComplete
  const whole = forAll(findings, isComplete, (all) =>
    stepOf(Math.max(...all.map(({ bound }) => Number(bound)))),
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
function smoothOverBox({ scalars, root, by, box }: Case): Finding {
  const tape = tapeOf(scalars, [root])
  const { bends: found, isSmooth, value } = differentiate(tape, box, by)[tape.roots[0]]
  if (!isSmooth || value.partial) return unknown('a kink or a condition depends on the input')
  const n = by.length
  const entry = (i: number, j: number) =>
    found?.[Math.min(i, j) * n - (Math.min(i, j) * (Math.min(i, j) - 1)) / 2 + Math.abs(j - i)]
  const rows = by.map((_, i) =>
    by.reduce((sum, _, j) => sum + (entry(i, j) === undefined ? 0 : magnitude(entry(i, j)!)), 0),
  )
  return ofBend(Math.max(...rows) * (1 + 1e-12), 'second derivatives enclosed over the whole domain')
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
