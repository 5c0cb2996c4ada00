/** Asks a loss all questions that make sense for it, within a budget of time. */
import { clockOf, portionOf } from './clock.ts'
import { type Curve, curvesOf } from './curves.ts'
import { CLASSIFICATION } from './properties/classification.ts'
import type { Context, Property } from './properties/context.ts'
import { EQUIVALENCE } from './properties/equivalence.ts'
import { ESTIMATES } from './properties/estimates.ts'
import { LOCATION } from './properties/location.ts'
import { NUMERICS } from './properties/numerics.ts'
import { SHAPE } from './properties/shape.ts'
import { SMOOTHNESS } from './properties/smoothness.ts'
import { type AnalysisRequest, type Subject, subjectOf } from './subject.ts'
import { type Finding, unknown, type Verdict } from './verdict.ts'

/** All questions, in the order of the answers. */
export const PROPERTIES: readonly Property[] = [
  ...NUMERICS,
  ...SMOOTHNESS,
  ...SHAPE,
  ...LOCATION,
  ...ESTIMATES,
  ...CLASSIFICATION,
  ...EQUIVALENCE,
]

export interface Analysis {
  readonly loss: string
  readonly of: string
  readonly params: AnalysisRequest['params']
  /** Axis -> its length, where there is more than one element. */
  readonly sizes: Readonly<Record<string, number>>
  /** Whether the gradient that is served may differ from the derivative of the value. */
  readonly hasSurrogate: boolean
  readonly properties: Readonly<Record<string, Verdict>>
  readonly elapsedMs: number
}

/** mulberry32: the same counterexamples every time. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A verdict that has just been found, and how many there are so far. */
export interface Progress {
  readonly property: string
  readonly verdict: Verdict['verdict']
  readonly done: number
  readonly total: number
}

/**
 * The verdicts on a loss.
 *
 * @param budgetMs what is not decided by then is unknown
 * @param only properties that are asked for; default: all
 * @param tell is called with each verdict
 * @throws FormulaError, TooManyScalars, RangeError
 * @example
 * analyze({ loss: huber, params: { delta: 1 }, of: 'predictions', domain: {}, sizes: {} }, 1000).properties.convex.verdict // 'proved'
 */
export function analyze(
  question: AnalysisRequest,
  budgetMs: number,
  only?: readonly string[],
  tell?: (progress: Progress) => void,
): Analysis {
  return analyzeWithCurves(question, budgetMs, only, tell).analysis
}

/** The same with the curves that the verdicts rest on, for plots of them. */
export function analyzeWithCurves(
  question: AnalysisRequest,
  budgetMs: number,
  only?: readonly string[],
  tell?: (progress: Progress) => void,
): { readonly analysis: Analysis; readonly curves: readonly Curve[] } {
  const clock = clockOf(budgetMs * 0.75)
  const subject = subjectOf(question)
  const findings = new Map<string, Finding | undefined>()
  const finding = (name: string): Finding => {
    if (!findings.has(name))
      findings.set(name, found(PROPERTIES.find((property) => property.name === name)!, context))
    return findings.get(name) ?? unknown('the question makes no sense for this loss')
  }
  const context: Context = {
    subject,
    curves: curvesOf(subject, clock),
    clock,
    random: randomFrom(1),
    finding,
  }
  const asked = PROPERTIES.filter(({ name }) => only?.includes(name) ?? true)
  for (const [place, { name }] of asked.entries()) {
    const { verdict } = finding(name)
    if (findings.get(name) !== undefined)
      tell?.({ property: name, verdict, done: place + 1, total: asked.length })
  }
  const domain = domainOf(subject)
  const answers = asked.flatMap(({ name }) => {
    const own = findings.get(name)
    return own === undefined ? [] : [[name, { ...own, domain }] as const]
  })
  const { loss, of, params, sizes, hasSurrogate } = subject
  const analysis = {
    loss: loss.name,
    of,
    params,
    sizes,
    hasSurrogate,
    properties: Object.fromEntries(answers),
    elapsedMs: Math.round(clock.elapsed()),
  }
  return { analysis, curves: context.curves.curves }
}

function found(property: Property, context: Context): Finding | undefined {
  if (context.clock.isOver()) return unknown('the time was over')
  return property.find({ ...context, clock: portionOf(context.clock, 1 / 4) })
}

/** Input -> the numbers that were covered. */
function domainOf({ cases }: Subject): Record<string, readonly [number, number]> {
  const [{ box }] = cases
  return Object.fromEntries(
    [...box].flatMap(([name, { lo, hi }]) =>
      name.endsWith('.0') ? [[name.slice(0, -2), [lo, hi] as const]] : [],
    ),
  )
}
