/**
 * Straight lines through the space of a loss with many elements: on each it is a function of one variable. A kink, a
 * jump or a dent on a line is one of the loss; lines without any prove nothing.
 */
import { type Interval, interval, point } from './interval.ts'
import type { UnivariateFunction } from './pieces.ts'
import { rational, ZERO } from './rational.ts'
import { type Case, projectToFeasible } from './subject.ts'
import { tapeOf } from './tape.ts'

/** A line through a case: `from` + t (`to` - `from`), for t from 0 to 1. */
export interface Segment {
  readonly line: UnivariateFunction
  readonly from: Readonly<Record<string, number>>
  readonly to: Readonly<Record<string, number>>
}

const PLACE = 'place'

/** A random segment of the box; all other inputs have one random value. */
export function segmentOf(one: Case, random: () => number): Segment {
  const { scalars, root, by, box } = one
  const draw = ({ lo, hi }: Interval) =>
    Math.min(hi, Math.max(lo, Math.round((lo + (hi - lo) * random()) * 64) / 64))
  const drawn = () => projectToFeasible(one, new Map([...box].map(([name, range]) => [name, draw(range)])))
  const [start, end] = [drawn(), drawn()]
  const chosen = (point: ReadonlyMap<string, number>) =>
    Object.fromEntries(by.map((name) => [name, point.get(name)!]))
  const [from, to] = [chosen(start), chosen(end)]
  const others = new Map([...start].filter(([name]) => !by.includes(name)))
  const place = scalars.variable(PLACE)
  const moved = new Map(
    by.map((name) => [
      scalars.variable(name),
      scalars.combination([place], [rational(to[name] - from[name])!], rational(from[name])!),
    ]),
  )
  const fixed = new Map(
    [...others].map(([name, value]) => [
      scalars.variable(name),
      scalars.combination([], [], rational(value) ?? ZERO),
    ]),
  )
  const along = scalars.replace(root, (id) => moved.get(id) ?? fixed.get(id))
  const line = {
    tape: tapeOf(scalars, [along]),
    variable: PLACE,
    lo: 0,
    hi: 1,
    box: new Map<string, Interval>([[PLACE, interval(0, 1)]]),
  }
  return {
    line,
    from: { ...from, ...Object.fromEntries(others) },
    to: { ...to, ...Object.fromEntries(others) },
  }
}

/** The point of a segment at t. */
export function pointOf({ from, to }: Segment, t: number): Record<string, number> {
  return Object.fromEntries(
    Object.entries(from).map(([name, start]) => [name, start + t * (to[name] - start)]),
  )
}

/** A box that is one point. */
export function pointBox(at: Readonly<Record<string, number>>): Map<string, Interval> {
  return new Map(Object.entries(at).map(([name, value]) => [name, point(value)]))
}
