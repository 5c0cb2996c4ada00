/** Attacks every `proved` of an analysis with points, and checks every `refuted` again. */
import { type Analysis, analyze } from '../../src/analysis/analyze.ts'
import { type Interval, point } from '../../src/analysis/interval.ts'
import { Scalars } from '../../src/analysis/scalars.ts'
import { compile, elementName, subjectOf } from '../../src/analysis/subject.ts'
import { enclose, evaluate, tapeOf } from '../../src/analysis/tape.ts'
import { interpret } from '../../src/language/interpret.ts'
import { lower } from '../../src/language/lower.ts'
import { customLoss, defaultSignature } from '../../src/losses/custom.ts'
import type { Loss, Params } from '../../src/losses/define.ts'
import { scopeOf } from '../../src/losses/program.ts'
import { defaultsOf } from './sample.ts'

type Random = () => number
type Value = (x: number, y: number) => Interval

export interface Attack {
  readonly analysis: Analysis
  /** Proofs that a point contradicts, whatever rounding does. */
  readonly broken: readonly string[]
}

/** A loss of x and y, element by element. */
export function elementLoss(formula: string): Loss {
  const input = { axes: '...', kind: 'real', differentiable: true } as const
  const inputs = { x: input, ...(/\by\b/.test(formula) ? { y: input } : {}) }
  return customLoss({ inputs, formula: /\bx\b/.test(formula) ? formula : `0 * x + ${formula}` }, 'attacked')
}

/** The value as it is computed for a request. */
function servedValue(loss: Loss): (x: number, y: number) => number {
  const program = lower(loss.formula, scopeOf(loss, defaultSignature(loss)), [])
  return (x, y) => {
    const inputs = { x: Float64Array.of(x), y: Float64Array.of(y) }
    return interpret(program, { sizes: { '...': 1 }, inputs, scalars: {} }).values[0]!
  }
}

/** Analyses a loss of one element on a random domain, and attacks what is proved. */
export function attackProofs(
  loss: Loss,
  random: Random,
  points = 300,
  budgetMs = 400,
  catalog: readonly Loss[] = [],
): Attack {
  const edge = [1, 2, 5][Math.floor(random() * 3)]!
  const domain = Object.fromEntries(Object.keys(loss.inputs).map((name) => [name, [-edge, edge] as const]))
  const question = { loss, params: {}, of: 'x', domain, sizes: {}, catalog }
  const analysis = analyze(question, budgetMs)
  const [{ scalars, root }] = subjectOf(question).cases
  const tape = tapeOf(scalars, [root])
  const value: Value = (x, y) =>
    enclose(
      tape,
      new Map([
        [elementName('x', 0), point(x)],
        [elementName('y', 0), point(y)],
      ]),
    )[tape.roots[0]!]!
  const served = servedValue(loss)
  const isOpaque = tape.nodes.some(({ op }) => op === 'opaque')
  /** What is opaque to the other proofs has a value when it is served, which this one is about. */
  const isFiniteAt = (x: number, y: number) => {
    const { lo, hi, partial } = value(x, y)
    return Number.isFinite(served(x, y)) && (isOpaque || (!partial && Number.isFinite(hi - lo)))
  }
  const broken: string[] = []
  const isProved = (name: string) => analysis.properties[name]?.verdict === 'proved'
  const number = (name: string, key: string) => Number(analysis.properties[name]!.evidence[key])
  const draw = () => {
    const kind = random()
    if (kind < 0.25) return Math.max(-edge, Math.min(edge, Math.round((2 * random() - 1) * edge * 2) / 2))
    return (2 * random() - 1) * edge
  }
  broken.push(...wrongEquivalence(analysis, catalog, served, draw))
  for (let i = 0; i < points; i++) {
    const y = 'y' in loss.inputs ? draw() : 0
    const near = random() < 0.4 ? 10 ** (-6 * random()) : edge
    const a = draw()
    const c = Math.max(-edge, Math.min(edge, random() < 0.6 ? a + near * random() : draw()))
    const [left, right] = [Math.min(a, c), Math.max(a, c)]
    const b = left / 2 + right / 2
    const [fa, fb, fc] = [value(left, y), value(b, y), value(right, y)]
    const tell = (name: string) =>
      broken.push(
        `${name}: x = ${left}, ${b}, ${right}, y = ${y}: ${fa.lo}, ${fb.lo}, ${fc.lo}; ${analysis.properties[name]!.method} ${JSON.stringify(analysis.properties[name]!.evidence)}`,
      )
    if (isProved('finite') && ![left, b, right].every((x) => isFiniteAt(x, y))) tell('finite')
    if ([fa, fb, fc].some(({ partial }) => partial)) {
      for (const name of ['convex', 'continuous', 'differentiable', 'lipschitz', 'smooth', 'bounded_below'])
        if (isProved(name) && b !== left) tell(name)
      continue
    }
    const half = (right - left) / 2
    // The middle is a float64 next to the middle.
    const slack =
      4e-16 *
      Math.max(Math.abs(left), Math.abs(right)) *
      (Math.abs(fc.hi - fa.lo) / Math.max(half, 1e-300) + 1)
    if (isProved('convex') && fb.lo - slack > above(fa.hi, fc.hi)) tell('convex')
    if (isProved('quasiconvex') && fb.lo > Math.max(fa.hi, fc.hi)) tell('quasiconvex')
    if (isProved('bounded_below') && fb.hi < number('bounded_below', 'bound')) tell('bounded_below')
    const rise = Math.max(fc.lo - fa.hi, fa.lo - fc.hi)
    if (isProved('lipschitz') && rise > number('lipschitz', 'bound') * (right - left) * (1 + 1e-12))
      tell('lipschitz')
    const bend = Math.max(fa.lo + fc.lo - 2 * fb.hi, 2 * fb.lo - fa.hi - fc.hi)
    if (isProved('smooth') && bend - slack > number('smooth', 'bound') * half * half * (1 + 1e-9) + 1e-300)
      tell('smooth')
    if (
      isProved('continuous') &&
      right - left < 1e-5 &&
      rise > 1 &&
      Math.abs(fb.lo) < 1e3 &&
      (!isProved('lipschitz') || number('lipschitz', 'bound') < 1e4)
    )
      tell('continuous')
    if (
      isProved('differentiable') &&
      right - left < 1e-4 &&
      isProved('smooth') === false &&
      half > 0 &&
      bend / half > 0.2 &&
      analysis.properties.smooth?.verdict === 'refuted'
    )
      tell('differentiable')
    if (isProved('symmetric')) {
      const [u, v] = [value(y + half, y), value(y - half, y)]
      const slack =
        1e-12 * Math.max(1, Math.abs(u.hi), Math.abs(v.hi)) * (1 + Math.abs(y) / Math.max(half, 1e-9))
      if (!u.partial && !v.partial && (u.lo > v.hi + slack || v.lo > u.hi + slack) && half > 1e-3)
        tell('symmetric')
    }
    if (isProved('minimum_at_target') && value(y, y).lo > fb.hi) tell('minimum_at_target')
    if (isProved('zero_at_target') && (value(y, y).lo > 0 || value(y, y).hi < 0)) tell('zero_at_target')
  }
  return { analysis, broken }
}

/** Points at which the loss is not that multiple of the other one. */
function wrongEquivalence(
  { properties: { equivalent_to: found } }: Analysis,
  catalog: readonly Loss[],
  served: (x: number, y: number) => number,
  draw: () => number,
): string[] {
  if (found?.verdict !== 'proved') return []
  const { loss: name, params, factor } = found.evidence as { loss: string; params: Params; factor: number }
  const loss = catalog.find((one) => one.name === name)!
  const compiled = compile({ loss, params: { ...defaultsOf(loss), ...params }, sizes: {} })
  const scalars = new Scalars()
  const [first, second] = compiled.inputs.map(([input]) => input)
  const root = compiled.root(scalars, (input, place) => scalars.variable(elementName(input, place)))
  const tape = tapeOf(scalars, [root])
  return Array.from({ length: 20 }, () => [draw(), second === undefined ? 0 : draw()] as const).flatMap(
    ([x, y]) => {
      const at = (variable: string) => (variable === elementName(first!, 0) ? x : y)
      const [own, other] = [served(x, y), factor * evaluate(tape, at)[tape.roots[0]!]!]
      const isSame =
        !Number.isFinite(own) ||
        !Number.isFinite(other) ||
        Math.abs(own - other) <= 1e-8 * Math.max(1, Math.abs(own))
      // A label may have been fixed: then only its values count.
      return isSame || compiled.inputs.some(([, { kind }]) => kind !== 'real')
        ? []
        : [`equivalent_to: at ${x}, ${y}: ${own} and ${other}; ${JSON.stringify(found.evidence)}`]
    },
  )
}

/** The middle of a chord, rounded up. */
const above = (a: number, b: number) => {
  const middle = a / 2 + b / 2
  return middle + Math.abs(middle) * 2 ** -50 + 5e-324
}
