/** Properties of losses of two or more classes. */
import { within } from '../clock.ts'
import { type Curve, lineOf } from '../curves.ts'
import { derivativeOf } from '../derivative.ts'
import { sigmoid } from '../elementary.ts'
import { areEqualOnLine, GENERIC_FACTOR, jumpsNowhere } from '../equivalence.ts'
import { add, type Interval, interval, isZero, magnitude, mul, point, sub, UNDEFINED } from '../interval.ts'
import { NormalForms } from '../normal-form.ts'
import { type Pieces, piecesOf } from '../pieces.ts'
import { pruneBranches } from '../prune-branches.ts'
import { negated, ONE, rational, ZERO } from '../rational.ts'
import { type Scalar, Scalars } from '../scalars.ts'
import { boundsOver, isMonotone, rangeOf } from '../shape.ts'
import { elementName, projectToFeasible, type Subject } from '../subject.ts'
import { enclose, tapeOf } from '../tape.ts'
import { type Finding, forAll, proved, refuted, supported, unknown } from '../verdict.ts'
import { type Context, type Property, piecewiseCurves, rounded } from './context.ts'

interface Sides {
  /** The loss if the label is positive, as a function of the prediction. */
  readonly yes: Curve & { readonly pieces: Pieces }
  readonly no: Curve & { readonly pieces: Pieces }
}

/** The two curves of a binary loss. */
function sidesOf(context: Context): Sides | undefined {
  const all = piecewiseCurves(context)
  if (all?.length !== 2 || all.some(({ isResidual }) => isResidual) || !context.curves.isComplete)
    return certainSides(context)
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

const knownSides = new WeakMap<Subject, Sides | undefined>()

/** If the label is a probability, the two certain ones. */
function certainSides(context: Context): Sides | undefined {
  const { subject } = context
  if (!knownSides.has(subject)) knownSides.set(subject, sidesOfProbability(context))
  return knownSides.get(subject)
}

function sidesOfProbability({ subject, clock }: Context): Sides | undefined {
  const [{ scalars, root, by, box, labels }, ...others] = subject.cases
  const names = scalars.variablesOf(root).filter((name) => !by.includes(name))
  if (by.length !== 1 || names.length !== 1 || others.length > 0 || Object.keys(labels).length > 0)
    return undefined
  const [name] = names
  const label = name.slice(0, name.lastIndexOf('.'))
  const kind = (input: string) => subject.loss.inputs[input].kindFor(subject.params)
  if (kind(label) !== 'probability' || !['real', 'probability'].includes(kind(subject.of))) return undefined
  const sides = [1, 0].map((value) => {
    const self = scalars.variable(name)
    const fixed = scalars.replace(root, (id) => (id === self ? scalars.constant(value) : undefined))
    const line = lineOf(scalars, { root: fixed, box: new Map(box).set(name, point(value)), variable: by[0] })
    const pieces = piecesOf(line, within(clock, 100))
    return { scalars, root: fixed, line, isResidual: false, at: { [label]: [value] }, pieces }
  })
  const [yes, no] = sides
  return yes.pieces === undefined || no.pieces === undefined
    ? undefined
    : { yes: { ...yes, pieces: yes.pieces }, no: { ...no, pieces: no.pieces } }
}

function at({ pieces }: { readonly pieces: Pieces }, order: 0 | 1, place: number): Interval {
  const found = pieces.pieces.filter(({ lo, hi }) => lo <= place && place <= hi)
  const bounds = found.map((piece) => boundsOver(pieces, piece, order, place, place))
  if (bounds.length === 0) return UNDEFINED
  return bounds.reduce((a, b) => interval(Math.min(a.lo, b.lo), Math.max(a.hi, b.hi), a.partial || b.partial))
}

const isProbability = ({ subject }: Context) =>
  subject.loss.inputs[subject.of].kindFor(subject.params) === 'probability'

/** Both curves in one graph. */
interface Pair {
  readonly scalars: Scalars
  readonly yes: Scalar
  readonly no: Scalar
  readonly box: ReadonlyMap<string, Interval>
  readonly variable: string
}

function pairOf({ yes, no }: Sides): Pair {
  const scalars = new Scalars()
  const { variable, lo, hi } = yes.line
  return {
    scalars,
    yes: scalars.copy(yes.scalars, yes.root),
    no: scalars.copy(no.scalars, no.root),
    box: new Map([[variable, interval(Math.max(lo, no.line.lo), Math.min(hi, no.line.hi))]]),
    variable,
  }
}

/**
 * A convex loss of the margin is calibrated if and only if it is differentiable at 0 with a negative slope (Bartlett,
 * Jordan, McAuliffe, JASA 2006, theorem 2). For one that never rises, this is enough: the right sign then costs less
 * than the wrong one of the same size, and next to 0 there is something better than 0.
 */
function calibrated(context: Context): Finding | undefined {
  const sides = sidesOf(context)
  if (sides === undefined || isProbability(context)) return undefined
  const mirrored = isMarginLoss(sides, context)
  if (mirrored === false) return unknown('the two classes are not mirror images')
  const convexity = context.finding('convex')
  const joint = sides.yes.pieces.joints.find(({ lo, hi }) => lo <= 0 && hi >= 0)
  const slope = at(sides.yes, 1, 0)
  const isFalling = slope.hi < 0 && (joint === undefined || joint.slope.isSame === true)
  const say = mirrored === true ? proved : supported
  if (convexity.verdict === 'proved') {
    if (mirrored === true && joint !== undefined && joint.slope.isSame === false)
      return refuted('convex, but with a kink at margin 0', {
        slopes: [rounded(joint.slope.left.lo), rounded(joint.slope.right.lo)],
      })
    if (isFalling)
      return say('convex, and differentiable at margin 0 with a negative slope', {
        slope: rounded(slope.hi),
      })
    if (mirrored === true && slope.lo >= 0)
      return refuted('convex, and not falling at margin 0', { slope: rounded(slope.lo) })
  }
  if (isFalling && isMonotone(sides.yes.pieces, context.clock, -1))
    return say('never rising with the margin, and differentiable at margin 0 with a negative slope', {
      slope: rounded(slope.hi),
    })
  return byRisk(sides, context)
}

/** The least expected loss for predictions of each sign, for some shares of positives. */
function byRisk(sides: Sides, { subject, clock }: Context): Finding {
  const { scalars, yes, no, box, variable } = pairOf(sides)
  const { lo, hi } = box.get(variable)!
  const own = within(clock, 200)
  for (const share of [0.6, 0.75, 0.9]) {
    const [more, less] = [share, 1 - share].map((weight) => rational(weight)!)
    const root = scalars.combination([yes, no], [more, less], ZERO)
    const side = (bounds: Interval) => {
      const line = lineOf(scalars, { root, box: new Map(box).set(variable, bounds), variable })
      const pieces = piecesOf(line, own)
      return pieces === undefined ? undefined : rangeOf(pieces, 0, own, 200)
    }
    const [wrong, right] = [side(interval(lo, 0)), side(interval(0, hi))]
    if (wrong === undefined || right === undefined || !Number.isFinite(right.bounds.lo))
      return unknown('the expected loss could not be enclosed')
    const margin = 1e-9 * Math.max(1, Math.abs(right.bounds.lo))
    if (wrong.least.value < right.bounds.lo - margin)
      return refuted(
        `with more positives than negatives, a negative ${subject.of} has the least expected loss`,
        {
          share,
          at: wrong.least.at,
          risk: rounded(wrong.least.value),
          riskOfRightSign: rounded(right.bounds.lo),
        },
      )
    if (right.least.value >= wrong.bounds.lo) return unknown('both signs may have the same expected loss')
  }
  return supported('the right sign has the least expected loss for 3 shares of positives', { shares: 3 })
}

/** Whether both classes are mirror images: by formula; undefined if only some points say so. */
function isMarginLoss(sides: Sides, { clock }: Context): boolean | undefined {
  const { yes, no } = sides
  const end = Math.min(-yes.line.lo, yes.line.hi)
  const isLikely = [1, 0.7, 0.31, 0.05].every((share) => {
    const [left, right] = [at(yes, 0, share * end), at(no, 0, -share * end)]
    return left.lo <= right.hi + 1e-9 && right.lo <= left.hi + 1e-9
  })
  if (!isLikely) return false
  if (yes.line.lo !== -yes.line.hi) return undefined
  const { scalars, yes: own, no: other, variable } = pairOf(sides)
  const self = scalars.variable(variable)
  const opposite = scalars.combination([self], [negated(ONE)], ZERO)
  const mirrored = scalars.replace(other, (id) => (id === self ? opposite : undefined))
  const box = new Map([[variable, interval(-end, end)]])
  return areEqualOnLine(scalars, own, mirrored, { variable, box }, within(clock, 100)) || undefined
}

/** The derivative of the expected loss must be 0 where the prediction is the share of positives. */
function proper(context: Context): Finding | undefined {
  const sides = sidesOf(context)
  if (sides === undefined) return properOfClasses(context)
  const isDirect = isProbability(context)
  const link = isDirect ? 'none' : 'sigmoid'
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
  if (isStationaryByFormula(sides, isDirect, context) && isMonotone(sides.no.pieces, context.clock, 1))
    return proved(
      'the slope of the expected loss at the true probability is 0 by formula, and the loss of a negative never falls',
      { link },
    )
  return supported(
    `the expected loss is stationary at the true probability, for ${places.length} probabilities`,
    { link, worst: Number(worst.toPrecision(2)) },
  )
}

/**
 * With s for the probability, s l1' + (1 - s) l0' = 0 on every piece. The slope of the expected loss for a share h of
 * positives is then l0' (s - h) / s, whose sign is that of s - h where the loss of a negative rises (Shuford 1966).
 */
function isStationaryByFormula(sides: Sides, isDirect: boolean, { clock }: Context): boolean {
  const { scalars, yes, no, box, variable } = pairOf(sides)
  const own = within(clock, 150)
  const self = scalars.variable(variable)
  const share = isDirect ? self : scalars.make('sigmoid', [self])
  const rest = scalars.combination([share], [negated(ONE)], ONE)
  const root = scalars.combination([yes, no], [ONE, GENERIC_FACTOR], ZERO)
  const cut = [root, yes, no].map((one) => piecesOf(lineOf(scalars, { root: one, box, variable }), own))
  const [pieces] = cut
  if (pieces === undefined || !cut.slice(1).every((one) => one !== undefined && jumpsNowhere(one)))
    return false
  const ids = scalars.reachable(root)
  return pieces.pieces.every(({ choices }) => {
    const onSide = new Map([...choices].map(([place, choice]) => [ids[place], choice]))
    const slopes = [yes, no].map((one) =>
      derivativeOf(
        scalars,
        scalars.onSide(one, (id) => onSide.get(id)),
        variable,
      ),
    )
    if (slopes.some((slope) => slope === undefined)) return false
    const terms = [share, rest].map((weight, i) => scalars.make('mul', [weight, slopes[i]!]))
    return new NormalForms(scalars, own).isNought(scalars.sum(terms))
  })
}

/** The cases of all classes in one graph; undefined if there are others. */
function classesOf({
  subject,
}: Context): { readonly scalars: Scalars; readonly roots: readonly Scalar[] } | undefined {
  const labels = Object.keys(subject.cases[0].labels)
  const isOverClasses =
    labels.length === 1 &&
    subject.cases.length > 1 &&
    subject.isComplete &&
    subject.cases.every((one) => one.labels[labels[0]].length === 1) &&
    subject.loss.inputs[labels[0]].kind.startsWith('class')
  if (!isOverClasses || subject.loss.couples === 'batch' || subject.loss.couples === 'group') return undefined
  const scalars = new Scalars()
  const roots = subject.cases.map((one) =>
    pruneBranches(scalars, scalars.copy(one.scalars, one.root), one.box),
  )
  return { scalars, roots }
}

/** Of several classes, with the softmax of the scores as probabilities. */
function properOfClasses(context: Context): Finding | undefined {
  const { subject, clock } = context
  const all = classesOf(context)
  const [{ by, box }] = subject.cases
  if (all === undefined || subject.cases.length !== by.length) return undefined
  if (subject.loss.inputs[subject.of].kindFor(subject.params) !== 'real') return undefined
  const { scalars, roots } = all
  const total = scalars.logsumexp(by.map((name) => scalars.variable(name)))
  const shares = by.map((name) => scalars.make('exp', [scalars.difference(scalars.variable(name), total)]))
  const slopes = by.map((name) => {
    const terms = roots.map((root, label) => {
      const slope = derivativeOf(scalars, root, name)
      return slope === undefined ? undefined : scalars.make('mul', [shares[label], slope])
    })
    return terms.every((term) => term !== undefined) ? scalars.sum(terms.map((term) => term!)) : undefined
  })
  if (slopes.some((slope) => slope === undefined))
    return unknown('the loss has a kink, or a slope without a formula')
  const place = new Map(
    [...box].map(([name, { lo, hi }], i) => [
      name,
      point(lo / 2 + hi / 2 + ((i % 3) - 0.8) * Math.min(1, hi - lo)),
    ]),
  )
  for (const slope of slopes) {
    const tape = tapeOf(scalars, [slope!])
    const found = enclose(tape, place)[tape.roots[0]]
    if (!found.partial && (found.lo > 1e-9 || found.hi < -1e-9))
      return refuted('the expected loss is not least at the true probabilities', {
        at: Object.fromEntries([...place].map(([name, { lo }]) => [name, rounded(lo)])),
        slope: rounded(found.lo),
      })
  }
  const forms = new NormalForms(scalars, clock)
  const isStationary = slopes.every((slope) => !clock.isOver() && forms.isNought(slope!))
  if (isStationary && context.finding('convex').verdict === 'proved')
    return proved(
      'the slopes of the expected loss at the true probabilities are 0 by formula, and it is convex',
      {
        link: 'softmax',
      },
    )
  return supported('the expected loss is stationary at the true probabilities at one point', {
    link: 'softmax',
  })
}

/** If the losses of all labels add up to a constant, label noise only scales and moves the risk (Ghosh et al., AAAI 2017). */
function noiseTolerant(context: Context): Finding | undefined {
  const sides = sidesOf(context)
  if (sides !== undefined) return constantSum(sides, context)
  const all = classesOf(context)
  if (all === undefined) return undefined
  const { subject } = context
  const [first] = subject.cases
  const sum = all.scalars.sum(all.roots)
  if (new NormalForms(all.scalars, context.clock).isConstant(withoutLastShares(all.scalars, sum, context)))
    return proved(BY_FORMULA)
  const tape = tapeOf(all.scalars, [sum])
  const sums = [0.1, 0.4, 0.9].map((share) => {
    const drawn = [...first.box].map(
      ([name, { lo, hi }], i) => [name, lo + ((share * (1 + i)) % 1) * (hi - lo)] as const,
    )
    const at = new Map([...projectToFeasible(first, new Map(drawn))].map(([name, x]) => [name, point(x)]))
    return enclose(tape, at)[tape.roots[0]]
  })
  return ofSums(sums)
}

const BY_FORMULA = 'the losses of all labels add up to a constant by formula'

/** Shares of a whole add up to 1, so the last one is what the others leave. */
function withoutLastShares(scalars: Scalars, root: Scalar, { subject }: Context): Scalar {
  const last = new Map(
    subject.cases[0].shares.flatMap((input) => {
      const count = subject.elements[input]
      const others = Array.from({ length: count - 1 }, (_, place) =>
        scalars.variable(elementName(input, place)),
      )
      const isOneRow = count === subject.sizes.classes
      const rest = scalars.combination(
        others,
        others.map(() => negated(ONE)),
        ONE,
      )
      return isOneRow ? [[scalars.variable(elementName(input, count - 1)), rest] as const] : []
    }),
  )
  return scalars.replace(root, (id) => last.get(id))
}

function constantSum(sides: Sides, { clock }: Context): Finding {
  const curves = [sides.yes, sides.no]
  const { lo, hi } = sides.yes.line
  const sums = [0.03, 0.2, 0.45, 0.6, 0.9].map((share) =>
    curves.map((curve) => at(curve, 0, lo + share * (hi - lo))).reduce(add),
  )
  const found = ofSums(sums)
  if (found.verdict === 'refuted') return found
  const { scalars, yes, no, box, variable } = pairOf(sides)
  // The loss of the one label is what the other one leaves of their sum at some place.
  const [place, self] = [scalars.exact(rational(lo / 2 + hi / 2)!), scalars.variable(variable)]
  const whole = scalars.replace(scalars.sum([yes, no]), (id) => (id === self ? place : undefined))
  const rest = scalars.difference(whole, no)
  if (areEqualOnLine(scalars, yes, rest, { variable, box }, within(clock, 150))) return proved(BY_FORMULA)
  const slopes = curves.map((curve) => rangeOf(curve.pieces, 1, within(clock, 40), 40).bounds)
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
  const all = piecewiseCurves(context)
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
  const found =
    findings.find(({ verdict }) => verdict === 'proved') ?? forAll(findings, context.curves.isComplete)
  if (!context.curves.isMixed || found.verdict !== 'refuted') return found
  // The mean of two losses may be flat where none of them is, but no convex function is flat above its least value.
  return context.finding('convex').verdict === 'proved'
    ? found
    : unknown('labels in between were not examined', found.evidence)
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
