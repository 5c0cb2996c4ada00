/** What floating point makes of the loss: the value and gradient as they are served. */

import { sizesWithRenamedAxes } from '../../language/ir.ts'
import { lower } from '../../language/lower.ts'
import { offsetsOf } from '../../language/strides.ts'
import { expandLoss } from '../../losses/define.ts'
import { holdsIndices, runTimeParams, scopeOf } from '../../losses/program.ts'
import { within } from '../clock.ts'
import type { Curve } from '../curves.ts'
import { type Interval, interval, isBounded, magnitude } from '../interval.ts'
import { FORMATS, largestError } from '../rounding.ts'
import { Scalars } from '../scalars.ts'
import { type Case, elementName, type Subject } from '../subject.ts'
import { enclose, evaluate, type Tape, tapeOf } from '../tape.ts'
import { unroll } from '../unroll.ts'
import { type Finding, forAll, proved, refuted, supported, unknown } from '../verdict.ts'
import type { Context, Property } from './context.ts'

const made = new WeakMap<Case['labels'], Tape>()

/** The program that computes value and gradient, operation by operation. Three questions need it. */
function servedTape(subject: Subject, labels: Case['labels']): Tape {
  const tape = made.get(labels) ?? makeServedTape(subject, labels)
  made.set(labels, tape)
  return tape
}

function makeServedTape(subject: Subject, labels: Case['labels']): Tape {
  const { loss, params, of } = subject
  const expanded = expandLoss(loss, params)
  const present = Object.entries(expanded.inputs).filter(([, spec]) => !spec.optional)
  const layouts = present.map(
    ([name, spec]) =>
      [name, { type: holdsIndices(spec, spec.axes) ? 'index' : 'real', axes: spec.axes }] as const,
  )
  const scope = scopeOf(expanded, { inputs: Object.fromEntries(layouts), params })
  const numbers = runTimeParams(expanded, params)
  const program = lower(expanded.formula, scope, [of])
  const scalars = new Scalars(false)
  const sizes = sizesWithRenamedAxes(program, subject.sizes)
  const input = (name: string, axes: readonly string[]) => {
    const places = offsetsOf(sizes, axes, expanded.inputs[name].axes)
    return Array.from(places, (place) =>
      labels[name] === undefined
        ? scalars.variable(elementName(name, place))
        : scalars.constant(labels[name][place]),
    )
  }
  const leaves = {
    sizes,
    input,
    scalar: (name: string) => scalars.constant(numbers[name]),
    cotangent: () => scalars.constant(1),
  }
  const roots = unroll(program, [program.value, program.gradients[of]], leaves, scalars)
  return tapeOf(scalars, roots.flat())
}

/** The gradient that is served at a place of a curve: at a kink, the one that was chosen. */
export function servedSlope(subject: Subject, { at, isResidual }: Curve, place: number): number | undefined {
  const own = subject.cases.find(({ labels }) =>
    Object.entries(labels).every(([name, values]) => at[name]?.join() === values.join()),
  )
  if (own === undefined) return undefined
  const tape = servedTape(subject, own.labels)
  const variable = elementName(subject.of, 0)
  // Of a residual, the target is 0.
  const values = evaluate(tape, (name) =>
    name === variable ? place : isResidual ? 0 : (at[name.slice(0, name.lastIndexOf('.'))]?.[0] ?? 0),
  )
  const slope = values[tape.roots[1]]
  return Number.isFinite(slope) ? slope : undefined
}

/** Shares of the range of each input at which the loss is computed. */
const PROBES = [0, 0.5, 1, 0.25, 0.123, 0.77]

function finite({ subject, clock }: Context): Finding {
  const findings = subject.cases.map((one) => {
    if (clock.isOver()) return unknown('the time was over')
    const tape = servedTape(subject, one.labels)
    const wrong = wrongPoint(tape, one)
    if (wrong !== undefined)
      return refuted('value or gradient is not finite', { ...wrong, labels: one.labels })
    if (coversFinitely(tape, one, () => clock.isOver()))
      return proved('every operation of value and gradient enclosed')
    return supported('value and gradient are finite at the points that were tried', { points: PROBES.length })
  })
  return forAll(findings, subject.isComplete)
}

function wrongPoint(tape: Tape, { box }: Case): Record<string, unknown> | undefined {
  for (const share of PROBES) {
    for (const shift of [0, 0.5]) {
      let place = 0
      const at = new Map(
        [...box].map(([name, { lo, hi }]) => [
          name,
          lo + (hi - lo) * ((share + (place++ > 0 ? shift : 0)) % 1.0001),
        ]),
      )
      const values = evaluate(tape, (name) => at.get(name)!)
      const bad = tape.roots.findIndex((root) => !Number.isFinite(values[root]))
      if (bad >= 0 && !tape.nodes.some(({ op }) => op === 'opaque'))
        return {
          at: Object.fromEntries(at),
          what: bad === 0 ? 'value' : 'gradient',
          got: String(values[tape.roots[bad]]),
        }
    }
  }
  return undefined
}

/** Halves the box along one input after the other, up to a few hundred parts. */
function coversFinitely(tape: Tape, { box }: Case, isOver: () => boolean): boolean {
  const names = [...box.keys()].slice(0, 3)
  const pending: { readonly box: Map<string, Interval>; readonly depth: number }[] = [
    { box: new Map(box), depth: 0 },
  ]
  for (let n = 0; pending.length > 0; n++) {
    const { box: part, depth } = pending.pop()!
    const found = enclose(tape, part)
    if (tape.roots.every((root) => !found[root].partial && isBounded(found[root]))) continue
    if (n > 150 || depth > 12 || isOver()) return false
    const name = names[depth % names.length]
    const { lo, hi } = part.get(name)!
    for (const half of [interval(lo, lo / 2 + hi / 2), interval(lo / 2 + hi / 2, hi)])
      pending.push({ box: new Map(part).set(name, half), depth: depth + 1 })
  }
  return true
}

/** How far from 0 the inputs may go before some number on the way leaves the range of the format. */
const rangeIn =
  (format: keyof typeof FORMATS) =>
  ({ subject, clock }: Context): Finding | undefined => {
    const kind = subject.loss.inputs[subject.of].kindFor(subject.params)
    if (kind !== 'real' && kind !== 'logprob') return undefined
    const tapes = subject.cases.slice(0, 6).map((one) => ({ one, tape: servedTape(subject, one.labels) }))
    const fits = (size: number) =>
      !clock.isOver() &&
      tapes.every(({ one, tape }) => {
        const box = new Map(
          [...one.box].map(([name, own]) => [
            name,
            one.by.includes(name) || (own.lo === -10 && own.hi === 10)
              ? interval(-size, kind === 'logprob' ? 0 : size)
              : own,
          ]),
        )
        const found = enclose(tape, box)
        return (
          tape.roots.every((root) => isBounded(found[root]) && !found[root].partial) &&
          found.every(
            (value, id) =>
              tape.nodes[id].op === 'constant' || magnitude(value) <= 0.99 * FORMATS[format].largest,
          )
        )
      })
    let exponent = -3
    while (exponent < 126 && fits(2 ** (exponent + 1))) exponent++
    if (exponent < -2) return unknown(`no range without overflow in ${format} was found`)
    const isWhole = subject.isComplete && tapes.length === subject.cases.length
    const say = isWhole ? proved : supported
    const own = within(clock, MOST_MS)
    const error = Math.max(...tapes.map(({ one, tape }) => largestError(tape, one.box, FORMATS[format], own)))
    return say('every operation of value and gradient enclosed', {
      largestInput: 2 ** exponent,
      ...(error < 1 ? { error: roundedUp(error), digits: Math.floor(-Math.log10(error)) } : {}),
    })
  }

/** For the errors of all tapes. */
const MOST_MS = 25
const roundedUp = (x: number) => Number((x * 1.005).toPrecision(3))

export const NUMERICS: readonly Property[] = [
  { name: 'finite', about: 'value and gradient are finite on the domain', find: finite },
  { name: 'float32', about: 'inputs up to this size overflow nowhere in float32', find: rangeIn('float32') },
  { name: 'float16', about: 'inputs up to this size overflow nowhere in float16', find: rangeIn('float16') },
]
