/**
 * Cuts a function of one variable into pieces on which it is smooth, and tells how they meet. Every kink, jump and
 * condition of the formula is a place where some node passes 0. Those places are enclosed between two float64; on
 * both sides of them it is certain which branch holds.
 */
import type { Clock } from './clock.ts'
import { type Dual, exactly } from './exact.ts'
import {
  above,
  below,
  type Interval,
  interval,
  isBounded,
  isPoint,
  isZero,
  middle,
  point,
  sub,
} from './interval.ts'
import { Jets } from './jets.ts'
import { NormalForms } from './normal-form.ts'
import { isRoot } from './primitives.ts'
import { compare, type Rational, rational, toNumber } from './rational.ts'
import type { Scalar, Scalars } from './scalars.ts'
import { type Box, type BranchSides, type Tape, tapeOf } from './tape.ts'

/** A function of one variable on an interval; all other variables are in the box. */
export interface UnivariateFunction {
  readonly tape: Tape
  readonly variable: string
  readonly lo: number
  readonly hi: number
  readonly box: Box
  /** The graph that the tape was made of, if it is at hand: with it, equal numbers are recognized that are not rational. */
  readonly graph?: { readonly scalars: Scalars; readonly root: Scalar }
}

export interface Piece {
  readonly lo: number
  readonly hi: number
  readonly choices: BranchSides
}

/** What a quantity is on both sides of a joint. */
export interface OneSidedLimits {
  readonly left: Interval
  readonly right: Interval
  /** Whether both are equal: exactly, or not at all; undefined if they are next to each other and nothing is certain. */
  readonly isSame: boolean | undefined
}

/** Where two pieces meet: somewhere from `lo` to `hi`, which are next to each other. */
export interface Joint {
  readonly lo: number
  readonly hi: number
  readonly at: number
  readonly value: OneSidedLimits
  readonly slope: OneSidedLimits
  /**
   * Whether the function has no jump here by construction: nothing but kinks of continuous functions, and one side of
   * a single kink on each side of the place.
   */
  readonly isContinuous: boolean
  /** Whether only one thing changes here, so that each number belongs to one of the sides, but for the place itself. */
  readonly isSingle: boolean
  /** Whether the value at the place itself is that of one of its sides; undefined if that is not certain. */
  readonly isOwn: boolean | undefined
  /** The value at the place. */
  readonly own: Interval
}

export interface Pieces {
  readonly line: UnivariateFunction
  readonly pieces: readonly Piece[]
  /** Between each piece and the next. */
  readonly joints: readonly Joint[]
}

/** Boxes that are looked at, at most. */
const MAX_BOXES = 3000
/** A place that takes more room than this, as a share of the interval, is not a place. */
const MAX_ZONE = 1e-9

interface Smooth {
  readonly kind: 'smooth'
  readonly lo: number
  readonly hi: number
  readonly choices: BranchSides
}
interface Zone {
  readonly kind: 'zone'
  readonly lo: number
  readonly hi: number
  /** Whether it is known to be the only root of one function. */
  readonly isSingle?: boolean
  readonly exact?: Rational
}
type Part = Smooth | Zone

/** Something that decides which branch holds, and is not decided over a box. */
interface Open {
  /** The nodes whose difference from each other, or from a level, decides. */
  readonly nodes: readonly [number, number | undefined]
  readonly level: number
  readonly at: (jets: Jets) => Interval
  readonly slope: (jets: Jets) => Interval
  readonly isContinuous: (jets: Jets) => boolean
}

/**
 * The pieces of a function; undefined if they cannot be found within the time, or if the function has no value
 * somewhere inside.
 *
 * @example
 * piecesOf({ tape: tapeOf(scalars, [huber]), variable: 'r', lo: -10, hi: 10, box }, clock).joints.map(({ at }) => at) // [-1, 1]
 */
export function piecesOf(line: UnivariateFunction, clock: Clock): Pieces | undefined {
  const parts = new Partition(line, clock).parts()
  return parts === undefined ? undefined : joined(line, parts)
}

class Partition {
  readonly #line: UnivariateFunction
  readonly #clock: Clock
  #boxes = 0

  constructor(line: UnivariateFunction, clock: Clock) {
    this.#line = line
    this.#clock = clock
  }

  parts(): Part[] | undefined {
    const { lo, hi } = this.#line
    const pending: [number, number][] = [[lo, hi]]
    const found: Part[] = []
    while (pending.length > 0) {
      const [from, to] = pending.pop()!
      if (++this.#boxes > MAX_BOXES || this.#clock.isOver()) return undefined
      const status = statusOf(this.#line, from, to)
      if (status.choices !== undefined)
        found.push({ kind: 'smooth', lo: from, hi: to, choices: status.choices })
      else if (this.#isNarrow(from, to)) found.push({ kind: 'zone', lo: from, hi: to })
      else this.#divide(from, to, status.open, found, pending)
    }
    return merged(
      found.sort((a, b) => a.lo - b.lo),
      hi - lo,
    )
  }

  /** At a root, if there is one that can be enclosed; else in the middle. */
  #divide(from: number, to: number, open: readonly Open[], found: Part[], pending: [number, number][]) {
    for (const one of open) {
      const zone = this.#rootOf(one, from, to)
      if (zone === undefined) continue
      found.push(zone)
      if (zone.hi < to) pending.push([zone.hi, to])
      if (zone.lo > from) pending.push([from, zone.lo])
      return
    }
    const cut = from < 0 && to > 0 ? 0 : middle(interval(from, to))
    if (cut <= from || cut >= to) found.push({ kind: 'zone', lo: from, hi: to })
    else pending.push([cut, to], [from, cut])
  }

  /** The only root of a monotone function, between float64 at which its sign is certain. */
  #rootOf(open: Open, from: number, to: number): Zone | undefined {
    const jets = jetsOver(this.#line, from, to)
    const slope = open.isContinuous(jets) ? open.slope(jets) : undefined
    if (slope === undefined || (slope.lo <= 0 && slope.hi >= 0)) return undefined
    const rising = slope.lo > 0 ? 1 : -1
    const signAt = (x: number) => {
      const { lo, hi, partial } = open.at(valuesAt(this.#line, x))
      return partial ? Number.NaN : rising * (lo > 0 ? 1 : hi < 0 ? -1 : 0)
    }
    const [atFrom, atTo] = [signAt(from), signAt(to)]
    if (Number.isNaN(atFrom) || Number.isNaN(atTo) || atFrom > 0 || atTo < 0) return undefined
    const guess = this.#exactRoot(open, from, to, (x) => signAt(x) < 0)
    const [low, high] =
      guess === undefined ? [from, to] : [Math.max(from, below(guess)), Math.min(to, above(guess))]
    const isTight = guess !== undefined && signAt(low) < 0 && signAt(high) > 0
    const first = isTight ? low : atFrom < 0 ? bisected(from, to, (x) => signAt(x) < 0) : from
    const last = isTight ? high : atTo > 0 ? -bisected(-to, -from, (x) => signAt(-x) > 0) : to
    if (last < first || last - first > MAX_ZONE * (this.#line.hi - this.#line.lo)) return undefined
    const place = guess === undefined ? {} : { exact: rational(guess)! }
    return { kind: 'zone', lo: first, hi: last, isSingle: true, ...place }
  }

  /** A float64 at which the function is certainly 0. */
  #exactRoot(open: Open, from: number, to: number, isLeft: (x: number) => boolean): number | undefined {
    const isRoot = (x: number) => x >= from && x <= to && isExactRoot(open, this.#line, x)
    if (isRoot(0)) return 0
    const near = bisected(from, to, isLeft)
    const simple = Number(near.toPrecision(12))
    return [simple, near, above(near), above(near, 2), below(near)].find(isRoot)
  }

  #isNarrow(from: number, to: number): boolean {
    const size = Math.max(Math.abs(from), Math.abs(to))
    return (
      to - from <= Math.min(4 * 2 ** -52 * size, 1e-13 * (this.#line.hi - this.#line.lo)) ||
      to - from < 1e-300
    )
  }
}

/** In exact arithmetic, or at least by an enclosure that is 0. */
function isExactRoot({ nodes: [a, b], level, at }: Open, line: UnivariateFunction, x: number): boolean {
  const { lo, hi } = at(valuesAt(line, x))
  if (lo > 0 || hi < 0) return false
  if (lo === 0 && hi === 0) return true
  const duals = exactly(line.tape, rational(x)!, line.variable, othersOf(line), new Map())
  const [left, right] = [duals[a]?.value, b === undefined ? rational(level) : duals[b]?.value]
  return left !== undefined && right !== undefined && compare(left, right) === 0
}

/** The other variables that are certain. */
function othersOf({ box }: UnivariateFunction): ReadonlyMap<string, Rational> {
  return new Map(
    [...box].flatMap(([name, { lo, hi }]) => (lo === hi ? [[name, rational(lo)!] as const] : [])),
  )
}

const evaluators = new WeakMap<UnivariateFunction, Map<BranchSides, Jets>>()
const NO_CHOICES: BranchSides = new Map()

/** What evaluates a line, on one side of its kinks. It is made once, because each piece is looked at many times. */
export function jetsOf(line: UnivariateFunction, choices: BranchSides = NO_CHOICES): Jets {
  const known = evaluators.get(line) ?? new Map<BranchSides, Jets>()
  evaluators.set(line, known)
  const jets = known.get(choices) ?? jetsOnSide(line, choices)
  known.set(choices, jets)
  return jets
}

/** A formula of its own, if there is a graph: without the other sides, more of it can be simplified. */
function jetsOnSide(line: UnivariateFunction, choices: BranchSides): Jets {
  const { tape, variable, box, graph } = line
  const side = choices.size === 0 ? undefined : formulaOnSide(line, choices)
  return side === undefined
    ? new Jets(tape, [variable], box, choices)
    : new Jets(tapeOf(graph!.scalars, [side]), [variable], box)
}

/** The formula as it is on one side of its kinks. */
export function formulaOnSide({ graph, tape }: UnivariateFunction, choices: BranchSides): Scalar | undefined {
  if (graph === undefined) return undefined
  const { scalars, root } = graph
  const places = new Map(scalars.reachable(root).map((id, place) => [id, place]))
  if (places.size !== tape.nodes.length) return undefined
  return scalars.onSide(root, (id) => choices.get(places.get(id) ?? -1))
}

function valuesAt(line: UnivariateFunction, x: number): Jets {
  const jets = jetsOf(line)
  jets.run([point(x)], 0)
  return jets
}

/** The largest float64, up to two neighbours, at which the test that is true at `from` is true. */
function bisected(from: number, to: number, test: (x: number) => boolean): number {
  let [yes, no] = [from, to]
  const least = 1e-30 * Math.max(Math.abs(from), Math.abs(to))
  for (let i = 0; i < 200; i++) {
    const cut = yes / 2 + no / 2
    if (cut <= yes || cut >= no || no - yes < least) break
    if (test(cut)) yes = cut
    else no = cut
  }
  return yes
}

function jetsOver(line: UnivariateFunction, lo: number, hi: number): Jets {
  const jets = jetsOf(line)
  jets.run([interval(lo, hi)], 1)
  return jets
}

/** Either which side of everything holds in the whole box, or what is not decided. */
function statusOf(
  line: UnivariateFunction,
  lo: number,
  hi: number,
): { readonly choices?: BranchSides; readonly open: readonly Open[] } {
  const jets = jetsOver(line, lo, hi)
  const { roots } = line.tape
  const [choices, open] = [new Map<number, number>(), [] as Open[]]
  const seen = new Set<number>()
  const pending = [roots[0]]
  let isDefined = true
  while (pending.length > 0) {
    const id = pending.pop()!
    if (seen.has(id)) continue
    seen.add(id)
    // What is constant in this box, but not everywhere, has its branches recorded as well.
    if (!jets.varies(id)) {
      isDefined &&= !jets.value(id).partial
      continue
    }
    const found = decided(line.tape, id, jets)
    if (found.choice !== undefined) choices.set(id, found.choice)
    if (jets.value(id).partial) isDefined = false
    open.push(...found.open)
    pending.push(...found.next)
  }
  return open.length > 0 || !isDefined ? { open } : { choices, open }
}

interface Decision {
  readonly choice?: number
  readonly open: readonly Open[]
  /** What its value depends on. */
  readonly next: readonly number[]
}

function decided(tape: Tape, id: number, jets: Jets): Decision {
  const { op, args } = tape.nodes[id]
  const value = (arg: number) => jets.value(arg)
  switch (op) {
    case 'abs':
      if (value(args[0]).lo >= 0) return { choice: 1, open: [], next: args }
      if (value(args[0]).hi <= 0) return { choice: -1, open: [], next: args }
      return { open: [passing(args[0])], next: args }
    case 'sign':
      if (value(args[0]).lo > 0) return { choice: 1, open: [], next: [] }
      if (value(args[0]).hi < 0) return { choice: -1, open: [], next: [] }
      return { open: [passing(args[0])], next: args }
    case 'floor':
    case 'round':
      if (value(id).lo === value(id).hi) return { choice: value(id).lo, open: [], next: [] }
      return {
        open: [passing(args[0], (op === 'floor' ? 0 : 0.5) + Math.floor(middle(value(args[0]))))],
        next: args,
      }
    case 'max':
    case 'min':
      return larger(op, args, value)
    case 'sqrt':
    case 'safe_sqrt':
      return value(args[0]).lo > 0 || isZero(jets.slope(0, args[0]))
        ? { open: [], next: args }
        : { open: [passing(args[0])], next: args }
    case 'pow':
      return !isRoot(value(args[0]), value(args[1])) || isZero(jets.slope(0, args[0]))
        ? { open: [], next: args }
        : { open: [passing(args[0])], next: args }
    case 'select':
      return branch(tape, args, jets)
    case 'opaque':
      return { open: [NEVER], next: args }
    default:
      return { open: [], next: args }
  }
}

/** Nothing that could be decided by looking closer. */
const NEVER: Open = {
  nodes: [-1, undefined],
  level: 0,
  at: () => interval(-1, 1),
  slope: () => interval(-1, 1),
  isContinuous: () => false,
}

function passing(arg: number, level = 0): Open {
  return {
    nodes: [arg, undefined],
    level,
    at: (jets) => shifted(jets.value(arg), level),
    slope: (jets) => jets.slope(0, arg),
    isContinuous: (jets) => jets.isContinuous(arg),
  }
}

const shifted = (x: Interval, level: number) => (level === 0 ? x : sub(x, point(level)))

function larger(op: 'max' | 'min', args: readonly number[], value: (arg: number) => Interval): Decision {
  const [a, b] = args.map(value)
  const [first, second] = op === 'max' ? [0, 1] : [1, 0]
  // The larger of a number and of nothing is nothing.
  if (a.partial || b.partial) return { open: [NEVER], next: args }
  if (a.lo >= b.hi) return { choice: first, open: [], next: [args[first]] }
  if (b.lo >= a.hi) return { choice: second, open: [], next: [args[second]] }
  return { open: [difference(args[0], args[1])], next: args }
}

function difference(a: number, b: number): Open {
  return {
    nodes: [a, b],
    level: 0,
    at: (jets) => sub(jets.value(a), jets.value(b)),
    slope: (jets) => sub(jets.slope(0, a), jets.slope(0, b)),
    isContinuous: (jets) => jets.isContinuous(a) && jets.isContinuous(b),
  }
}

function branch(tape: Tape, args: readonly number[], jets: Jets): Decision {
  const test = jets.value(args[0])
  if (test.lo > 0) return { choice: 1, open: [], next: [args[1]] }
  if (test.hi === 0) return { choice: 2, open: [], next: [args[2]] }
  return { open: comparisonsIn(tape, args[0], jets), next: args.slice(1) }
}

/** The comparisons on which a condition depends and that are not decided. */
function comparisonsIn(tape: Tape, id: number, jets: Jets): Open[] {
  const { op, args } = tape.nodes[id]
  const { lo, hi } = jets.value(id)
  if (lo === hi) return []
  if (op === 'lt' || op === 'le' || op === 'eq') return [difference(args[0], args[1])]
  const inner = args.flatMap((arg) => comparisonsIn(tape, arg, jets))
  return inner.length > 0 ? inner : [NEVER]
}

/** Neighbours with the same branches are one; places next to each other are one. Undefined if a place is too wide. */
function merged(parts: readonly Part[], width: number): Part[] | undefined {
  const result: Part[] = []
  for (const part of parts) {
    const before = result.at(-1)
    if (before?.kind === 'zone' && part.kind === 'zone')
      result[result.length - 1] = { kind: 'zone', lo: before.lo, hi: part.hi }
    else if (before?.kind === 'smooth' && part.kind === 'smooth' && isSame(before.choices, part.choices))
      result[result.length - 1] = { ...before, hi: part.hi }
    else if (before?.kind === 'smooth' && part.kind === 'smooth')
      result.push({ kind: 'zone', lo: before.hi, hi: part.lo }, part)
    else result.push(part)
  }
  const isWide = result.some((part) => part.kind === 'zone' && part.hi - part.lo > MAX_ZONE * width)
  return isWide || !result.some(({ kind }) => kind === 'smooth') ? undefined : result
}

function isSame(a: BranchSides, b: BranchSides): boolean {
  return a.size === b.size && [...a].every(([id, choice]) => b.get(id) === choice)
}

function joined(line: UnivariateFunction, all: readonly Part[]): Pieces | undefined {
  const [pieces, joints] = [[] as Piece[], [] as Joint[]]
  const parts = withoutEnds(line, all)
  if (parts === undefined) return undefined
  for (const [place, part] of parts.entries()) {
    if (part.kind === 'zone') continue
    const zone = parts[place - 1]
    const before = pieces.at(-1)
    if (zone?.kind !== 'zone' || before === undefined) {
      pieces.push(part)
    } else if (isSame(before.choices, part.choices) && isOneFunction(line, zone, part.choices)) {
      pieces[pieces.length - 1] = { ...before, hi: part.hi }
    } else {
      joints.push(jointOf(line, zone, before.choices, part.choices))
      const [end, start] =
        zone.exact === undefined ? [zone.hi, zone.lo] : [toNumber(zone.exact), toNumber(zone.exact)]
      pieces[pieces.length - 1] = { ...before, hi: end }
      pieces.push({ ...part, lo: start })
    }
  }
  return { line, pieces, joints }
}

/**
 * A kink at an end of the interval has only one side that counts, so it belongs to the piece next to it. A jump there
 * is not understood.
 */
function withoutEnds(line: UnivariateFunction, parts: readonly Part[]): Part[] | undefined {
  const inner = parts.filter(
    ({ kind }, place) => kind === 'smooth' || (place > 0 && place < parts.length - 1),
  )
  const ends = parts.filter((part) => !inner.includes(part))
  if (ends.some(({ lo, hi }) => !isContinuousOver(line, lo, hi))) return undefined
  const [first, last] = [inner[0], inner.at(-1)!]
  return inner.map((part) => ({
    ...part,
    lo: part === first ? parts[0].lo : part.lo,
    hi: part === last ? parts.at(-1)!.hi : part.hi,
  }))
}

/** Whether nothing happens at a place after all: both sides are one smooth function, and so is the place itself. */
function isOneFunction(line: UnivariateFunction, { lo, hi }: Zone, choices: BranchSides): boolean {
  const jets = jetsOf(line, choices)
  jets.run([interval(lo, hi)], 1)
  const value = jets.value()
  return jets.isSmooth() && !value.partial && isBounded(value) && isContinuousOver(line, lo, hi)
}

interface Side {
  /** The node of the graph that is its value; equal nodes are equal numbers. */
  readonly node: Scalar | undefined
  readonly value: Interval
  readonly slope: Interval
  readonly dual: Dual | undefined
}

function jointOf(line: UnivariateFunction, zone: Zone, before: BranchSides, after: BranchSides): Joint {
  const { lo, hi, exact, isSingle } = zone
  const [left, right] = [sideOf(line, zone, before), sideOf(line, zone, after)]
  const at = exact === undefined ? middle(interval(lo, hi)) : toNumber(exact)
  const own = jetsOver(line, exact === undefined ? lo : at, exact === undefined ? hi : at).value()
  const isEqual = left.node !== undefined && left.node === right.node
  const value = meeting(left.value, right.value, left.dual?.value, right.dual?.value)
  const slope = meeting(left.slope, right.slope, left.dual?.slope, right.dual?.slope)
  const isOpen = (value.isSame === undefined && !isEqual) || slope.isSame === undefined
  const isOne = isOpen && isSameFormula(line, before, after) && ![left, right].some(hasNoValue)
  return {
    lo,
    hi,
    at,
    isOwn: isOwnOf(line, zone, own, [left, right]),
    own,
    isContinuous: isSingle === true && isContinuousOver(line, lo, hi),
    isSingle: isSingle === true,
    value: isEqual || isOne ? { ...value, isSame: true } : value,
    slope: isOne ? { ...slope, isSame: true } : slope,
  }
}

const hasNoValue = ({ value, slope }: Side) => value.partial || slope.partial

/** Larger formulas are not compared. */
const MAX_COMPARED = 300

/** Whether both sides are the same function, written in two ways for the sake of rounding. */
function isSameFormula(line: UnivariateFunction, before: BranchSides, after: BranchSides): boolean {
  if (line.tape.nodes.length > MAX_COMPARED) return false
  const [left, right] = [before, after].map((choices) => formulaOnSide(line, choices))
  if (left === undefined || right === undefined) return false
  return new NormalForms(line.graph!.scalars).areEqual(left, right)
}

/** The function as it is on one side, at the place where the sides meet. */
function sideOf(line: UnivariateFunction, { lo, hi, exact }: Zone, choices: BranchSides): Side {
  const { tape, variable } = line
  const jets = jetsOf(line, choices)
  jets.run([exact === undefined ? interval(lo, hi) : point(toNumber(exact))], 1)
  const dual =
    exact === undefined ? undefined : exactly(tape, exact, variable, othersOf(line), choices)[tape.roots[0]]
  return { node: nodeAt(line, exact, choices), value: jets.value(), slope: jets.slope(), dual }
}

function nodeAt(
  { graph, variable, tape }: UnivariateFunction,
  exact: Rational | undefined,
  choices: BranchSides,
): Scalar | undefined {
  if (graph === undefined || exact === undefined) return undefined
  const places = new Map(graph.scalars.reachable(graph.root).map((id, place) => [id, place]))
  if (places.size !== tape.nodes.length) return undefined
  return graph.scalars.settled(graph.root, variable, exact, (id) => choices.get(places.get(id) ?? -1))
}

/** Whether the value at the place is that of a side. */
function isOwnOf(
  line: UnivariateFunction,
  { exact, isSingle }: Zone,
  own: Interval,
  sides: readonly Side[],
): boolean | undefined {
  if (own.partial) return undefined
  if (sides.every(({ value }) => own.lo > value.hi || own.hi < value.lo)) return false
  // Between neighbouring float64 only one thing changes, and no number lies there.
  if (exact === undefined) return isSingle
  const { tape, variable } = line
  const node = nodeAt(line, exact, new Map())
  if (node !== undefined && sides.some((side) => side.node === node)) return true
  const value = exactly(tape, exact, variable, othersOf(line), new Map())[tape.roots[0]]?.value
  const known = sides.map((side) => side.dual?.value)
  if (value === undefined || known.some((one) => one === undefined)) return undefined
  return known.some((one) => compare(one!, value) === 0)
}

function isContinuousOver(line: UnivariateFunction, lo: number, hi: number): boolean {
  const jets = jetsOver(line, lo, hi)
  return jets.isContinuous() && !jets.value().partial
}

function meeting(
  left: Interval,
  right: Interval,
  a: Rational | undefined,
  b: Rational | undefined,
): OneSidedLimits {
  if (a !== undefined && b !== undefined) return { left, right, isSame: compare(a, b) === 0 }
  // An enclosure that is a point is the number itself.
  if (isPoint(left) && isPoint(right) && isBounded(left) && isBounded(right))
    return { left, right, isSame: left.lo === right.lo }
  const isApart = left.hi < right.lo || right.hi < left.lo
  return { left, right, isSame: isApart ? false : undefined }
}
