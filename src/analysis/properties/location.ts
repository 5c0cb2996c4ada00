/** Properties of losses that compare a prediction with a target: what the residual does. */
import { within } from '../clock.ts'
import { type Curve, lineOf } from '../curves.ts'
import { type Growth, growthOf, printed, slopeOf } from '../growth.ts'
import { type Interval, interval, isZero, magnitude, middle, point } from '../interval.ts'
import type { Piece, Pieces } from '../pieces.ts'
import { negated, ONE, ZERO } from '../rational.ts'
import { boundsOver, isNeverNegative, rangeOf } from '../shape.ts'
import { elementName, projectToFeasible, type Subject } from '../subject.ts'
import { enclose, evaluate, tapeOf } from '../tape.ts'
import { type Finding, forAll, proved, refuted, supported, unknown } from '../verdict.ts'
import { type Context, type Property, piecewiseCurves, residualCurve, rounded } from './context.ts'

const GROWTH = 'leading terms at both ends'

/** The input that plays the target: of the same kind and axes. */
function targetOf({ loss, of, cases }: Subject): string | undefined {
  const own = loss.inputs[of]
  const names = Object.keys(loss.inputs)
  const candidates = names.includes('targets')
    ? ['targets']
    : Object.keys(cases[0].labels).length === 0
      ? names
      : []
  return candidates.find((name) => {
    const { axes, kind, optional } = loss.inputs[name]
    const isReal = cases[0].box.has(elementName(name, 0))
    return (
      name !== of &&
      !optional &&
      isReal &&
      axes.join() === own.axes.join() &&
      (kind === own.kind || kind === 'real')
    )
  })
}

function valueAt(curve: Curve, at: number): Interval {
  const { tape, variable, box } = curve.line
  return enclose(tape, new Map(box).set(variable, point(at)))[tape.roots[0]]
}

function translationInvariant({ subject, curves }: Context): Finding | undefined {
  const target = targetOf(subject)
  if (target === undefined) return undefined
  if (curves.curves.length > 0 && curves.curves.every(({ isResidual }) => isResidual))
    return proved('the formula depends on the difference of the two inputs alone')
  const findings = subject.cases.map(({ scalars, root, by, box, shares }) => {
    if (shares.length > 0) return unknown('shares of a whole cannot be moved')
    const tape = tapeOf(scalars, [root])
    for (const share of [0.2, 0.35, 0.6]) {
      const at = (shift: number) =>
        new Map(
          [...box].map(([name, { lo, hi }]) => {
            const start = lo + (hi - lo) * (by.includes(name) ? share : share / 2)
            const isMoved = by.includes(name) || name.startsWith(`${target}.`)
            return [name, point(isMoved ? start + shift : start)] as const
          }),
        )
      const shift = Math.min(...[...box.values()].map(({ lo, hi }) => (hi - lo) / 4))
      const [here, there] = [0, shift].map((by) => enclose(tape, at(by))[tape.roots[0]])
      if (isApart(here, there))
        return refuted('the same difference costs differently elsewhere', {
          losses: [rounded(here.lo), rounded(there.lo)],
          shift,
        })
    }
    return unknown('no difference was found')
  })
  return forAll(findings, subject.isComplete)
}

function isApart(a: Interval, b: Interval): boolean {
  const margin = 1e-12 * Math.max(1, magnitude(a), magnitude(b))
  return !a.partial && !b.partial && (a.hi + margin < b.lo || b.hi + margin < a.lo)
}

function zeroAtTarget({ subject }: Context): Finding | undefined {
  const target = targetOf(subject)
  if (target === undefined) return undefined
  const findings = subject.cases.map((one) => {
    const { scalars, root, by, box } = one
    const places = new Map(
      by.map((name, place) => [scalars.variable(name), scalars.variable(elementName(target, place))]),
    )
    const met = scalars.replace(root, (id) => places.get(id))
    const known = scalars.constantOf(met)
    if (known !== undefined && known.top === 0n) return proved('the formula is 0 where the inputs are equal')
    const tape = tapeOf(scalars, [met])
    const over = enclose(tape, box)[tape.roots[0]]
    if (isZero(over) && !over.partial) return proved('enclosed: 0 where the inputs are equal')
    const shares = [0, 0.1, 0.33, 0.5, 0.71, 1]
    const values = shares.map((share) => {
      const at = projectToFeasible(
        one,
        new Map([...box].map(([name, { lo, hi }], i) => [name, lo + ((share + i * 0.11) % 1) * (hi - lo)])),
      )
      return enclose(tape, new Map([...at].map(([name, x]) => [name, point(x)])))[tape.roots[0]]
    })
    const wrong = values.findIndex(({ lo, hi, partial }) => !partial && (lo > 1e-9 || hi < -1e-9))
    if (wrong >= 0) return refuted('the loss of equal inputs is not 0', { loss: rounded(values[wrong].lo) })
    return supported('0 to within rounding where both inputs are equal', { points: values.length })
  })
  return forAll(findings, subject.isComplete)
}

function minimumAtTarget(context: Context): Finding | undefined {
  const { subject } = context
  if (targetOf(subject) === undefined) return undefined
  const curve = residualCurve(context)
  if (curve !== undefined) return minimumAtZero(curve, context)
  const zero = context.finding('zero_at_target')
  const bounds = context.finding('bounded_below')
  if (zero.verdict === 'proved' && bounds.verdict === 'proved' && Number(bounds.evidence.bound) >= 0)
    return proved('the loss is never below 0, and 0 where both are equal')
  return unknown('the loss does not depend on the residual alone')
}

function minimumAtZero(curve: Curve & { readonly pieces: Pieces }, context: Context): Finding {
  const { pieces } = curve
  const { least } = rangeOf(pieces, 0, within(context.clock, 80), 120)
  const own = valueAt(curve, 0)
  if (!own.partial && least.value < own.lo - 1e-9 * Math.max(1, magnitude(own)))
    return refuted('the loss is lower elsewhere', {
      at: least.at,
      loss: rounded(least.value),
      atTarget: rounded(own.lo),
    })
  const continuity = context.finding('continuous')
  const isFalling = (piece: Piece) => isNeverNegative(pieces, piece, 1, context.clock, -1).holds === true
  const isRising = (piece: Piece) => isNeverNegative(pieces, piece, 1, context.clock, 1).holds === true
  const parts = pieces.pieces.flatMap((piece) =>
    piece.lo < 0 && piece.hi > 0
      ? [
          { ...piece, hi: Math.min(piece.hi, 0) },
          { ...piece, lo: 0 },
        ]
      : [piece],
  )
  const holds = parts.every((piece) =>
    piece.hi <= Number.MIN_VALUE * 4 ? isFalling(piece) : isRising(piece),
  )
  if (!holds) return unknown('the sign of the slope is not decided')
  return continuity.verdict === 'proved'
    ? proved('the loss falls up to residual 0 and rises from there')
    : supported('the loss falls up to residual 0 and rises from there, but for jumps in the size of rounding')
}

function symmetric(context: Context): Finding | undefined {
  const curve = residualCurve(context)
  if (curve === undefined) return undefined
  const { scalars, root, line } = curve
  const self = scalars.variable(line.variable)
  const mirrored = scalars.replace(root, (id) =>
    id === self ? scalars.combination([self], [negated(ONE)], ZERO) : undefined,
  )
  if (mirrored === root) return proved('the formula of the residual and that of its negative are the same')
  const end = Math.min(-line.lo, line.hi)
  for (let i = 1; i <= 40; i++) {
    const at = (end * i) / 40
    const [left, right] = [valueAt(curve, -at), valueAt(curve, at)]
    if (isApart(left, right))
      return refuted('residuals of opposite signs cost differently', {
        at,
        losses: [rounded(left.lo), rounded(right.lo)],
      })
  }
  return supported('40 pairs of residuals cost the same', { pairs: 40 })
}

/** The loss in the end on both sides; undefined if it depends on more than the residual. */
function ends(context: Context) {
  const curve = residualCurve(context)
  if (curve === undefined) return undefined
  const { tape, variable } = curve.line
  const [left, right] = ([-1, 1] as const).map((way) => growthOf(tape, variable, way))
  if (left === undefined || right === undefined) return { curve, sides: undefined }
  const slopes = [left, right].map(slopeOf)
  return { curve, sides: { left, right, slopes } }
}

const grows = (evidence: { left: Parameters<typeof printed>[0]; right: Parameters<typeof printed>[0] }) => ({
  left: printed(evidence.left),
  right: printed(evidence.right),
})

function boundedInfluence(context: Context): Finding | undefined {
  const found = ends(context)
  if (found === undefined) return undefined
  if (found.sides === undefined) return unknown('how the loss grows in the end is not decided')
  const { slopes } = found.sides
  if (slopes.some((slope) => slope?.kind === 'grows')) return refuted(GROWTH, grows(found.sides))
  if (slopes.some((slope) => slope === undefined))
    return unknown('how the loss grows in the end is not decided')
  const lipschitz = context.finding('lipschitz')
  const evidence = { ...grows(found.sides), bound: lipschitz.evidence.bound }
  return lipschitz.verdict === 'proved'
    ? proved(`${GROWTH}; ${lipschitz.method}`, evidence)
    : { ...lipschitz, evidence }
}

function redescending(context: Context): Finding | undefined {
  const found = ends(context)
  if (found === undefined) return undefined
  if (found.sides === undefined) return unknown('how the loss grows in the end is not decided')
  const { slopes } = found.sides
  if (slopes.every((slope) => slope?.kind === 'fades')) return proved(GROWTH, grows(found.sides))
  const stays = slopes.some((slope) => slope?.kind === 'grows' || slope?.kind === 'settles')
  return stays ? refuted(GROWTH, grows(found.sides)) : unknown('how the loss grows in the end is not decided')
}

/** The share of bad data that a location estimate survives (Huber 1984, Annals of Statistics 12, 119). */
function robust(context: Context): Finding | undefined {
  const found = ends(context)
  if (found === undefined) return undefined
  const influence = context.finding('bounded_influence')
  if (influence.verdict === 'refuted')
    return refuted('unbounded influence: one bad number is enough', { breakdown: 0 })
  const convexity = context.finding('convex')
  const slopes = found.sides?.slopes
  if (influence.verdict !== 'proved' || slopes === undefined) return unknown('the influence is not decided')
  const [left, right] = slopes
  if (convexity.verdict !== 'proved' || left?.kind !== 'settles' || right?.kind !== 'settles')
    return unknown(
      'the influence is bounded, but not monotone: how much bad data it survives depends on the scale and on the start',
    )
  const [a, b] = [Math.abs(left.at), Math.abs(right.at)]
  return proved('bounded and monotone influence: the smaller limit of the slope over their sum', {
    breakdown: rounded(Math.min(a, b) / (a + b)),
  })
}

/** By Stein's lemma E psi' = E Z psi, which needs no derivative at kinks. */
function efficiency(context: Context): Finding | undefined {
  const curve = residualCurve(context)
  if (curve === undefined || context.finding('symmetric').verdict === 'refuted') return undefined
  const wide = lineOf(curve.scalars, {
    root: curve.root,
    box: new Map(curve.line.box).set(curve.line.variable, interval(-12, 12)),
    variable: curve.line.variable,
  })
  const [n, end] = [2000, 10]
  let [slope, square] = [0, 0]
  const value = (z: number) => evaluate(wide.tape, () => z)[wide.tape.roots[0]]
  const [step, h] = [(2 * end) / n, 1e-5]
  for (let i = 0; i < n; i++) {
    const z = -end + (i + 0.5) * step
    const psi = (value(z + h) - value(z - h)) / (2 * h)
    const weight = (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * step
    slope += weight * z * psi
    square += weight * psi * psi
  }
  const found = slope ** 2 / square
  return Number.isFinite(found)
    ? supported('quadrature with 2000 points', { efficiency: Number(found.toPrecision(4)) })
    : unknown('the quadrature has no value')
}

interface Sides {
  readonly left: Interval
  readonly right: Interval
}

/** The bounds of a derivative on both sides of 0, over all pieces. */
function sidesOf({ pieces }: { readonly pieces: Pieces }, order: 1 | 2): Sides | undefined {
  const of = (test: (piece: Piece) => boolean) => {
    const found = pieces.pieces
      .filter(test)
      .map((piece) => boundsOver(pieces, piece, order, piece.lo, piece.hi))
    return found.length === 0
      ? undefined
      : interval(Math.min(...found.map(({ lo }) => lo)), Math.max(...found.map(({ hi }) => hi)))
  }
  const [left, right] = [of(({ lo }) => lo < -1e-300), of(({ hi }) => hi > 1e-300)]
  return left === undefined || right === undefined ? undefined : { left, right }
}

const isConstant = ({ lo, hi }: Interval) => hi - lo <= 1e-14 * Math.max(Math.abs(lo), Math.abs(hi))

/** Asymmetric absolute and squared errors have names; other losses of the residual are M-estimators. */
function estimates(context: Context): Finding | undefined {
  const curve = residualCurve(context)
  if (curve === undefined) return byMean(context)
  if (context.finding('minimum_at_target').verdict === 'refuted')
    return unknown('its minimum is not at the target')
  const [slope, bend] = [sidesOf(curve, 1), sidesOf(curve, 2)]
  if (
    slope !== undefined &&
    isConstant(slope.left) &&
    isConstant(slope.right) &&
    slope.left.hi < 0 &&
    slope.right.lo > 0
  ) {
    const level = -slope.left.lo / (slope.right.lo - slope.left.lo)
    return level === 0.5
      ? proved('constant slopes of equal size', { of: 'median' })
      : proved('constant slopes', { of: 'quantile', level: rounded(level) })
  }
  if (
    bend !== undefined &&
    isConstant(bend.left) &&
    isConstant(bend.right) &&
    bend.left.lo > 0 &&
    bend.right.lo > 0
  ) {
    const level = bend.left.lo / (bend.right.lo + bend.left.lo)
    return level === 0.5
      ? proved('a constant second derivative', { of: 'mean' })
      : proved('a constant second derivative on each side', { of: 'expectile', level: rounded(level) })
  }
  return modeOf(context) ?? supported('it is a function of the residual', { of: 'location (M-estimator)' })
}

/**
 * With one valley and the same limit M on both sides, the least expected loss is the largest expectation of M - loss: a
 * kernel, and so the mode of the targets as a kernel density estimate smooths them (Chernoff 1964; Yao, Lindsay, Li 2012).
 */
function modeOf(context: Context): Finding | undefined {
  const sides = ends(context)?.sides
  if (sides === undefined || !isLevel(sides.left) || !isLevel(sides.right)) return undefined
  const [low, high] = [sides.left.factor, sides.right.factor].sort((a, b) => a - b)
  if (high - low > 1e-12 * Math.abs(high)) return undefined
  const needed = ['quasiconvex', 'minimum_at_target', 'symmetric'].map(
    (name) => context.finding(name).verdict,
  )
  if (needed.some((verdict) => verdict === 'refuted' || verdict === 'unknown')) return undefined
  const say = needed.every((verdict) => verdict === 'proved') ? proved : supported
  return say('one valley, and the same limit on both sides: limit - loss is a kernel', {
    of: 'mode',
    smoothedBy: `${rounded(high)} - loss`,
    limit: rounded(high),
  })
}

/** Whether it goes to a number. */
const isLevel = ({ rate, power, logs, isVague }: Growth) =>
  rate === 0 && power === 0 && logs === 0 && isVague !== true

/** If the loss is affine in the targets, only their mean counts. */
function byMean(context: Context): Finding | undefined {
  const { subject, curves } = context
  if (curves.curves.length === 0 || curves.curves.some(({ isResidual }) => isResidual)) return undefined
  const target = Object.keys(subject.loss.inputs).find(
    (name) => name !== subject.of && subject.cases[0].box.has(elementName(name, 0)),
  )
  if (target === undefined || !curves.isComplete) return undefined
  const link = linkOf(context)
  return proved('the loss is affine in the targets, so only their mean counts', {
    of: 'mean, through a link',
    ...(link === undefined ? {} : { link }),
  })
}

/** The mean of the targets for which a prediction is the best. */
const LINKS: Readonly<Record<string, (x: number) => number>> = {
  identity: (x) => x,
  log: Math.exp,
  logit: (x) => 1 / (1 + Math.exp(-x)),
  inverse: (x) => 1 / x,
  'square root': (x) => x * x,
}

/** What the link is called: it has the right slopes of 0 at some predictions. */
function linkOf(context: Context): string | undefined {
  const curves = piecewiseCurves(context)
  const targets = curves?.map(({ at }) => Object.values(at)[0]?.[0])
  if (curves?.length !== 2 || targets?.[0] === undefined || targets[1] === undefined) return undefined
  const [first, second] = [targets[0], targets[1]]
  const { lo, hi } = curves[0].line
  const shares = [0.31, 0.45, 0.58, 0.66]
  const means = shares.map((share) => {
    const place = lo + share * (hi - lo)
    const [a, b] = curves.map(({ pieces }) => slopeAt(pieces, place))
    return { place, mean: first - (a * (second - first)) / (b - a) }
  })
  return Object.keys(LINKS).find((name) =>
    means.every(
      ({ place, mean }) => Math.abs(LINKS[name](place) - mean) <= 1e-7 * Math.max(1e-3, Math.abs(mean)),
    ),
  )
}

function slopeAt(pieces: Pieces, place: number): number {
  const piece = pieces.pieces.find(({ lo, hi }) => lo <= place && place <= hi)
  return piece === undefined ? Number.NaN : middle(boundsOver(pieces, piece, 1, place, place))
}

export const LOCATION: readonly Property[] = [
  { name: 'zero_at_target', about: 'a prediction equal to the target costs nothing', find: zeroAtTarget },
  {
    name: 'minimum_at_target',
    about: 'nothing costs less than a prediction equal to the target',
    find: minimumAtTarget,
  },
  { name: 'symmetric', about: 'too much and too little cost the same', find: symmetric },
  {
    name: 'translation_invariant',
    about: 'only the difference of prediction and target counts',
    find: translationInvariant,
  },
  {
    name: 'bounded_influence',
    about: 'no single target can move the fit by more than a bounded amount',
    find: boundedInfluence,
  },
  { name: 'redescending', about: 'the influence of far targets fades to 0', find: redescending },
  { name: 'robust', about: 'the location estimate survives the given share of bad data', find: robust },
  {
    name: 'efficiency',
    about: 'variance of the mean over that of the estimate, for Gaussian data',
    find: efficiency,
  },
  { name: 'estimates', about: 'what of the targets the best constant prediction is', find: estimates },
]
