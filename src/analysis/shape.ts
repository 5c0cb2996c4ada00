/**
 * What can be proved of a function of one variable from its pieces: bounds of its value, its slope and its second
 * derivative, and whether it is convex. Boxes are halved until their enclosures decide (branch and bound); what is
 * not decided when the time is over stays unknown.
 */
import type { Clock } from './clock.ts'
import { hull, type Interval, interval, magnitude, middle, NOUGHT, point } from './interval.ts'
import type { Joint, Piece, Pieces } from './pieces.ts'
import { differentiate } from './tape.ts'

/** The value, the slope or the second derivative. */
export type Order = 0 | 1 | 2

/** Splits of one piece, at most. */
const MAX_SPLITS = 1500

/** An enclosure over a part of a piece. */
export function boundsOver(
  { line }: Pieces,
  { choices }: Piece,
  order: Order,
  lo: number,
  hi: number,
): Interval {
  const { tape, variable, box } = line
  const at = new Map(box).set(variable, interval(lo, hi))
  const jet = differentiate(tape, at, [variable], choices, order === 2 ? 2 : 1)[tape.roots[0]]
  if (order === 0) return jet.value
  return (order === 1 ? jet.slopes?.[0] : jet.bends?.[0]) ?? NOUGHT
}

/** Whether a quantity is at least 0 on a whole piece; if not, a box on which it is certainly below. */
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
  let isOpen = false
  for (let splits = 0; pending.length > 0; splits++) {
    const [lo, hi] = pending.pop()!
    const bounds = boundsOver(pieces, piece, order, lo, hi)
    const [least, most] = sign > 0 ? [bounds.lo, bounds.hi] : [-bounds.hi, -bounds.lo]
    const isDefined = !bounds.partial || lo === piece.lo || hi === piece.hi
    if (least >= 0 && isDefined) continue
    if (most < 0 && !bounds.partial) return { holds: false, below: interval(lo, hi) }
    const cut = middle(interval(lo, hi))
    const isTiny = cut <= lo || cut >= hi || hi - lo < 1e-12 * (piece.hi - piece.lo)
    if (isTiny || splits > MAX_SPLITS || clock.isOver()) {
      if (splits > MAX_SPLITS || clock.isOver()) return { holds: undefined }
      isOpen = true
      continue
    }
    pending.push([cut, hi], [lo, cut])
  }
  return { holds: isOpen ? undefined : true }
}

/** Bounds of a quantity, and places where it comes close to them. */
export interface Range {
  readonly bounds: Interval
  readonly least: { readonly at: number; readonly value: number }
  readonly most: { readonly at: number; readonly value: number }
}

/** Encloses a quantity over all pieces, until the bounds are within a thousandth of what is attained. */
export function rangeOf(pieces: Pieces, order: Order, clock: Clock, splits = 400): Range {
  const search = new RangeSearch(pieces, order)
  for (let i = 0; i < splits && !clock.isOver() && search.refine(); i++);
  return search.range()
}

interface Part {
  readonly piece: Piece
  readonly lo: number
  readonly hi: number
  readonly bounds: Interval
}

class RangeSearch {
  readonly #pieces: Pieces
  readonly #order: Order
  readonly #parts: Part[] = []
  readonly #settled: Part[] = []
  #least = { at: Number.NaN, value: Number.POSITIVE_INFINITY }
  #most = { at: Number.NaN, value: Number.NEGATIVE_INFINITY }

  constructor(pieces: Pieces, order: Order) {
    this.#pieces = pieces
    this.#order = order
    for (const piece of pieces.pieces) this.#add(piece, piece.lo, piece.hi)
  }

  #add(piece: Piece, lo: number, hi: number) {
    const bounds = boundsOver(this.#pieces, piece, this.#order, lo, hi)
    const at = middle(interval(lo, hi))
    for (const place of [lo, at, hi]) this.#visit(piece, place)
    const part = { piece, lo, hi, bounds }
    const isTiny = at <= lo || at >= hi || hi - lo < 1e-13 * (piece.hi - piece.lo)
    ;(isTiny ? this.#settled : this.#parts).push(part)
  }

  #visit(piece: Piece, at: number) {
    const value = boundsOver(this.#pieces, piece, this.#order, at, at)
    if (value.partial) return
    if (value.hi < this.#least.value) this.#least = { at, value: value.hi }
    if (value.lo > this.#most.value) this.#most = { at, value: value.lo }
  }

  /** Halves the part with the worst bound; false if nothing is left to gain. */
  refine(): boolean {
    const { lo, hi } = this.range().bounds
    const tolerance = 1e-3 * Math.max(1e-6, Math.abs(this.#least.value), Math.abs(this.#most.value))
    const isLow = this.#least.value - lo > tolerance
    const isHigh = hi - this.#most.value > tolerance
    if (!isLow && !isHigh) return false
    const place = this.#worst(isLow ? ({ bounds }) => -bounds.lo : ({ bounds }) => bounds.hi)
    if (place < 0) return false
    const [{ piece, lo: from, hi: to }] = this.#parts.splice(place, 1)
    const cut = middle(interval(from, to))
    this.#add(piece, from, cut)
    this.#add(piece, cut, to)
    return true
  }

  #worst(badness: (part: Part) => number): number {
    let worst = -1
    this.#parts.forEach((part, place) => {
      if (worst < 0 || badness(part) > badness(this.#parts[worst])) worst = place
    })
    return worst
  }

  range(): Range {
    const places = this.#order === 0 ? this.#pieces.joints.map(({ own }) => own) : []
    const all = [...[...this.#parts, ...this.#settled].map(({ bounds }) => bounds), ...places]
    return { bounds: all.reduce(hull), least: this.#least, most: this.#most }
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
  const drop = gapOf(slope)
  return drop === undefined ? undefined : Math.max(gap, drop, Number.MIN_VALUE)
}

/** How far two sides may be apart, if that is no more than rounding. */
export function gapOf({ left, right, isSame }: Joint['value']): number | undefined {
  if (isSame === true) return 0
  const gap = Math.max(left.hi, right.hi) - Math.min(left.lo, right.lo)
  return gap <= ROUNDING * scaleOf(left, right) ? gap : undefined
}

/** The same for both sides and the value at the place itself. */
function gapAround(value: Joint['value'], own: Interval): number | undefined {
  const gaps = [gapOf(value), gapOf({ left: value.left, right: own, isSame: undefined })]
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
