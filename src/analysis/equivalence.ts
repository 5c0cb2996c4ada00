/**
 * Whether a loss is a positive multiple of a loss of the catalog. Points tell which one it can be; that it is, only
 * equal normal forms prove: of the whole formula, or of each of its pieces where it depends on one number.
 */
import type { InputSpec, Params } from '../losses/define.ts'
import type { Clock } from './clock.ts'
import { isAffineIn, lineOf, type Reduced, reductionOf } from './curves.ts'
import { type Interval, interval, isPoint } from './interval.ts'
import {
  correspondingVariable,
  isTwoValued,
  type KnownLoss,
  lossesLike,
  numbersIn,
  paramName,
  settingsOf,
  tapeOfKnown,
  variantsOf,
} from './known-losses.ts'
import { NormalForms } from './normal-form.ts'
import { type Pieces, piecesOf } from './pieces.ts'
import { pruneBranches } from './prune-branches.ts'
import { compare, ONE, type Rational, signOf, toNumber, ZERO } from './rational.ts'
import type { Scalar, Scalars } from './scalars.ts'
import {
  boundsOfKind,
  type Case,
  elementName,
  elementOf,
  projectToFeasible,
  type Subject,
} from './subject.ts'
import { dependentsOf, evaluate, evaluateAgain, type Tape, tapeOf } from './tape.ts'

type Labels = Readonly<Record<string, readonly number[]>>

/** One choice of labels, for both losses. */
interface Comparison {
  readonly one: Case
  /** The subject, with the labels in it. */
  readonly root: Scalar
  readonly box: ReadonlyMap<string, Interval>
  /** Inputs of the known loss that are labels. */
  readonly labels: Labels
}

export interface Equivalent {
  readonly loss: string
  readonly params: Params
  /** The loss is so many times the known one. */
  readonly factor: number
  readonly isProved: boolean
}

/** Two points at which the ratio of the two losses differs. */
export interface Nearest {
  readonly loss: string
  readonly params: Params
  readonly points: readonly Readonly<Record<string, number>>[]
  readonly ratios: readonly number[]
}

export interface EquivalenceSearch {
  readonly found: Equivalent | undefined
  readonly tried: number
  readonly points: number
  /** Of what is not equivalent, what comes closest. */
  readonly nearest: Nearest | undefined
  /** Whether everything was tried. */
  readonly isOver: boolean
}

/** Points for each choice of labels. */
const POINTS = 8
/** So many times as many more, before anything is said without a proof. */
const MORE = 12
/** Labels that are compared. */
const MAX_COMPARISONS = 12
/** What the ratios of two losses that are multiples may differ by: rounding, and constants with some digits. */
const TOLERANCE = 1e-8
/** A loss of this size is 0 but for rounding. */
const NEGLIGIBLE = 1e-13

/** Looks through the catalog. Nothing is tried if no loss has such inputs. */
export function findEquivalent(subject: Subject, clock: Clock, random: () => number): EquivalenceSearch {
  const search = new Search(subject, clock, random)
  for (const loss of lossesLike(subject)) {
    if (clock.isOver()) return search.result(false)
    const hasNumbers = Object.keys(loss.params.properties).length > 0
    if (search.isFound && hasNumbers) return search.result(true)
    for (const candidate of variantsOf(loss, subject)) if (search.tries(candidate)) return search.result(true)
  }
  return search.result(!clock.isOver())
}

class Search {
  readonly #subject: Subject
  readonly #clock: Clock
  readonly #random: () => number
  readonly #pool: readonly number[]
  /** Parameters -> the numbers that are tried for them; the forms of a loss share them. */
  readonly #settings = new Map<string, readonly Params[]>()
  #found: Equivalent | undefined
  #nearest: Nearest | undefined
  #tried = 0

  constructor(subject: Subject, clock: Clock, random: () => number) {
    this.#subject = subject
    this.#clock = clock
    this.#random = random
    this.#pool = numbersIn(subject)
  }

  /** Whether some loss is proved to be a multiple. */
  get isFound(): boolean {
    return this.#found?.isProved === true
  }

  /** Whether nothing can be closer than this one: it is the same loss. */
  tries(candidate: KnownLoss): boolean {
    const comparisons = comparisonsWith(candidate, this.#subject)
    if (comparisons.length === 0) return false
    const samples = new LazyList(
      comparisons.flatMap((comparison) => samplesOf(comparison, candidate, this.#random)),
    )
    for (const setting of this.#settingsOf(candidate)) {
      if (this.#clock.isOver()) return false
      this.#tried++
      const same = compared(samples, setting)
      if (same.isSame === false) this.#nearest = nearer(this.#nearest, candidate, setting, same)
      if (same.isSame !== true) continue
      const equivalent = proven(candidate, setting, comparisons, same.ratio, this.#clock)
      if (!equivalent.isProved && !this.#isLikely(candidate, setting, comparisons)) continue
      if (this.#found === undefined || (equivalent.isProved && !this.#found.isProved))
        this.#found = equivalent
      if (!equivalent.isProved) continue
      if (equivalent.factor === 1) this.#found = equivalent
      return equivalent.factor === 1 || candidate.numbers.length > 0
    }
    return false
  }

  #settingsOf(candidate: KnownLoss): readonly Params[] {
    const { compiled, numbers } = candidate
    const key = [compiled.loss.name, ...numbers].join()
    const settings = this.#settings.get(key) ?? settingsOf(candidate, this.#pool)
    this.#settings.set(key, settings)
    return settings
  }

  /** Whether many more points agree. */
  #isLikely(candidate: KnownLoss, setting: Params, comparisons: readonly Comparison[]): boolean {
    const samples = Array.from({ length: MORE }, () =>
      comparisons.flatMap((comparison) => samplesOf(comparison, candidate, this.#random)),
    ).flat()
    const same = compared(new LazyList(samples), setting)
    if (same.isSame === false) this.#nearest = nearer(this.#nearest, candidate, setting, same)
    return same.isSame === true
  }

  result(isOver: boolean): EquivalenceSearch {
    return {
      found: this.#found,
      tried: this.#tried,
      points: POINTS * (1 + MORE),
      nearest: this.#nearest,
      isOver,
    }
  }
}

// Which points are compared

function comparisonsWith(known: KnownLoss, subject: Subject): Comparison[] {
  const all = subject.cases.flatMap((one) => comparisonsOf(one, known, subject))
  return all.length > MAX_COMPARISONS || all.some((comparison) => comparison === undefined)
    ? []
    : all.map((comparison) => comparison!)
}

/** A label may be a real number in one of the losses: there it gets the values that it has in the other. */
function comparisonsOf(one: Case, known: KnownLoss, subject: Subject): (Comparison | undefined)[] {
  const { compiled, places } = known
  let fixed: Labels[] = [{}]
  const labels: Record<string, readonly number[]> = {}
  for (const [name, target] of places) {
    const [spec, own] = [compiled.loss.inputs[name], subject.loss.inputs[target]]
    const given = one.labels[target]
    if (given !== undefined) labels[name] = translated(given, own, spec, known)
    else if (isTwoValued(kindOf(spec, known)))
      fixed = fixed.flatMap((others) =>
        tuplesOf(valuesOfKind(kindOf(spec, known)), subject.elements[target]).map((values) => ({
          ...others,
          [name]: values,
        })),
      )
  }
  return fixed.length > MAX_COMPARISONS
    ? [undefined]
    : fixed.map((more) => comparisonOf(one, { ...labels, ...more }, known, subject))
}

/** The kind that an input has with the parameters of the known loss. */
function kindOf(spec: InputSpec, { compiled }: KnownLoss): InputSpec {
  return { ...spec, kind: spec.kindFor(compiled.params) }
}

const valuesOfKind = ({ kind }: InputSpec): readonly number[] => (kind === 'sign' ? [-1, 1] : [0, 1])

function tuplesOf(values: readonly number[], count: number): number[][] {
  let tuples: number[][] = [[]]
  for (let place = 0; place < Math.min(count, 4); place++)
    tuples = tuples.flatMap((tuple) => values.map((value) => [...tuple, value]))
  return tuples
}

/** -1 and 1 in the one loss are 0 and 1 in the other. */
function translated(
  values: readonly number[],
  own: InputSpec,
  spec: InputSpec,
  known: KnownLoss,
): readonly number[] {
  const { kind } = kindOf(spec, known)
  if (own.kind === 'sign' && kind !== 'sign' && kind !== 'real') return values.map((x) => (x < 0 ? 0 : 1))
  return own.kind === 'binary' && kind === 'sign' ? values.map((x) => 2 * x - 1) : values
}

function comparisonOf(one: Case, labels: Labels, known: KnownLoss, subject: Subject): Comparison | undefined {
  const { scalars } = one
  const box = new Map(one.box)
  const fixed = new Map<string, number>()
  for (const [name, target] of known.places)
    for (let place = 0; place < subject.elements[target]; place++) {
      const variable = elementName(target, place)
      const bounds = box.get(variable)
      if (bounds === undefined) continue
      if (labels[name] !== undefined) {
        fixed.set(variable, labels[name][place])
        box.delete(variable)
        continue
      }
      const both = narrowed(bounds, kindOf(known.compiled.loss.inputs[name], known), target !== subject.of)
      if (both === undefined) return undefined
      box.set(variable, both)
    }
  const fixedAt = (id: Scalar) => {
    const { op, name } = scalars.nodes[id]
    const value = op === 'variable' ? fixed.get(name!) : undefined
    return value === undefined ? undefined : scalars.constant(value)
  }
  return { one, root: fixed.size === 0 ? one.root : scalars.replace(one.root, fixedAt), box, labels }
}

/** The numbers that both losses accept. */
function narrowed(own: Interval, spec: InputSpec, isLabel: boolean): Interval | undefined {
  const other = boundsOfKind(spec.kind, isLabel)
  if (other === undefined) return own
  const [lo, hi] = [Math.max(own.lo, other[0]), Math.min(own.hi, other[1])]
  return lo < hi ? interval(lo, hi) : undefined
}

// What points say

interface Sample {
  readonly at: Readonly<Record<string, number>>
  readonly own: number
  /** The known loss there, with these parameters. */
  readonly known: (setting: Params) => number
}

/** Two points tell most losses apart, so the others are computed when they are needed. */
class LazyList<T> implements Iterable<T> {
  readonly #make: readonly (() => T)[]
  readonly #made: T[] = []

  constructor(make: readonly (() => T)[]) {
    this.#make = make
  }

  *[Symbol.iterator]() {
    for (const [place, make] of this.#make.entries()) {
      this.#made[place] ??= make()
      yield this.#made[place]
    }
  }
}

function samplesOf(
  { one, root, box, labels }: Comparison,
  known: KnownLoss,
  random: () => number,
): (() => Sample)[] {
  const own = ownTape(one.scalars, root)
  const tape = tapeOfKnown(known, labels)
  return Array.from({ length: POINTS }, () => () => {
    const drawn = new Map([...box].map(([name, { lo, hi }]) => [name, lo + (hi - lo) * random()]))
    const at = projectToFeasible(one, drawn)
    const value = evaluate(own, (name) => at.get(name)!)[own.roots[0]]
    return {
      at: Object.fromEntries(at),
      own: value,
      known: ofSettings(tape, (name) => at.get(correspondingVariable(known, name))!),
    }
  })
}

const dependents = new WeakMap<Tape, readonly number[]>()

/** A known loss at a point, as a function of its parameters. What does not depend on them is computed once. */
function ofSettings(tape: Tape, at: (name: string) => number): (setting: Params) => number {
  const free = dependents.get(tape) ?? dependentsOf(tape, (name) => paramName(name) !== undefined)
  dependents.set(tape, free)
  const valueIn = (setting: Params) => (name: string) => {
    const param = paramName(name)
    return param === undefined ? at(name) : (setting[param] as number)
  }
  let values: Float64Array | undefined
  return (setting) => {
    if (values === undefined) values = evaluate(tape, valueIn(setting))
    else evaluateAgain(tape, free, values, valueIn(setting))
    return values[tape.roots[0]]
  }
}

const ownTapes = new WeakMap<Scalars, Map<Scalar, Tape>>()

/** The subject is compared with all losses. */
function ownTape(scalars: Scalars, root: Scalar): Tape {
  const known = ownTapes.get(scalars) ?? new Map<Scalar, Tape>()
  ownTapes.set(scalars, known)
  const tape = known.get(root) ?? tapeOf(scalars, [root])
  known.set(root, tape)
  return tape
}

interface Compared {
  /** Undefined if no point says anything. */
  readonly isSame: boolean | undefined
  readonly ratio: number
  readonly samples: readonly Sample[]
  readonly ratios: readonly number[]
}

/** Whether all points have the same ratio. */
function compared(samples: Iterable<Sample>, setting: Params): Compared {
  let [first, ratio]: [Sample | undefined, number] = [undefined, Number.NaN]
  let count = 0
  for (const sample of samples) {
    const { own } = sample
    const other = sample.known(setting)
    if (Number.isNaN(own) && Number.isNaN(other)) continue
    if (Math.abs(own) < NEGLIGIBLE && Math.abs(other) < NEGLIGIBLE) continue
    const here = own / other
    if (!(here > 0) || !Number.isFinite(here))
      return { isSame: false, ratio, samples: [sample], ratios: [here] }
    count++
    if (first === undefined) [first, ratio] = [sample, here]
    else if (Math.abs(here - ratio) > TOLERANCE * ratio)
      return { isSame: false, ratio, samples: [first, sample], ratios: [ratio, here] }
  }
  return { isSame: count < 3 ? undefined : true, ratio, samples: [], ratios: [] }
}

/** The candidate whose ratios differ least. */
function nearer(
  best: Nearest | undefined,
  { compiled }: KnownLoss,
  setting: Params,
  { ratios, samples }: Compared,
): Nearest | undefined {
  if (ratios.length < 2) return best
  const distance = ([a, b]: readonly number[]) => Math.abs(Math.log(a / b))
  if (best !== undefined && distance(best.ratios) <= distance(ratios)) return best
  const params = { ...compiled.params, ...setting }
  return { loss: compiled.loss.name, params, points: samples.map(({ at }) => at), ratios }
}

// What is proved

function proven(
  known: KnownLoss,
  setting: Params,
  comparisons: readonly Comparison[],
  ratio: number,
  clock: Clock,
): Equivalent {
  const { loss, params } = known.compiled
  const all = { ...params, ...setting }
  let factor: Rational | undefined
  for (const comparison of comparisons) {
    const own = factorOf(comparison, known, setting, clock)
    const isSame = own !== undefined && (own === 'any' || factor === undefined || compare(own, factor) === 0)
    if (!isSame) return { loss: loss.name, params: all, factor: ratio, isProved: false }
    if (own !== 'any') factor = own
  }
  return factor === undefined || signOf(factor) <= 0
    ? { loss: loss.name, params: all, factor: ratio, isProved: false }
    : { loss: loss.name, params: all, factor: toNumber(factor), isProved: true }
}

/** A factor between two functions, or that both are 0. */
type Factor = Rational | 'any' | undefined

function factorOf(comparison: Comparison, known: KnownLoss, setting: Params, clock: Clock): Factor {
  const { one, root, box } = comparison
  const other = written(comparison, known, setting)
  const { scalars } = one
  const whole = sameFactor(
    scalars,
    pruneBranches(scalars, root, box),
    pruneBranches(scalars, other, box),
    clock,
  )
  return whole ?? (one.by.length === 1 ? factorByPieces(one, root, other, box, clock) : undefined)
}

function sameFactor(scalars: Scalars, own: Scalar, other: Scalar, clock: Clock): Factor {
  const forms = new NormalForms(scalars, clock)
  return forms.isNought(own) && forms.isNought(other) ? 'any' : forms.ratio(own, other)
}

/** The known loss in the graph of the subject. */
function written({ one, labels }: Comparison, known: KnownLoss, setting: Params): Scalar {
  const { scalars } = one
  const { compiled, places } = known
  return compiled.root(
    scalars,
    (name, place) =>
      labels[name] === undefined
        ? elementOf(
            scalars,
            { loss: renamedInputs(known), params: compiled.params },
            places.get(name)!,
            place,
          )
        : scalars.constant(labels[name][place]),
    (name) => scalars.constant(setting[name] as number),
  )
}

/** The known loss with its inputs called as those of the subject. */
function renamedInputs({ compiled: { loss }, places }: KnownLoss): KnownLoss['compiled']['loss'] {
  const inputs = Object.entries(loss.inputs).flatMap(([name, spec]) =>
    places.has(name) ? [[places.get(name)!, spec] as const] : [],
  )
  return { ...loss, inputs: Object.fromEntries(inputs) }
}

/** A factor by which no two losses are multiples of each other, so that nothing cancels in the sum of both. */
export const GENERIC_FACTOR: Rational = { top: 1999993n, bottom: 999983n }

/** Both losses are cut where either of them has a kink; both must be continuous, so that the pieces are all there is. */
function factorByPieces(
  { scalars, by }: Case,
  own: Scalar,
  other: Scalar,
  box: ReadonlyMap<string, Interval>,
  clock: Clock,
): Factor {
  const both = scalars.combination([own, other], [ONE, GENERIC_FACTOR], ZERO)
  if (!areAffineInOthers(scalars, [own, other], box, by[0])) return undefined
  const { ready, isComplete } = reductionOf(scalars, both, box, by[0])
  if (!isComplete) return undefined
  let factor: Factor = 'any'
  for (const reduced of ready) {
    const found = factorOnLine(scalars, reduced, reduced.reduce(own), reduced.reduce(other), clock)
    if (found === undefined) return undefined
    if (found === 'any') continue
    if (factor !== 'any' && compare(factor as Rational, found) !== 0) return undefined
    factor = found
  }
  return factor
}

/** If each is affine in a target, they are multiples everywhere once they are at both ends of its range. */
function areAffineInOthers(
  scalars: Scalars,
  roots: readonly Scalar[],
  box: ReadonlyMap<string, Interval>,
  variable: string,
): boolean {
  const [residual] = reductionOf(
    scalars,
    scalars.combination(roots, [ONE, GENERIC_FACTOR], ZERO),
    box,
    variable,
  ).ready
  if (residual?.isResidual) return true
  const tapes = roots.map((root) => tapeOf(scalars, [root]))
  return [...box].every(
    ([name, bounds]) => name === variable || isPoint(bounds) || tapes.every((tape) => isAffineIn(tape, name)),
  )
}

/**
 * The factor between two functions of one variable.
 *
 * @param reduced the interval, and a function that has the kinks of both
 */
function factorOnLine(
  scalars: Scalars,
  reduced: Pick<Reduced, 'root' | 'box' | 'variable'>,
  own: Scalar,
  other: Scalar,
  clock: Clock,
): Factor {
  const line = (root: Scalar) => piecesOf(lineOf(scalars, { ...reduced, root }), clock)
  const pieces = line(reduced.root)
  const isContinuous = [own, other].every((root) => {
    const cut = line(root)
    return cut !== undefined && jumpsNowhere(cut)
  })
  if (pieces === undefined || !isContinuous || !pieces.joints.every(({ isSingle }) => isSingle))
    return undefined
  const ids = scalars.reachable(reduced.root)
  let factor: Factor = 'any'
  for (const { choices } of pieces.pieces) {
    const sides = new Map([...choices].map(([place, choice]) => [ids[place], choice]))
    const onSide = (root: Scalar) => scalars.onSide(root, (id) => sides.get(id))
    const found = sameFactor(scalars, onSide(own), onSide(other), clock)
    if (found === undefined) return undefined
    if (found === 'any') continue
    if (factor !== 'any' && compare(factor as Rational, found) !== 0) return undefined
    factor = found
  }
  return factor
}

/** Whether two functions of one variable are equal on an interval, wherever both have a value. False means nothing. */
export function areEqualOnLine(
  scalars: Scalars,
  own: Scalar,
  other: Scalar,
  { variable, box }: Pick<Reduced, 'box' | 'variable'>,
  clock: Clock,
): boolean {
  const [a, b] = [own, other].map((root) => pruneBranches(scalars, root, box))
  const whole = sameFactor(scalars, a, b, clock)
  const root = scalars.combination([own, other], [ONE, GENERIC_FACTOR], ZERO)
  const factor = whole ?? factorOnLine(scalars, { root, box, variable }, own, other, clock)
  return factor === 'any' || (factor !== undefined && compare(factor, ONE) === 0)
}

/** Whether a function of one variable is continuous, exactly. */
export function jumpsNowhere({ joints }: Pieces): boolean {
  return joints.every(
    ({ isContinuous, value, isOwn }) => isContinuous || (value.isSame === true && isOwn === true),
  )
}
