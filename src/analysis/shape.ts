/**
 * What can be proved of a function of one variable from its pieces: bounds of its value, its slope and its second
 * derivative, and whether it is convex. Boxes are halved until their enclosures decide (branch and bound); what is
 * not decided when the time is over stays unknown.
 */
import type { Clock } from './clock.ts'
import {
  add,
  asPartial,
  hull,
  type Interval,
  interval,
  isBounded,
  isPoint,
  magnitude,
  middle,
  mul,
  point,
  sub,
} from './interval.ts'
import type { Jets, Order } from './jets.ts'
import { type Joint, jetsOf, type Piece, type Pieces, type UnivariateFunction } from './pieces.ts'

/** Splits of one piece, at most. */
const MAX_SPLITS = 5000

/** An enclosure over a part of a piece, as it comes from the operations. */
function boundsByOperations(jets: Jets, order: Order, lo: number, hi: number): Interval {
  jets.run([interval(lo, hi)], order)
  return quantity(jets, order)
}

const quantity = (jets: Jets, order: Order) =>
  order === 0 ? jets.value() : order === 1 ? jets.slope() : jets.bend()

/**
 * An enclosure over a part of a piece. Where its derivative has one sign, the quantity lies between its values at the
 * ends; else the mean value theorem may say more than the operations do.
 */
export function boundsOver(
  { line }: Pieces,
  { choices }: Piece,
  order: Order,
  lo: number,
  hi: number,
): Interval {
  const jets = jetsOf(line, choices)
  if (order === 2 || lo === hi) return boundsByOperations(jets, order, lo, hi)
  jets.run([interval(lo, hi)], order === 0 ? 1 : 2)
  const [whole, rate] = [quantity(jets, order), quantity(jets, order === 0 ? 1 : 2)]
  const isMean = order === 0 ? jets.isContinuous() : jets.isSmooth()
  return isMean && !whole.partial && !rate.partial ? sharpened(jets, order, lo, hi, whole, rate) : whole
}

function sharpened(
  jets: Jets,
  order: Order,
  lo: number,
  hi: number,
  whole: Interval,
  rate: Interval,
): Interval {
  if (rate.lo >= 0 || rate.hi <= 0)
    return common(
      whole,
      hull(boundsByOperations(jets, order, lo, lo), boundsByOperations(jets, order, hi, hi)),
    )
  if (!isBounded(rate)) return whole
  const centre = middle(interval(lo, hi))
  const steps = sub(interval(lo, hi), point(centre))
  return common(whole, add(boundsByOperations(jets, order, centre, centre), mul(rate, steps)))
}

/** Two enclosures of the same, joined. */
function common(a: Interval, b: Interval): Interval {
  if (b.partial) return a
  const [lo, hi] = [Math.max(a.lo, b.lo), Math.min(a.hi, b.hi)]
  return lo <= hi ? interval(lo, hi) : a
}

/**
 * Whether a quantity is at least 0 on a whole piece; if not, a box on which it is certainly below. Where another variable has a
 * range, there is no such box, and the search ends where halving cannot decide.
 */
export interface Signed {
  readonly holds: boolean | undefined
  readonly below?: Interval
}

export function isNeverNegative(
  pieces: Pieces,
  piece: Piece,
  order: Order,
  clock: Clock,
  sign: 1 | -1 = 1,
): Signed {
  const pending: [number, number][] = [[piece.lo, piece.hi]]
  const jets = jetsOf(pieces.line, piece.choices)
  const isAlone = isCertain(pieces.line)
  let isOpen = false
  for (let splits = 0; pending.length > 0; splits++) {
    const [lo, hi] = pending.pop()!
    const rough = boundsByOperations(jets, order, lo, hi)
    const isClear = (sign > 0 ? rough.lo : -rough.hi) >= 0
    const bounds = isClear || order === 2 ? rough : boundsOver(pieces, piece, order, lo, hi)
    const [least, most] = sign > 0 ? [bounds.lo, bounds.hi] : [-bounds.hi, -bounds.lo]
    const isDefined = !bounds.partial || lo === piece.lo || hi === piece.hi
    if (least >= 0 && isDefined) continue
    if (most < 0 && !bounds.partial) return { holds: false, below: interval(lo, hi) }
    const cut = cutOf(lo, hi)
    const isTiny = cut <= lo || cut >= hi || hi - lo < 1e-12 * (piece.hi - piece.lo)
    if (isTiny || splits > MAX_SPLITS || clock.isOver()) {
      if (!isAlone || splits > MAX_SPLITS || clock.isOver()) return { holds: undefined }
      isOpen = true
      continue
    }
    pending.push([cut, hi], [lo, cut])
  }
  return { holds: isOpen ? undefined : true }
}

/** Where to halve: at 0 first, where most losses are least. */
const cutOf = (lo: number, hi: number) => (lo < 0 && hi > 0 ? 0 : middle(interval(lo, hi)))

/** Bounds of a quantity, and places where it comes close to them. */
export interface Range {
  readonly bounds: Interval
  readonly least: { readonly at: number; readonly value: number }
  readonly most: { readonly at: number; readonly value: number }
}

/** Bounds that get closer by less than this part, when all parts have been halved once more, do not get much closer. */
const LEAST_GAIN = 0.05
/** The first halvings of a range may show nothing. */
const MIN_PARTS = 16

/**
 * Encloses a quantity over all pieces, until the bounds are within a thousandth of what is attained. Where another variable
 * has a range, they stay apart from it, and the search ends when halving does not help.
 */
export function rangeOf(pieces: Pieces, order: Order, clock: Clock, splits = 400): Range {
  const search = new RangeSearch(pieces, order)
  const patience = isCertain(pieces.line) ? splits : MIN_PARTS
  let [width, next] = [search.width, patience]
  for (let i = 0; i < splits && !clock.isOver() && search.refine(); i++) {
    if (i < next) continue
    if (search.width > width * (1 - LEAST_GAIN)) break
    width = search.width
    next = i + Math.max(patience, search.size)
  }
  return search.range()
}

/** Whether all variables but the one of the function are single numbers. */
function isCertain({ tape, variable, box }: UnivariateFunction): boolean {
  return tape.variables.every((name) => name === variable || (box.has(name) && isPoint(box.get(name)!)))
}

interface Part {
  readonly piece: Piece
  readonly lo: number
  readonly hi: number
  readonly bounds: Interval
}

/** The bounds of all parts, and which of them are the worst. */
interface Extremes {
  readonly bounds: Interval
  readonly lowest: number
  readonly highest: number
}

/** How close bounds have to come to what is attained, of values, slopes and second derivatives. */
const TOLERANCES = [1e-3, 1e-3, 5e-3] as const

class RangeSearch {
  readonly #pieces: Pieces
  readonly #order: Order
  readonly #parts: Part[] = []
  /** Bounds of what cannot be halved. */
  readonly #settled: Interval[] = []
  #least = { at: Number.NaN, value: Number.POSITIVE_INFINITY }
  #most = { at: Number.NaN, value: Number.NEGATIVE_INFINITY }

  constructor(pieces: Pieces, order: Order) {
    this.#pieces = pieces
    this.#order = order
    if (order === 0) this.#settled.push(...pieces.joints.map(({ own }) => own))
    for (const piece of pieces.pieces) {
      this.#visit(piece, piece.lo)
      this.#visit(piece, piece.hi)
      this.#add(piece, piece.lo, piece.hi)
    }
  }

  get size(): number {
    return this.#parts.length
  }

  get width(): number {
    const { lo, hi } = this.#extremes().bounds
    return hi - lo
  }

  #add(piece: Piece, lo: number, hi: number) {
    const bounds = boundsOver(this.#pieces, piece, this.#order, lo, hi)
    const at = cutOf(lo, hi)
    this.#visit(piece, at)
    const isTiny = at <= lo || at >= hi || hi - lo < 1e-13 * (piece.hi - piece.lo)
    if (isTiny) this.#settled.push(bounds)
    else this.#parts.push({ piece, lo, hi, bounds })
  }

  #visit(piece: Piece, at: number) {
    const value = boundsByOperations(jetsOf(this.#pieces.line, piece.choices), this.#order, at, at)
    if (value.partial) return
    if (value.hi < this.#least.value) this.#least = { at, value: value.hi }
    if (value.lo > this.#most.value) this.#most = { at, value: value.lo }
  }

  /** Halves the part with the worst bound; false if nothing is left to gain. */
  refine(): boolean {
    const { bounds, lowest, highest } = this.#extremes()
    const tolerance =
      TOLERANCES[this.#order] * Math.max(1e-6, Math.abs(this.#least.value), Math.abs(this.#most.value))
    const isLow = this.#least.value - bounds.lo > tolerance
    const isHigh = bounds.hi - this.#most.value > tolerance
    const place = isLow ? lowest : isHigh ? highest : -1
    if (place < 0) return false
    const [{ piece, lo, hi }] = this.#parts.splice(place, 1)
    const cut = cutOf(lo, hi)
    this.#add(piece, lo, cut)
    this.#add(piece, cut, hi)
    return true
  }

  #extremes(): Extremes {
    const parts = this.#parts
    let [lowest, highest] = parts.length === 0 ? [-1, -1] : [0, 0]
    for (let i = 1; i < parts.length; i++) {
      if (parts[i].bounds.lo < parts[lowest].bounds.lo) lowest = i
      if (parts[i].bounds.hi > parts[highest].bounds.hi) highest = i
    }
    const ends = lowest < 0 ? [] : [parts[lowest].bounds, parts[highest].bounds]
    const partial = parts.some(({ bounds }) => bounds.partial)
    const all = [...ends, ...this.#settled].reduce(hull)
    return { bounds: partial ? asPartial(all) : all, lowest, highest }
  }

  range(): Range {
    return { bounds: this.#extremes().bounds, least: this.#least, most: this.#most }
  }
}

/** How far the pieces of a function are from something at their joints, in the size of rounding. */
export type Shape =
  | { readonly kind: 'proved'; readonly how: string }
  /** It holds but for jumps of value or slope of at most `slack`, as rounding leaves them. */
  | { readonly kind: 'nearly'; readonly slack: number; readonly how: string }
  | { readonly kind: 'refuted'; readonly at: Interval; readonly how: string }
  | { readonly kind: 'unknown'; readonly how: string }

const BY_PIECES = 'second derivative enclosed on every piece, slopes compared where pieces meet'
/** What rounding in a few operations may leave, relative to the numbers that meet. */
const ROUNDING = 1e-12

/** Whether the function is convex (`sign` 1) or concave (-1) on its interval. */
export function convexity(pieces: Pieces, clock: Clock, sign: 1 | -1 = 1): Shape {
  let slack = 0
  for (const joint of pieces.joints) {
    const found = turnsAt(joint, sign)
    if (found === 'wrong')
      return { kind: 'refuted', at: point(joint.at), how: 'a kink or jump of the wrong sign' }
    if (found === undefined) return { kind: 'unknown', how: `what happens at ${joint.at} is not decided` }
    slack = Math.max(slack, found)
  }
  for (const piece of pieces.pieces) {
    const { holds, below } = isNeverNegative(pieces, piece, 2, clock, sign)
    if (below !== undefined)
      return { kind: 'refuted', at: below, how: 'the second derivative has the wrong sign' }
    if (holds === undefined)
      return { kind: 'unknown', how: 'the sign of the second derivative is not decided' }
  }
  return slack === 0 ? { kind: 'proved', how: BY_PIECES } : { kind: 'nearly', slack, how: BY_PIECES }
}

/** How far a joint is from turning in the right direction (0: it does). */
function turnsAt(
  { value, slope, isContinuous, isOwn, own }: Joint,
  sign: 1 | -1,
): number | 'wrong' | undefined {
  if (isOwn === false) return 'wrong'
  const isExact = isContinuous || (value.isSame === true && isOwn === true)
  const gap = isExact ? 0 : gapAround(value, own)
  if (gap === undefined) return value.isSame === false ? 'wrong' : undefined
  const [left, right] = sign > 0 ? [slope.left, slope.right] : [slope.right, slope.left]
  if (slope.isSame === true || left.hi <= right.lo) return gap
  if (left.lo > right.hi + ROUNDING * scaleOf(left, right)) return gap === 0 ? 'wrong' : undefined
  const drop = roundingGap(slope)
  return drop === undefined ? undefined : Math.max(gap, drop, Number.MIN_VALUE)
}

/** How far two sides may be apart, if that is no more than rounding. */
export function roundingGap({ left, right, isSame }: Joint['value']): number | undefined {
  if (isSame === true) return 0
  const gap = Math.max(left.hi, right.hi) - Math.min(left.lo, right.lo)
  // Without bounds, both sides of this comparison are infinite.
  return Number.isFinite(gap) && gap <= ROUNDING * scaleOf(left, right) ? gap : undefined
}

/** The same for both sides and the value at the place itself. */
function gapAround(value: Joint['value'], own: Interval): number | undefined {
  const gaps = [roundingGap(value), roundingGap({ left: value.left, right: own, isSame: undefined })]
  if (own.partial || gaps.some((gap) => gap === undefined)) return undefined
  return Math.max(Number.MIN_VALUE, ...gaps.map((gap) => gap!))
}

const scaleOf = (a: Interval, b: Interval) => Math.max(1, magnitude(a), magnitude(b))

/** Whether the function never falls (`sign` 1) or never rises (-1). */
export function isMonotone(pieces: Pieces, clock: Clock, sign: 1 | -1): boolean {
  return (
    pieces.joints.every(
      ({ isContinuous, value, isOwn }) => isContinuous || (value.isSame === true && isOwn),
    ) && pieces.pieces.every((piece) => isNeverNegative(pieces, piece, 1, clock, sign).holds === true)
  )
}
