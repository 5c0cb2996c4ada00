/** Asks a loss all questions that make sense for it, within a budget of time. */
import { clockOf, within } from './clock.ts'
import { type Curve, curvesOf } from './lines.ts'
import { CLASSIFICATION } from './properties/classification.ts'
import type { Context, Property } from './properties/context.ts'
import { LOCATION } from './properties/location.ts'
import { NUMERICS } from './properties/numerics.ts'
import { SHAPE } from './properties/shape.ts'
import { SMOOTHNESS } from './properties/smoothness.ts'
import { type Question, type Subject, subjectOf } from './subject.ts'
import { type Finding, unknown, type Verdict } from './verdict.ts'

/** All questions, in the order of the answers. */
export const PROPERTIES: readonly Property[] = [
  ...NUMERICS,
  ...SMOOTHNESS,
  ...SHAPE,
  ...LOCATION,
  ...CLASSIFICATION,
]

export interface Analysis {
  readonly loss: string
  readonly of: string
  readonly params: Question['params']
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

/**
 * The verdicts on a loss.
 *
 * @param budgetMs what is not decided by then is unknown
 * @param only properties that are asked for; default: all
 * @throws FormulaError, TooManyScalars, RangeError
 * @example
 * analyze({ loss: huber, params: { delta: 1 }, of: 'predictions', domain: {}, sizes: {} }, 1000).properties.convex.verdict // 'proved'
 */
export function analyze(question: Question, budgetMs: number, only?: readonly string[]): Analysis {
  return analyzeWithCurves(question, budgetMs, only).analysis
}

/** The same with the curves that the verdicts rest on, for plots of them. */
export function analyzeWithCurves(
  question: Question,
  budgetMs: number,
  only?: readonly string[],
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
  for (const { name } of PROPERTIES) if (only?.includes(name) ?? true) finding(name)
  const domain = domainOf(subject)
  const asked = PROPERTIES.flatMap(({ name }) => {
    const own = (only?.includes(name) ?? true) ? findings.get(name) : undefined
    return own === undefined ? [] : [[name, { ...own, domain }] as const]
  })
  const { loss, of, params, sizes, hasSurrogate } = subject
  const analysis = {
    loss: loss.name,
    of,
    params,
    sizes,
    hasSurrogate,
    properties: Object.fromEntries(asked),
    elapsedMs: Math.round(clock.elapsed()),
  }
  return { analysis, curves: context.curves.curves }
}

function found(property: Property, context: Context): Finding | undefined {
  if (context.clock.isOver()) return unknown('the time was over')
  return property.find({ ...context, clock: within(context.clock, context.clock.budgetMs / 4) })
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
