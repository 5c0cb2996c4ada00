/** Properties of losses of two or more classes. */
import { within } from '../clock.ts'
import { sigmoid } from '../elementary.ts'
import { add, type Interval, interval, isZero, magnitude, mul, point, sub, UNDEFINED } from '../interval.ts'
import type { Curve } from '../lines.ts'
import type { Pieces } from '../pieces.ts'
import { boundsOver, rangeOf } from '../shape.ts'
import { allowed } from '../subject.ts'
import { enclose, tapeOf } from '../tape.ts'
import { type Finding, forAll, proved, refuted, supported, unknown } from '../verdict.ts'
import { type Context, cut, type Property, rounded } from './context.ts'

interface Sides {
  /** The loss if the label is positive, as a function of the prediction. */
  readonly yes: Curve & { readonly pieces: Pieces }
  readonly no: Curve & { readonly pieces: Pieces }
}

/** The two curves of a binary loss. */
function sidesOf(context: Context): Sides | undefined {
  const all = cut(context)
  if (all?.length !== 2 || all.some(({ isResidual }) => isResidual) || !context.curves.isComplete)
    return undefined
  const label = Object.keys(all[0].at).find(
    (name) => all[0].at[name].length === 1 && all[0].at[name][0] !== all[1].at[name][0],
  )
  if (
    label === undefined ||
    !['sign', 'binary', 'probability'].includes(
      context.subject.loss.inputs[label].kindFor(context.subject.params),
    )
  )
    return undefined
  const [a, b] = all
  return a.at[label][0] > b.at[label][0] ? { yes: a, no: b } : { yes: b, no: a }
}

function at({ pieces }: { readonly pieces: Pieces }, order: 0 | 1, place: number): Interval {
  const found = pieces.pieces.filter(({ lo, hi }) => lo <= place && place <= hi)
  const bounds = found.map((piece) => boundsOver(pieces, piece, order, place, place))
  if (bounds.length === 0) return UNDEFINED
  return bounds.reduce((a, b) => interval(Math.min(a.lo, b.lo), Math.max(a.hi, b.hi), a.partial || b.partial))
}

const isProbability = ({ subject }: Context) =>
  subject.loss.inputs[subject.of].kindFor(subject.params) === 'probability'

/**
 * A convex loss of the margin is calibrated if and only if it is differentiable at 0 with a negative slope (Bartlett,
 * Jordan, McAuliffe, JASA 2006, theorem 2).
 */
function calibrated(context: Context): Finding | undefined {
  const sides = sidesOf(context)
  if (sides === undefined || isProbability(context)) return undefined
  if (!isMarginLoss(sides)) return unknown('the two classes are not mirror images')
  const convexity = context.finding('convex')
  const joint = sides.yes.pieces.joints.find(({ lo, hi }) => lo <= 0 && hi >= 0)
  if (convexity.verdict === 'proved') {
    if (joint !== undefined && joint.slope.isSame === false)
      return refuted('convex, but with a kink at margin 0', {
        slopes: [rounded(joint.slope.left.lo), rounded(joint.slope.right.lo)],
      })
    const slope = at(sides.yes, 1, 0)
    if (slope.hi < 0 && (joint === undefined || joint.slope.isSame === true))
      return proved('convex, and differentiable at margin 0 with a negative slope', {
        slope: rounded(slope.hi),
      })
    if (slope.lo >= 0) return refuted('convex, and not falling at margin 0', { slope: rounded(slope.lo) })
  }
  return byRisk(sides, context)
}

/** Whether the best wrong-signed prediction is worse than the best one, for shares of positives on a grid. */
function byRisk({ yes, no }: Sides, { subject }: Context): Finding {
  const { lo, hi } = yes.line
  const places = Array.from({ length: 201 }, (_, i) => lo + ((hi - lo) * i) / 200)
  const [a, b] = [yes, no].map((side) => places.map((place) => at(side, 0, place)))
  for (const share of [0.55, 0.6, 0.7, 0.8, 0.9, 0.99]) {
    const risks = places.map((_, i) => share * a[i].hi + (1 - share) * b[i].hi)
    const right = Math.min(...risks.filter((_, i) => places[i] > 0))
    const wrong = Math.min(...risks.filter((_, i) => places[i] <= 0))
    if (wrong <= right + 1e-9 * Math.abs(right))
      return wrong < right - 1e-9 * Math.abs(right)
        ? supported(`for ${share} positives, a negative prediction has the least risk on ${subject.of}`, {
            share,
            isCalibrated: false,
          })
        : unknown('both signs have the same risk')
  }
  return supported('the right sign has the least risk for 6 shares of positives on 201 predictions', {
    shares: 6,
  })
}

function isMarginLoss({ yes, no }: Sides): boolean {
  const end = Math.min(-yes.line.lo, yes.line.hi)
  return [1, 0.7, 0.31, 0.05].every((share) => {
    const [left, right] = [at(yes, 0, share * end), at(no, 0, -share * end)]
    return left.lo <= right.hi + 1e-9 && right.lo <= left.hi + 1e-9
  })
}

/** The derivative of the expected loss must be 0 where the prediction is the share of positives. */
function proper(context: Context): Finding | undefined {
  const sides = sidesOf(context)
  if (sides === undefined) return undefined
  const isDirect = isProbability(context)
  const places = Array.from({ length: 19 }, (_, i) => (isDirect ? (i + 1) / 20 : (i - 9) / 2.3 + 0.01))
  let worst = 0
  for (const place of places) {
    if (place < sides.yes.line.lo || place > sides.yes.line.hi) continue
    const share = isDirect ? point(place) : sigmoid(point(place))
    const [a, b] = [at(sides.yes, 1, place), at(sides.no, 1, place)]
    const slope = add(mul(share, a), mul(sub(point(1), share), b))
    const scale = Math.max(magnitude(mul(share, a)), magnitude(b), 1e-300)
    if (!slope.partial && (slope.lo > 1e-9 * scale || slope.hi < -1e-9 * scale))
      return refuted('the expected loss is not least at the true probability', {
        prediction: place,
        share: rounded(share.lo),
        slope: rounded(slope.lo),
      })
    worst = Math.max(worst, magnitude(slope) / scale)
  }
  const link = isDirect ? 'none' : 'sigmoid'
  return supported(
    `the expected loss is stationary at the true probability, for ${places.length} probabilities`,
    { link, worst: Number(worst.toPrecision(2)) },
  )
}

/** If the losses of all labels add up to a constant, label noise only scales and moves the risk (Ghosh et al., AAAI 2017). */
function noiseTolerant(context: Context): Finding | undefined {
  const { subject } = context
  const sides = sidesOf(context)
  if (sides !== undefined) return constantSum([sides.yes, sides.no], context)
  const labels = Object.keys(subject.cases[0].labels)
  const isOverClasses =
    labels.length === 1 &&
    subject.cases.length > 1 &&
    subject.isComplete &&
    subject.loss.inputs[labels[0]].kind.startsWith('class')
  if (!isOverClasses || subject.loss.couples === 'batch' || subject.loss.couples === 'group') return undefined
  const [first] = subject.cases
  const sums = [0.1, 0.4, 0.9].map((share) => {
    const drawn = [...first.box].map(
      ([name, { lo, hi }], i) => [name, lo + ((share * (1 + i)) % 1) * (hi - lo)] as const,
    )
    const at = new Map([...allowed(first, new Map(drawn))].map(([name, x]) => [name, point(x)]))
    return subject.cases
      .map(({ scalars, root }) => {
        const tape = tapeOf(scalars, [root])
        return enclose(tape, at)[tape.roots[0]]
      })
      .reduce(add)
  })
  return ofSums(sums)
}

function constantSum(curves: readonly (Curve & { readonly pieces: Pieces })[], context: Context): Finding {
  const [{ line }] = curves
  const { lo, hi } = line
  const sums = [0.03, 0.2, 0.45, 0.6, 0.9].map((share) =>
    curves.map((curve) => at(curve, 0, lo + share * (hi - lo))).reduce(add),
  )
  const found = ofSums(sums)
  if (found.verdict === 'refuted') return found
  const slopes = curves.map((curve) => rangeOf(curve.pieces, 1, within(context.clock, 40), 40).bounds)
  const isFlat =
    curves.every(({ pieces }) =>
      pieces.joints.every(({ isContinuous, value }) => isContinuous || value.isSame === true),
    ) && isZero(slopes.reduce(add))
  return isFlat ? proved('the slopes for both labels add up to 0 everywhere') : found
}

function ofSums(sums: readonly Interval[]): Finding {
  const [first] = sums
  const other = sums.find(({ lo, hi }) => hi < first.lo - 1e-9 || lo > first.hi + 1e-9)
  if (other !== undefined)
    return refuted('the losses of all labels do not add up to a constant', {
      sums: [rounded(first.lo), rounded(other.lo)],
    })
  return supported(`the losses of all labels add up to the same at ${sums.length} predictions`, {
    sum: rounded(first.lo),
  })
}

/** Pieces on which the slope is 0: predictions that are never corrected. */
function saturates(context: Context): Finding | undefined {
  const all = cut(context)
  if (all === undefined) return undefined
  const findings = all.map(({ pieces, at: others }) => {
    const { least } = rangeOf(pieces, 0, within(context.clock, 40), 60)
    const dead = pieces.pieces.filter(
      (piece) => isZero(boundsOver(pieces, piece, 1, piece.lo, piece.hi)) && piece.hi - piece.lo > 1e-6,
    )
    const costly = dead.find(
      (piece) => boundsOver(pieces, piece, 0, piece.lo, piece.lo).lo > least.value + 1e-9,
    )
    return costly === undefined
      ? refuted('no interval of constant loss above the least', {
          atTheLeast: dead.map(({ lo, hi }) => [rounded(lo), rounded(hi)]),
          others,
        })
      : proved('the slope is 0 on an interval where the loss is not least', {
          from: rounded(costly.lo),
          to: rounded(costly.hi),
          others,
        })
  })
  return findings.find(({ verdict }) => verdict === 'proved') ?? forAll(findings, context.curves.isComplete)
}

export const CLASSIFICATION: readonly Property[] = [
  {
    name: 'classification_calibrated',
    about: 'the least risk has the sign of the more likely class',
    find: calibrated,
  },
  { name: 'proper', about: 'the expected loss is least at the true probability', find: proper },
  { name: 'noise_tolerant', about: 'uniform label noise does not move the minimum', find: noiseTolerant },
  {
    name: 'saturates',
    about: 'some predictions that cost more than the least get gradient 0',
    find: saturates,
  },
]
