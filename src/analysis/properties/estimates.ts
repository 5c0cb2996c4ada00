/** What of the targets the best constant prediction is. */
import { type Clock, within } from '../clock.ts'
import { derivativeOf } from '../derivative.ts'
import type { Growth } from '../growth.ts'
import { type Interval, interval, middle, point } from '../interval.ts'
import { NormalForms } from '../normal-form.ts'
import { formulaOnSide, jetsOf, type Piece } from '../pieces.ts'
import { negated, ONE, plus, rational, reciprocal, signOf as signOfRational, ZERO } from '../rational.ts'
import type { Scalar, Scalars } from '../scalars.ts'
import { elementName } from '../subject.ts'
import { enclose, tapeOf } from '../tape.ts'
import { type Finding, proved, supported, unknown } from '../verdict.ts'
import {
  type Context,
  type PiecewiseCurve,
  type Property,
  piecewiseCurves,
  residualCurve,
  rounded,
} from './context.ts'
import { ends } from './location.ts'

/** Asymmetric absolute and squared errors have names; other losses of the residual are M-estimators. */
function estimates(context: Context): Finding | undefined {
  const curve = residualCurve(context)
  if (curve === undefined) return byMean(context)
  if (context.finding('minimum_at_target').verdict === 'refuted')
    return unknown('its minimum is not at the target')
  return (
    byFormula(context, curve) ??
    modeOf(context) ??
    supported('it is a function of the residual', { of: 'location (M-estimator)' })
  )
}

/**
 * What a loss estimates that is linear or quadratic on each side of residual 0. Its derivatives are compared as
 * formulas: enclosures do not tell what is constant from what is nearly constant, or from what is infinite.
 */
function byFormula(context: Context, curve: PiecewiseCurve): Finding | undefined {
  const { scalars, line } = curve
  const [left, right] = ([-1, 1] as const).map((way) => sideOf(curve, way))
  if (left === undefined || right === undefined) return undefined
  if (context.finding('continuous').verdict !== 'proved') return undefined
  const forms = new NormalForms(scalars, context.clock)
  const areConstant = (order: 1 | 2) => {
    const next = [left, right].map(({ slopes }) => derivativeOf(scalars, slopes[order - 1], line.variable))
    return next.every((slope) => slope !== undefined && forms.isNought(slope))
  }
  const [a, b] = [valuesOf(curve, left), valuesOf(curve, right)]
  if (areConstant(1) && a[0].hi < 0 && b[0].lo > 0)
    return forms.isNought(scalars.make('add', [left.slopes[0], right.slopes[0]]))
      ? proved('constant slopes of equal size', { of: 'median' })
      : proved('constant slopes', { of: 'quantile', level: shareOf(-middle(a[0]), middle(b[0])) })
  const isFlatAtTarget = [left, right].every(({ slopes }) => forms.isNought(atTarget(curve, slopes[0])))
  if (areConstant(2) && isFlatAtTarget && a[1].lo > 0 && b[1].lo > 0)
    return forms.areEqual(left.slopes[1], right.slopes[1])
      ? proved('a constant second derivative', { of: 'mean' })
      : proved('a constant second derivative on each side', {
          of: 'expectile',
          level: shareOf(middle(a[1]), middle(b[1])),
        })
  return undefined
}

const shareOf = (a: number, b: number) => rounded(a / (a + b))

interface Side {
  readonly piece: Piece
  /** The first and the second derivative. */
  readonly slopes: readonly [Scalar, Scalar]
}

/** The derivatives on one side of residual 0, if it is one piece without a kink. */
function sideOf({ pieces, line, scalars }: PiecewiseCurve, way: -1 | 1): Side | undefined {
  const [piece, ...others] = pieces.pieces.filter(({ lo, hi }) => (way < 0 ? lo < 0 : hi > 0))
  if (piece === undefined || others.length > 0 || !isSmoothOver(line, piece, piece.lo, piece.hi))
    return undefined
  const slopes = slopesOf(scalars, formulaOnSide(line, piece.choices), line.variable)
  return slopes && { piece, slopes }
}

function isSmoothOver(line: PiecewiseCurve['line'], { choices }: Piece, lo: number, hi: number): boolean {
  const jets = jetsOf(line, choices)
  jets.run([interval(lo, hi)], 1)
  return jets.isSmooth() && !jets.value().partial
}

function slopesOf(
  scalars: Scalars,
  root: Scalar | undefined,
  variable: string,
): readonly [Scalar, Scalar] | undefined {
  const slope = root === undefined ? undefined : derivativeOf(scalars, root, variable)
  const bend = slope === undefined ? undefined : derivativeOf(scalars, slope, variable)
  return bend === undefined ? undefined : [slope!, bend]
}

/** The derivatives far from the target, where constant ones have a value in any case. */
function valuesOf({ scalars, line }: PiecewiseCurve, { piece, slopes }: Side): readonly Interval[] {
  const tape = tapeOf(scalars, slopes)
  const far = piece.hi > 0 && piece.lo >= 0 ? piece.hi : piece.lo
  const values = enclose(tape, new Map(line.box).set(line.variable, point(far)))
  return tape.roots.map((root) => values[root])
}

function atTarget({ scalars, line }: PiecewiseCurve, slope: Scalar): Scalar {
  const self = scalars.variable(line.variable)
  return scalars.replace(slope, (id) => (id === self ? scalars.constant(0) : undefined))
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

/** If the loss is affine in the targets, only their mean counts, if there is a best prediction at all. */
function byMean(context: Context): Finding | undefined {
  const { subject, curves } = context
  if (curves.curves.length === 0 || curves.curves.some(({ isResidual }) => isResidual)) return undefined
  const target = Object.keys(subject.loss.inputs).find(
    (name) => name !== subject.of && subject.cases[0].box.has(elementName(name, 0)),
  )
  if (target === undefined || !curves.isComplete) return undefined
  const link = linkOf(context)
  if (link === undefined)
    return unknown(
      'the loss is affine in the targets, but not every mean is known to have one best prediction',
    )
  return proved('the loss is affine in the targets, so only their mean counts', {
    of: 'mean, through a link',
    ...(link.name === undefined ? {} : { link: link.name }),
  })
}

/** The mean of the targets for which a prediction is the best. */
const LINKS: Readonly<Record<string, (scalars: Scalars, x: Scalar) => Scalar>> = {
  identity: (_, x) => x,
  log: (scalars, x) => scalars.make('exp', [x]),
  logit: (scalars, x) => scalars.make('sigmoid', [x]),
  inverse: (scalars, x) => scalars.make('div', [scalars.constant(1), x]),
  'square root': (scalars, x) => scalars.make('square', [x]),
}

/**
 * The loss is a(x) + b(x) target, so x is the only best prediction of the mean -a'/b' if this quotient always rises,
 * or always falls, and b' has the opposite sign: then the slope of the expected loss goes from below 0 to above 0.
 *
 * @returns undefined if that is not certain
 */
function linkOf(context: Context): { readonly name: string | undefined } | undefined {
  const parts = affineParts(context)
  if (parts === undefined || context.finding('differentiable').verdict !== 'proved') return undefined
  const signs = parts.map((part) => signOfLink(part, context))
  if (signs[0] === undefined || signs.some((sign) => sign !== signs[0])) return undefined
  const forms = new NormalForms(parts[0].scalars, context.clock)
  const isLink = (name: string, { scalars, variable, a, b }: AffinePart) => {
    const mean = LINKS[name](scalars, scalars.variable(variable))
    return forms.isNought(scalars.make('add', [a[0], scalars.make('mul', [b[0], mean])]))
  }
  return { name: Object.keys(LINKS).find((name) => parts.every((part) => isLink(name, part))) }
}

/** A part of the range of the input, with the derivatives of what does not depend on the target and of its factor. */
interface AffinePart {
  readonly scalars: Scalars
  readonly variable: string
  readonly range: Interval
  readonly a: Slopes
  readonly b: Slopes
  /** Those of the loss at the smaller and at the larger end of the range of the target. */
  readonly ends: readonly [Slopes, Slopes]
}

/** From the curves at both ends of the range of the target. */
function affineParts(context: Context): readonly AffinePart[] | undefined {
  const curves = piecewiseCurves(context)
  const targets = curves?.map(({ at }) => rational(Object.values(at)[0]?.[0] ?? Number.NaN))
  if (curves?.length !== 2 || targets?.some((target) => target === undefined)) return undefined
  const [first, second] = curves
  if (first.scalars !== second.scalars || targets![0] === targets![1]) return undefined
  const parts = first.pieces.pieces.flatMap((one) =>
    second.pieces.pieces.flatMap((other) => {
      const [lo, hi] = [Math.max(one.lo, other.lo), Math.min(one.hi, other.hi)]
      return lo < hi ? [affinePart([first, second], [one, other], interval(lo, hi))] : []
    }),
  )
  return parts.some((part) => part === undefined) ? undefined : (parts as AffinePart[])
}

function affinePart(
  curves: readonly [PiecewiseCurve, PiecewiseCurve],
  pieces: readonly [Piece, Piece],
  range: Interval,
): AffinePart | undefined {
  const [{ scalars, line }] = curves
  const { variable } = line
  const [low, high] = curves.map((curve, i) =>
    isSmoothOver(curve.line, pieces[i], range.lo, range.hi)
      ? slopesOf(scalars, formulaOnSide(curve.line, pieces[i].choices), variable)
      : undefined,
  )
  const [from, to] = curves.map(({ at }) => rational(Object.values(at)[0][0])!)
  const width = reciprocal(plus(to, negated(from)))
  if (low === undefined || high === undefined || width === undefined) return undefined
  const b = [0, 1].map((i) => scalars.combination([high[i], low[i]], [width, negated(width)], ZERO))
  const a = [0, 1].map((i) => scalars.combination([low[i], b[i]], [ONE, negated(from)], ZERO))
  const ends = signOfRational(width) > 0 ? ([low, high] as const) : ([high, low] as const)
  return { scalars, variable, range, a: [a[0], a[1]], b: [b[0], b[1]], ends }
}

/** Whether the mean that belongs to a prediction rises with it (1) or falls (-1), and the prediction is the best. */
function signOfLink({ scalars, variable, range, a, b, ends }: AffinePart, { clock }: Context) {
  const signOf = (root: Scalar) => signOver(scalars, root, variable, range, within(clock, 100))
  const own = signOf(b[0])
  // Both say the same; which of them cancels less depends on the loss.
  const bend = own && (signOf(turnOf(scalars, ends[0], ends[1])) ?? signOf(turnOf(scalars, a, b)))
  return own !== undefined && own === bend ? -own : undefined
}

type Slopes = readonly [Scalar, Scalar]

/** f'' g' - f' g'': with the sign of g', that of the slope of f' / g'. */
function turnOf(scalars: Scalars, f: Slopes, g: Slopes): Scalar {
  const [left, right] = [scalars.make('mul', [f[1], g[0]]), scalars.make('mul', [f[0], g[1]])]
  return scalars.difference(left, right)
}

/** Boxes that are looked at, at most. */
const MAX_BOXES = 5000

/** The sign of a formula that is nowhere 0 in a range; undefined if that is not certain. */
function signOver(
  scalars: Scalars,
  root: Scalar,
  variable: string,
  range: Interval,
  clock: Clock,
): -1 | 1 | undefined {
  const tape = tapeOf(scalars, [root])
  const pending = [range]
  let sign: -1 | 1 | undefined
  for (let count = 0; pending.length > 0; count++) {
    const box = pending.pop()!
    const { lo, hi, partial } = enclose(tape, new Map([[variable, box]]))[tape.roots[0]]
    const own = partial ? undefined : lo > 0 ? 1 : hi < 0 ? -1 : undefined
    if (own !== undefined && (sign ?? own) !== own) return undefined
    sign ??= own
    if (own !== undefined) continue
    const cut = middle(box)
    if (cut <= box.lo || cut >= box.hi || count > MAX_BOXES || clock.isOver()) return undefined
    pending.push(interval(box.lo, cut), interval(cut, box.hi))
  }
  return sign
}

export const ESTIMATES: readonly Property[] = [
  { name: 'estimates', about: 'what of the targets the best constant prediction is', find: estimates },
]
