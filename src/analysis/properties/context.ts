/** What the properties share: the subject, its curves, and the clock. */
import { type Clock, within } from '../clock.ts'
import type { Curve, Curves } from '../curves.ts'
import type { Pieces } from '../pieces.ts'
import type { Shape } from '../shape.ts'
import type { Subject } from '../subject.ts'
import { type Finding, forAll, proved, refuted, supported, unknown } from '../verdict.ts'

/** For all curves together; for those that enclose others, and for others if there are such. */
const MOST_MS = 400
const MOST_ENCLOSING_MS = 120
const MOST_TRIED_MS = 100

export interface Context {
  readonly subject: Subject
  /** None if the input has several elements. */
  readonly curves: Curves
  readonly clock: Clock
  readonly random: () => number
  /** Findings that other properties build on, computed once. */
  readonly finding: (property: string) => Finding
}

/** A question that a loss can be asked. */
export interface Property {
  readonly name: string
  /** One line: what it means if it is proved. */
  readonly about: string
  /** Undefined where the question makes no sense for the loss. */
  readonly find: (context: Context) => Finding | undefined
}

/** A curve that could be cut into pieces. */
export type PiecewiseCurve = Curve & { readonly pieces: Pieces }

const hasPieces = (curve: Curve): curve is PiecewiseCurve => curve.pieces !== undefined

function allCut(curves: readonly Curve[]): readonly PiecewiseCurve[] | undefined {
  const found = curves.filter(hasPieces)
  return found.length > 0 && found.length === curves.length ? found : undefined
}

/** The curves, if there are any and all of them have pieces. */
export function piecewiseCurves({ curves }: Context): readonly PiecewiseCurve[] | undefined {
  return allCut(curves.curves)
}

/**
 * A claim about every curve. Where only some values of other inputs were tried, curves that enclose all of them may
 * prove what those only support.
 *
 * @returns undefined if there are no curves
 */
export function forAllCurves(
  context: Context,
  ask: (curve: PiecewiseCurve, clock: Clock) => Finding,
  merge?: Parameters<typeof forAll>[2],
  isComplete = context.curves.isComplete,
): Finding | undefined {
  const { clock, curves, subject } = context
  const askEach = (all: readonly PiecewiseCurve[], mostMs: number, isEnough: (found: Finding) => boolean) =>
    upTo(all, (curve) => ask(curve, within(clock, mostMs / all.length)), isEnough)
  const enclosing = curves.isComplete || !subject.isComplete ? undefined : allCut(curves.enclosing())
  const whole =
    enclosing &&
    forAll(
      askEach(enclosing, MOST_ENCLOSING_MS, ({ verdict }) => verdict !== 'proved'),
      true,
      merge,
    )
  if (whole?.verdict === 'proved') return whole
  const some = piecewiseCurves(context)
  const mostMs = whole === undefined ? MOST_MS : MOST_TRIED_MS
  return (
    some &&
    forAll(
      askEach(some, mostMs, ({ verdict }) => verdict === 'refuted'),
      isComplete,
      merge,
    )
  )
}

/** Asks one after the other, up to the first answer that decides. */
function upTo<T>(
  all: readonly T[],
  ask: (one: T) => Finding,
  isEnough: (found: Finding) => boolean,
): Finding[] {
  const found: Finding[] = []
  for (const one of all) {
    found.push(ask(one))
    if (isEnough(found.at(-1)!)) break
  }
  return found
}

/** The curve of a loss that depends on the residual alone. */
export function residualCurve(context: Context) {
  const all = piecewiseCurves(context)
  return all?.length === 1 && all[0].isResidual ? all[0] : undefined
}

export const RULES_OF_CURVATURE = 'rules of curvature and sign for every operation'

/** What shape.ts found, as a finding. */
export function findingOfShape(shape: Shape): Finding {
  switch (shape.kind) {
    case 'proved':
      return proved(shape.how)
    case 'nearly':
      return supported(
        `${shape.how}; jumps of at most ${shape.slack.toPrecision(2)} remain, the size of rounding`,
        { rounding: shape.slack },
      )
    case 'refuted':
      return refuted(shape.how, { near: [shape.at.lo, shape.at.hi] })
    case 'unknown':
      return unknown(shape.how)
  }
}

/** A number for people. */
export const rounded = (x: number): number => Number(x.toPrecision(10))
