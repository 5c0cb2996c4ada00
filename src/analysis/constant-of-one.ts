/**
 * The best constant that is one number. Each look at a place costs a pass over all targets, so a convex loss is bisected by
 * the sign of its slope; only where nothing is known of the shape are many places looked at.
 */
import { type Clock, portionOf } from './clock.ts'
import type { Constant, Objective } from './objective.ts'

/** The places of the first look are that many parts of the range apart. */
const PARTS = 64
/** Kinks that are looked at where the loss may have many valleys. */
const MOST_KINKS = 2000
/** A valley that is being narrowed needs no more steps than this, whatever its slopes are. */
const MOST_STEPS = 200
/** However little time there is, an answer needs both ends and the middle. */
const LEAST_LOOKS = 3

/** Several valleys are possible: each one is searched, the deepest first, and the lowest bottom counts. */
export function ofOne({ at, range, kinks, isConvex }: Objective, clock: Clock): Constant | undefined {
  const curve = new Curve(at)
  const inside = [...new Set(kinks)].filter((x) => x > range[0] && x < range[1]).sort((a, b) => a - b)
  const grid = gridOver(inside, range)
  const candidates =
    isConvex === true
      ? valley(curve, ordered([...grid, ...inside]), clock)
      : valleys(curve, grid, inside, clock)
  candidates.push(...widened(curve, [Math.min(...grid), Math.max(...grid)], range, clock))
  const finite = candidates.filter((x) => Number.isFinite(curve.value(x)))
  if (finite.length === 0) return undefined
  return judged(
    curve,
    flat(
      finite.reduce((a, b) => (curve.value(b) < curve.value(a) ? b : a)),
      curve,
      clock,
    ),
  )
}

/** The loss by its constant, which remembers where it was looked at. */
class Curve {
  readonly #at: Objective['at']
  readonly #known = new Map<number, { readonly value: number; readonly slope: number }>()

  constructor(at: Objective['at']) {
    this.#at = at
  }

  /** Passes over the targets. */
  get looks(): number {
    return this.#known.size
  }

  value(x: number): number {
    return this.#look(x).value
  }

  slope(x: number): number {
    return this.#look(x).slope
  }

  #look(x: number) {
    const known = this.#known.get(x)
    if (known !== undefined) return known
    const { value, gradient } = this.#at([x])
    const found = { value, slope: gradient[0] }
    this.#known.set(x, found)
    return found
  }
}

function judged(curve: Curve, best: number): Constant {
  const step = 1e-7 * Math.max(1, Math.abs(best))
  const sides = [curve.slope(best - step), curve.slope(best + step)]
  const isStationary = Math.abs(curve.slope(best)) < 1e-9 || (sides[0] <= 1e-9 && sides[1] >= -1e-9)
  return { constant: [best], loss: curve.value(best), slopes: sides, iterations: curve.looks, isStationary }
}

/** From well below the least kink to well above the largest: the ends first, then what halves the gaps, so that any part covers all. */
function gridOver(kinks: readonly number[], [low, high]: Objective['range']): number[] {
  const [least, most] = kinks.length === 0 ? [-10, 10] : [kinks[0], kinks.at(-1)!]
  const from = Math.max(low, least - 1 - (most - least))
  const to = Math.min(high, most + 1 + (most - least))
  const places = [0, PARTS]
  for (let gap = PARTS; gap > 1; gap /= 2) for (let i = gap / 2; i < PARTS; i += gap) places.push(i)
  return places.map((i) => from + ((to - from) * i) / PARTS)
}

function ordered(places: readonly number[]): number[] {
  return [...new Set(places)].sort((a, b) => a - b)
}

/** The only valley of a convex loss. Of many kinks, few are near where a line between the ends crosses 0. */
function valley(curve: Curve, places: readonly number[], clock: Clock): number[] {
  let [a, b] = [0, places.length - 1]
  for (let i = 0; b - a > 1 && !clock.isOver(); i++) {
    const middle = i % 2 === 0 ? (a + b) >> 1 : nearest(places, crossingOf(curve, places[a], places[b]), a, b)
    if (curve.slope(places[middle]) < 0) a = middle
    else b = middle
  }
  // At the end of a range a slope may be no number.
  const isBeyond = curve.slope(places[a]) > 0 || curve.slope(places[b]) < 0
  return [places[a], places[b], ...(isBeyond ? [] : [bottom(curve, places[a], places[b], clock)])]
}

/** The place that is nearest to a number, strictly between two others. */
function nearest(places: readonly number[], x: number, from: number, to: number): number {
  let [a, b] = [from, to]
  while (b - a > 1) {
    const middle = (a + b) >> 1
    if (places[middle] < x) a = middle
    else b = middle
  }
  return Math.min(to - 1, Math.max(from + 1, x - places[a] < places[b] - x ? a : b))
}

function crossingOf(curve: Curve, a: number, b: number): number {
  return crossing(a, b, curve.slope(a), curve.slope(b))
}

function valleys(curve: Curve, grid: readonly number[], kinks: readonly number[], clock: Clock): number[] {
  const places = ordered(looked(curve, [...grid, ...spread(kinks)], portionOf(clock, 0.5)))
  const depth = (i: number) => Math.min(curve.value(places[i]), curve.value(places[i + 1]))
  const found = places
    .slice(1)
    .flatMap((next, i) => (curve.slope(places[i]) <= 0 && curve.slope(next) >= 0 ? [i] : []))
    .sort((i, j) => depth(i) - depth(j))
  const bottoms: number[] = []
  for (const i of found) {
    if (clock.isOver()) break
    bottoms.push(bottom(curve, places[i], places[i + 1], clock))
  }
  return [...places, ...bottoms]
}

/** Looks at as many of the places as there is time for. */
function looked(curve: Curve, places: readonly number[], clock: Clock): number[] {
  const seen: number[] = []
  for (const place of places) {
    if (seen.length >= LEAST_LOOKS && clock.isOver()) break
    curve.slope(place)
    seen.push(place)
  }
  return seen
}

/** Of many kinks some, evenly. */
function spread(kinks: readonly number[]): readonly number[] {
  if (kinks.length <= MOST_KINKS) return kinks
  return Array.from({ length: MOST_KINKS }, (_, i) => kinks[Math.floor((i * kinks.length) / MOST_KINKS)])
}

/** Of an interval of equal losses its middle, as the median of an even number of targets. */
function flat(best: number, curve: Curve, clock: Clock): number {
  const value = curve.value(best)
  const size = Math.max(1, Math.abs(best))
  const reach = (way: 1 | -1) => {
    if (clock.isOver() || curve.value(best + way * 1e-6 * size) !== value) return best
    let step = 1e-6 * size
    while (!clock.isOver() && step < 1e6 * size && curve.value(best + way * 2 * step) <= value) step *= 2
    let [inside, outside] = [step, 2 * step]
    for (let i = 0; i < 60 && !clock.isOver(); i++) {
      const cut = (inside + outside) / 2
      if (curve.value(best + way * cut) <= value + 1e-15 * Math.abs(value)) inside = cut
      else outside = cut
    }
    return best + way * inside
  }
  const [a, b] = [reach(-1), reach(1)]
  return a === best && b === best ? best : (a + b) / 2
}

/** The bottom may lie beyond the places that were looked at. */
function widened(
  curve: Curve,
  [first, last]: readonly [number, number],
  [low, high]: Objective['range'],
  clock: Clock,
): number[] {
  const found: number[] = []
  for (const [isOpen, start, way, end] of [
    [curve.slope(first) > 0, first, -1, low],
    [curve.slope(last) < 0, last, 1, high],
  ] as const) {
    let [inner, step] = [start, Math.max(1, Math.abs(start))]
    for (let i = 0; isOpen && i < 60 && !clock.isOver(); i++) {
      const outer = way > 0 ? Math.min(end, inner + step) : Math.max(end, inner - step)
      const isPast = way > 0 ? curve.slope(outer) >= 0 : curve.slope(outer) <= 0
      if (isPast)
        found.push(way > 0 ? bottom(curve, inner, outer, clock) : bottom(curve, outer, inner, clock))
      if (isPast || outer === end) break
      inner = outer
      step *= 2
    }
  }
  return found
}

/**
 * Where a slope that is not above 0 on the left and not below 0 on the right changes its sign: by regula falsi with the
 * Illinois rule, which a smooth slope needs few steps with, and every other time by halving, which bounds the steps of any.
 */
function bottom(curve: Curve, from: number, to: number, clock: Clock): number {
  let [a, b] = [from, to]
  let [below, above] = [curve.slope(a), curve.slope(b)]
  let moved: 'a' | 'b' | undefined
  for (let i = 0; i < MOST_STEPS && !clock.isOver(); i++) {
    const cut = i % 2 === 0 ? crossing(a, b, below, above) : a / 2 + b / 2
    if (cut <= a || cut >= b) break
    const found = curve.slope(cut)
    if (found === 0) return cut
    const side = found < 0 ? 'a' : 'b'
    // An end that stays twice counts half, so that it moves, too.
    const share = side === moved ? 0.5 : 1
    if (side === 'a') [a, below, above] = [cut, found, above * share]
    else [b, above, below] = [cut, found, below * share]
    moved = side
  }
  return Math.abs(curve.slope(a)) <= Math.abs(curve.slope(b)) ? a : b
}

/** Where a line between both slopes is 0, but not so close to an end that the other one would stay where it is. */
function crossing(a: number, b: number, below: number, above: number): number {
  const middle = a / 2 + b / 2
  const cut = a + (b - a) * (below / (below - above))
  if (!Number.isFinite(cut)) return middle
  const least = 2 * Number.EPSILON * Math.max(Math.abs(a), Math.abs(b))
  return b - a <= 2 * least ? middle : Math.min(b - least, Math.max(a + least, cut))
}
