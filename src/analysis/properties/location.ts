/** Properties of losses that compare a prediction with a target: what the residual does. */
import { within } from '../clock.ts'
import { type Curve, lineOf } from '../curves.ts'
import { type Growth, growthOf, printed, slopeOf } from '../growth.ts'
import { type Interval, interval, isZero, magnitude, point } from '../interval.ts'
import type { Piece, Pieces } from '../pieces.ts'
import { negated, ONE, ZERO } from '../rational.ts'
import { isNeverNegative, rangeOf } from '../shape.ts'
import { elementName, projectToFeasible, type Subject } from '../subject.ts'
import { enclose, evaluate, tapeOf } from '../tape.ts'
import { type Finding, forAll, proved, refuted, supported, unknown } from '../verdict.ts'
import { type Context, type Property, residualCurve, rounded } from './context.ts'

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
export function ends(context: Context) {
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
  if (lipschitz.verdict === 'proved') return proved(`${GROWTH}; ${lipschitz.method}`, evidence)
  // A jump, or a slope without a bound somewhere in between, says nothing about far targets.
  return lipschitz.verdict === 'refuted'
    ? unknown(`the slope has a bound in the end, but not everywhere: ${lipschitz.method}`, evidence)
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
  if (found.sides !== undefined && [found.sides.left, found.sides.right].some(falls))
    return unknown('the loss falls for ever, so that there is no estimate')
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
  const [a, b] = [left.at, right.at]
  return proved('bounded and monotone influence: the smaller limit of the slope over their sum', {
    breakdown: rounded(Math.min(a, b) / (a + b)),
  })
}

/** Whether it goes to minus infinity. */
const falls = ({ factor, rate, power, logs }: Growth) => factor < 0 && (rate || power || logs) > 0

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
]
