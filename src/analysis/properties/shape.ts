/** Convex, quasiconvex, bounded below. */
import { type Clock, within } from '../clock.ts'
import { curvatureOf } from '../convexity-rules.ts'
import { type Interval, interval } from '../interval.ts'
import { type Pieces, piecesOf } from '../pieces.ts'
import { pruneBranches } from '../prune-branches.ts'
import { pointBox, pointOf, segmentOf } from '../segments.ts'
import { boundsOver, convexity, isNeverNegative, rangeOf } from '../shape.ts'
import type { Case } from '../subject.ts'
import { enclose, tapeOf } from '../tape.ts'
import { type Evidence, type Finding, forAll, proved, refuted, supported, unknown } from '../verdict.ts'
import {
  type Context,
  findingOfShape,
  forAllCurves,
  type Property,
  RULES_OF_CURVATURE,
  rounded,
} from './context.ts'

const SEGMENTS = 16
const CHORDS = 200

function convex(context: Context): Finding {
  const found = forAllCurves(context, ({ pieces, at }, clock) => {
    const shape = convexity(pieces, within(clock, 250))
    const own = findingOfShape(shape)
    return shape.kind === 'refuted' ? checked(pieces, shape.at.lo, shape.at.hi, own, at) : own
  })
  if (found?.verdict === 'proved' || found?.verdict === 'refuted') return found
  const ruled = context.subject.cases.map((one) => byRules(one, context))
  if (context.subject.isComplete && ruled.every(({ verdict }) => verdict === 'proved')) return ruled[0]
  return found ?? alongSegments(context, ruled)
}

function byRules({ scalars, root: whole, by, box }: Case, { clock }: Context): Finding {
  const root = pruneBranches(scalars, whole, box)
  const { curvature } = curvatureOf({ scalars, root, by, box }, within(clock, 300))
  if (!curvature.isConvex) return unknown('no rule says so')
  const tape = tapeOf(scalars, [root])
  const isDefined = !enclose(tape, box)[tape.roots[0]].partial
  return isDefined
    ? proved(RULES_OF_CURVATURE)
    : unknown('the formula may have no value somewhere in the domain')
}

/** Three points around a place, the middle one above the chord: computed with bounds on the rounding. */
function checked(pieces: Pieces, lo: number, hi: number, found: Finding, others: object): Finding {
  const { line } = pieces
  const value = (at: number) =>
    enclose(line.tape, new Map(line.box).set(line.variable, interval(at, at)))[line.tape.roots[0]]
  const centre = lo / 2 + hi / 2
  const widths = [hi - lo, (hi - lo) / 2, 1, 0.1, 1e-2, 1e-3, 1e-4, 1e-6]
  // At a jump the middle has to lie beyond it.
  for (const [width, shift] of widths.flatMap((width) =>
    [0, 0.25, -0.25].map((share) => [width, share * width]),
  )) {
    const [a, b] = [
      Math.max(line.lo, centre + shift - width / 2),
      Math.min(line.hi, centre + shift + width / 2),
    ]
    const m = a / 2 + b / 2
    const [left, right, between] = [value(a), value(b), value(m)]
    const chord = left.hi / 2 + right.hi / 2
    const margin = 1e-12 * Math.max(1, Math.abs(chord))
    if (!left.partial && !right.partial && !between.partial && between.lo > chord + margin)
      return refuted('the chord between two points lies below the loss', {
        points: [a, m, b],
        losses: [left.lo, between.lo, right.lo].map(rounded),
        others,
      })
  }
  return unknown(`${found.method}, but no three points show it beyond rounding`, found.evidence)
}

function alongSegments(context: Context, ruled: readonly Finding[]): Finding {
  const { subject, clock, random } = context
  const own = within(clock, 700)
  let count = 0
  const open = subject.cases.filter((_, i) => ruled[i].verdict !== 'proved')
  for (let i = 0; i < SEGMENTS && !own.isOver() && open.length > 0; i++) {
    const one = open[i % open.length]
    const segment = segmentOf(one, random)
    const pieces = piecesOf(segment.line, own)
    if (pieces === undefined) continue
    const shape = convexity(pieces, own)
    if (shape.kind === 'unknown') continue
    count++
    if (shape.kind !== 'refuted') continue
    const found = checked(pieces, shape.at.lo, shape.at.hi, findingOfShape(shape), one.labels)
    if (found.verdict !== 'refuted') continue
    const points = (found.evidence.points as number[]).map((t) => pointOf(segment, t))
    return refuted(found.method, { points, losses: found.evidence.losses, labels: one.labels })
  }
  if (open.length === 0)
    return supported(`${RULES_OF_CURVATURE}, in ${ruled.length} of all cases`, { cases: ruled.length })
  return count === 0
    ? byPoints(open, context)
    : supported(`convex on ${count} random lines`, { lines: count })
}

/** Random chords, their ends and their middles enclosed. */
function byPoints(cases: readonly Case[], { clock, random }: Context): Finding {
  const own = within(clock, 400)
  const tapes = cases.map(({ scalars, root }) => tapeOf(scalars, [root]))
  let count = 0
  for (let i = 0; i < CHORDS && !own.isOver(); i++) {
    const [one, tape] = [cases[i % cases.length], tapes[i % cases.length]]
    const segment = segmentOf(one, random)
    const [a, m, b] = [0, 0.5, 1].map((t) => enclose(tape, pointBox(pointOf(segment, t)))[tape.roots[0]])
    if ([a, m, b].some(({ lo, hi, partial }) => partial || !(hi - lo < 1e-6 * Math.max(1, Math.abs(lo)))))
      continue
    count++
    const chord = a.hi / 2 + b.hi / 2
    if (m.lo > chord + 1e-9 * Math.max(1, Math.abs(chord))) {
      const points = [0, 0.5, 1].map((t) => pointOf(segment, t))
      const losses = [a.lo, m.lo, b.lo].map(rounded)
      return refuted('the chord between two points lies below the loss', {
        points,
        losses,
        labels: one.labels,
      })
    }
  }
  return count === 0
    ? unknown('no rule says so, and the formula could not be cut into pieces')
    : supported(`no chord of ${count} lies below the loss`, { chords: count })
}

function quasiconvex(context: Context): Finding {
  const convexity = context.finding('convex')
  if (convexity.verdict === 'proved') return proved('it is convex', convexity.evidence)
  const { isComplete, isMixed } = context.curves
  // The mean of two losses with one valley each may have two.
  const found = forAllCurves(
    context,
    ({ pieces, at }, clock) => valley(pieces, within(clock, 200), at),
    undefined,
    isComplete && !isMixed,
  )
  if (found !== undefined && found.verdict !== 'unknown') return found
  if (convexity.verdict === 'supported') return supported('it may be convex', convexity.evidence)
  return found ?? unknown('no rule for several elements')
}

/** Falls to its least value, and rises from there; around the least value, which may be no float64, it may be convex. */
function valley(pieces: Pieces, clock: Clock, others: object): Finding {
  const { least } = rangeOf(pieces, 0, clock, 100)
  if (
    !pieces.joints.every(({ isContinuous, value, isOwn }) => isContinuous || (value.isSame === true && isOwn))
  )
    return unknown('it may jump')
  const bottom = Number.isFinite(least.at) ? nearestBottom(pieces, least.at) : 0
  const floor = convexAround(pieces, bottom, clock)
  const parts = pieces.pieces.flatMap((piece) => [
    ...(piece.lo < floor.lo ? [{ ...piece, hi: Math.min(piece.hi, floor.lo) }] : []),
    ...(piece.hi > floor.hi ? [{ ...piece, lo: Math.max(piece.lo, floor.hi) }] : []),
  ])
  const isValley = parts.every(
    (piece) => isNeverNegative(pieces, piece, 1, clock, piece.hi <= bottom ? -1 : 1).holds === true,
  )
  if (isValley)
    return proved('slope enclosed on both sides of the least value, and the second derivative around it', {
      least: bottom,
    })
  const { line } = pieces
  const value = (at: number) =>
    enclose(line.tape, new Map(line.box).set(line.variable, interval(at, at)))[line.tape.roots[0]]
  const places = Array.from({ length: 65 }, (_, i) => line.lo + ((line.hi - line.lo) * i) / 64)
  const values = places.map(value)
  for (let b = 1; b < 64; b++) {
    const a = argmin(values.slice(0, b))
    const c = b + 1 + argmin(values.slice(b + 1))
    const top = Math.max(values[a].hi, values[c].hi)
    if (![a, b, c].some((i) => values[i].partial) && values[b].lo > top + 1e-12 * Math.max(1, Math.abs(top)))
      return refuted('the loss is higher between two points than at both', {
        points: [places[a], places[b], places[c]],
        losses: [values[a].lo, values[b].lo, values[c].lo].map(rounded),
        others,
      })
  }
  return unknown('the sign of the slope is not decided')
}

/** Shares of the whole interval that are tried. */
const FLOORS = [0.05, 0.01, 1e-3, 1e-4]

/** An interval around a place on which the loss is convex; the place alone if none is found. */
function convexAround({ line, pieces, joints }: Pieces, bottom: number, clock: Clock): Interval {
  const piece = pieces.find(({ lo, hi }) => lo < bottom && hi > bottom)
  if (piece === undefined) return interval(bottom, bottom)
  for (const share of FLOORS) {
    const reach = share * (line.hi - line.lo)
    const part = { ...piece, lo: Math.max(piece.lo, bottom - reach), hi: Math.min(piece.hi, bottom + reach) }
    const isConvex = isNeverNegative({ line, pieces, joints }, part, 2, within(clock, 5)).holds === true
    if (isConvex) return interval(part.lo, part.hi)
  }
  return interval(bottom, bottom)
}

const argmin = (values: readonly { hi: number }[]) =>
  values.reduce((best, { hi }, i) => (hi < values[best].hi ? i : best), 0)

/** A round number next to a place, if the slope is 0 there: an optimum is often at one. */
function nearestBottom(pieces: Pieces, at: number): number {
  const joint = pieces.joints.find(({ lo, hi }) => lo - 1e-6 <= at && at <= hi + 1e-6)
  if (joint !== undefined) return joint.at
  const nice = Math.round(at)
  return Math.abs(nice - at) < 0.2 && slopeAt(pieces, nice) ? nice : at
}

function slopeAt(pieces: Pieces, at: number): boolean {
  const piece = pieces.pieces.find(({ lo, hi }) => lo <= at && at <= hi)
  if (piece === undefined) return false
  const slope = boundsOver(pieces, piece, 1, at, at)
  return slope.lo <= 0 && slope.hi >= 0
}

function boundedBelow(context: Context): Finding {
  const { subject } = context
  const merge = (all: readonly Evidence[]) => ({ bound: Math.min(...all.map(({ bound }) => Number(bound))) })
  const found = forAllCurves(
    context,
    ({ pieces }, clock) => bounded(rangeOf(pieces, 0, within(clock, 80), 200).bounds),
    merge,
  )
  if (found !== undefined) return found
  const findings = subject.cases.map(({ scalars, root, box }) => {
    const tape = tapeOf(scalars, [root])
    return bounded(enclose(tape, box)[tape.roots[0]])
  })
  return forAll(findings, subject.isComplete, merge)
}

function bounded({ lo: bound, partial }: Interval): Finding {
  if (partial) return unknown('the formula may have no value somewhere in the domain')
  return Number.isFinite(bound)
    ? proved('value enclosed over the domain', { bound })
    : unknown('no lower bound was found')
}

export const SHAPE: readonly Property[] = [
  { name: 'convex', about: 'every local minimum in this input is global', find: convex },
  { name: 'quasiconvex', about: 'the loss never falls again once it rises', find: quasiconvex },
  { name: 'bounded_below', about: 'the loss has a lower bound on the domain', find: boundedBelow },
]
