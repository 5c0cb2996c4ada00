/**
 * Losses of single elements as functions of one variable. What else they depend on is removed without loss: by
 * taking the residual as the variable, if only the difference counts; by the ends of its range, if the loss is affine
 * in it. Only where neither is possible, some values are tried.
 */
import { type Clock, within } from './clock.ts'
import { type Interval, interval, isPoint, point } from './interval.ts'
import { type Pieces, piecesOf, type UnivariateFunction } from './pieces.ts'
import { ONE, ZERO } from './rational.ts'
import type { Scalar, Scalars } from './scalars.ts'
import type { Case, Subject } from './subject.ts'
import { type Tape, type TapeNode, tapeOf } from './tape.ts'

/** A loss as a function of one number. */
export interface Curve {
  readonly scalars: Scalars
  readonly root: Scalar
  readonly line: UnivariateFunction
  /** Whether the variable is the input itself, or the input minus the target. */
  readonly isResidual: boolean
  /** The other inputs. */
  readonly at: Readonly<Record<string, readonly number[]>>
  readonly pieces: Pieces | undefined
}

export interface Curves {
  readonly curves: readonly Curve[]
  /** If some values of other inputs were only tried: curves that enclose all of them. */
  readonly enclosing: () => readonly Curve[]
  /** Whether every value of the other inputs is covered. */
  readonly isComplete: boolean
  /** Whether there are losses in between, which are means of two curves with weights that add up to 1. */
  readonly isMixed: boolean
}

/** For the pieces of one curve. */
const MOST_MS = 200

/** The name of the variable that stands for input minus target. */
export const RESIDUAL = 'residual'
const INPUT = 'input'

/** Values that are tried for an input that can be removed in no other way: shares of its range. */
const TRIED = [0, 0.05, 0.3, 0.5, 0.77, 1]

/**
 * The curves of a subject; none if its input has several elements.
 *
 * @example
 * curvesOf(subjectOf({ loss: huber, ... }), clock).curves[0].isResidual // true
 */
export function curvesOf(subject: Subject, clock: Clock): Curves {
  const found = subject.cases.map((one) => curvesOfCase(one, clock))
  return {
    curves: found.flatMap(({ curves }) => curves),
    enclosing: once(() => found.flatMap(({ enclosing }) => enclosing())),
    isComplete: subject.isComplete && found.every(({ isComplete }) => isComplete),
    isMixed: found.some(({ isMixed }) => isMixed),
  }
}

/** A function of one variable: all others are certain. */
export interface Reduced {
  readonly root: Scalar
  readonly box: ReadonlyMap<string, Interval>
  readonly variable: string
  readonly isResidual: boolean
  /** Does with another function of the same variables what was done with this one. */
  readonly reduce: (root: Scalar) => Scalar
}

export interface Reduction {
  readonly ready: readonly Reduced[]
  readonly isComplete: boolean
  readonly isMixed: boolean
}

/** Removes all variables but one. */
export function reductionOf(
  scalars: Scalars,
  root: Scalar,
  box: ReadonlyMap<string, Interval>,
  variable: string,
): Reduction {
  const given = { root, box, variable, isResidual: false, reduce: (other: Scalar) => other }
  return settled(scalars, residualOf(scalars, given))
}

function curvesOfCase(one: Case, clock: Clock): Curves {
  if (one.by.length !== 1) return { curves: [], enclosing: () => [], isComplete: false, isMixed: false }
  const { scalars, root, box } = one
  const [variable] = one.by
  const { ready, isComplete, isMixed } = reductionOf(scalars, root, box, variable)
  const curves = ready.map((reduced) => curveOf(one, reduced, within(clock, MOST_MS)))
  const enclosing = () => (isComplete ? [] : enclosingCurves(one, clock))
  return { curves, enclosing, isComplete, isMixed }
}

/** None if one of them has no pieces: then the places of kinks depend on the other inputs. */
function enclosingCurves(one: Case, clock: Clock): readonly Curve[] {
  const { scalars, root, box, by } = one
  const parts = partsOf(scalars, root, box, by[0])
  const curves: Curve[] = []
  for (const part of parts) {
    const reduced = { root, box: part, variable: by[0], isResidual: false }
    const curve = curveOf(one, reduced, within(clock, MOST_MS / parts.length))
    if (curve.pieces === undefined) return []
    curves.push(curve)
  }
  return curves
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

function curveOf(
  one: Case,
  reduced: Pick<Reduced, 'root' | 'box' | 'variable' | 'isResidual'>,
  clock: Clock,
): Curve {
  const { scalars } = one
  const line = lineOf(scalars, reduced)
  const others = [...reduced.box].filter(([name]) => name !== one.by[0] && name !== reduced.variable)
  const at = {
    ...one.labels,
    ...Object.fromEntries(others.map(([name, own]) => [name.replace(/\.0$/, ''), [own.lo]])),
  }
  return {
    scalars,
    root: reduced.root,
    line,
    isResidual: reduced.isResidual,
    at: reduced.isResidual ? one.labels : at,
    pieces: piecesOf(line, clock),
  }
}

/** The ranges of all other variables in a few parts. */
function partsOf(
  scalars: Scalars,
  root: Scalar,
  box: ReadonlyMap<string, Interval>,
  variable: string,
): ReadonlyMap<string, Interval>[] {
  const names = scalars.variablesOf(root).filter((name) => name !== variable && !isPoint(box.get(name)!))
  const count = names.length === 1 ? 6 : 3
  if (names.length > 2) return []
  return names.reduce<ReadonlyMap<string, Interval>[]>(
    (parts, name) => {
      const { lo, hi } = box.get(name)!
      const cuts = Array.from({ length: count + 1 }, (_, i) =>
        i === count ? hi : lo + ((hi - lo) * i) / count,
      )
      return cuts
        .slice(1)
        .flatMap((to, i) => parts.map((part) => new Map(part).set(name, interval(cuts[i], to))))
    },
    [box],
  )
}

export function lineOf(
  scalars: Scalars,
  { root, box, variable }: Pick<Reduced, 'root' | 'box' | 'variable'>,
): UnivariateFunction {
  const tape = tapeOf(scalars, [root])
  const { lo, hi } = box.get(variable)!
  return { tape, variable, lo, hi, box, graph: { scalars, root } }
}

/** In terms of the residual, if the loss depends on nothing else. */
function residualOf(scalars: Scalars, given: Reduced): Reduced {
  const { root, box, variable } = given
  const others = scalars.variablesOf(root).filter((name) => name !== variable)
  for (const other of others) {
    const [self, residual] = [scalars.variable(variable), scalars.variable(RESIDUAL)]
    const moved = scalars.combination([residual, scalars.variable(other)], [ONE, ONE], ZERO)
    const reduce = (one: Scalar) => scalars.replace(one, (id) => (id === self ? moved : undefined))
    const found = reduce(root)
    if (scalars.variablesOf(found).includes(other)) continue
    const [own, target] = [box.get(variable)!, box.get(other)!]
    const bounds = interval(own.lo - target.hi, own.hi - target.lo)
    const wider = new Map(box).set(RESIDUAL, bounds)
    return { root: found, box: wider, variable: RESIDUAL, isResidual: true, reduce }
  }
  return given
}

/** Removes all other variables. */
function settled(scalars: Scalars, given: Reduced): Reduction {
  const { root, box, variable } = given
  const other = scalars.variablesOf(root).find((name) => name !== variable && !isPoint(box.get(name)!))
  if (other === undefined) return { ready: [given], isComplete: true, isMixed: false }
  const range = box.get(other)!
  const isEnough = isAffineIn(tapeOf(scalars, [root]), other)
  const values = isEnough
    ? [range.lo, range.hi]
    : TRIED.map((share) => range.lo + share * (range.hi - range.lo))
  const self = scalars.variable(other)
  const parts = values.map((value) => {
    const fix = (one: Scalar) =>
      scalars.replace(one, (id) => (id === self ? scalars.constant(value) : undefined))
    const reduce = (one: Scalar) => fix(given.reduce(one))
    return settled(scalars, {
      ...given,
      root: fix(root),
      box: new Map(box).set(other, point(value)),
      reduce,
    })
  })
  return {
    ready: parts.flatMap(({ ready }) => ready),
    isComplete: isEnough && parts.every(({ isComplete }) => isComplete),
    isMixed: isEnough,
  }
}

/** Whether the root is affine in a variable, whatever the others are. */
export function isAffineIn(tape: Tape, name: string): boolean {
  const degrees: number[] = []
  tape.nodes.forEach((node) => {
    degrees.push(
      degreeOf(
        node,
        node.args.map((arg) => degrees[arg]),
        name,
      ),
    )
  })
  return degrees[tape.roots[0]] <= 1
}

/** 0: does not depend on the variable; 1: affine in it; more: anything else. */
function degreeOf({ op, name: own }: TapeNode, args: readonly number[], name: string): number {
  const largest = Math.max(0, ...args)
  if (op === 'variable') return own === name ? 1 : 0
  if (largest === 0 || op === 'linear' || op === 'add' || op === 'sub' || op === 'neg') return largest
  if (op === 'mul' || op === 'mul_no_nan') return args[0] + args[1]
  if (op === 'div') return args[1] === 0 ? args[0] : OTHERWISE
  return op === 'select' && args[0] === 0 ? largest : OTHERWISE
}

const OTHERWISE = 99

/** What the variable of a curve is called for people. */
export function nameOf({ isResidual }: Curve, subject: Subject): string {
  return isResidual ? RESIDUAL : subject.of || INPUT
}
