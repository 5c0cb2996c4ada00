import { describe, expect, it } from 'vitest'
import {
  above,
  add,
  below,
  contains,
  div,
  type Interval,
  interval,
  mul,
  point,
  square,
  sub,
} from '../../src/analysis/interval.ts'
import {
  compare,
  minus,
  plus,
  type Rational,
  rational,
  reciprocal,
  times,
} from '../../src/analysis/rational.ts'
import { attacked, brokenEnclosures, randomBoxes, randomFormula } from '../support/attack.ts'
import { randomFrom } from '../support/sample.ts'

const random = randomFrom(16)
const number = () => (random() - 0.5) * 10 ** Math.round(random() * 60 - 30)
const exact = (x: number) => rational(x)!

function expectEncloses({ lo, hi }: Interval, want: Rational, what: string) {
  expect(compare(exact(lo), want), `${what}: ${lo}`).toBeLessThanOrEqual(0)
  expect(compare(exact(hi), want), `${what}: ${hi}`).toBeGreaterThanOrEqual(0)
}

describe('an interval', () => {
  it('contains the exact result of every operation on its bounds, and no float64 more than it has to', () => {
    for (let i = 0; i < 2000; i++) {
      const [a, b] = [number(), i % 3 === 0 ? Math.round(number()) || 3 : number()]
      const [x, y] = [point(a), point(b)]
      const wants = [
        [add(x, y), plus(exact(a), exact(b))],
        [sub(x, y), minus(exact(a), exact(b))],
        [mul(x, y), times(exact(a), exact(b))],
        [div(x, y), times(exact(a), reciprocal(exact(b))!)],
        [square(x), times(exact(a), exact(a))],
      ] as const
      for (const [got, want] of wants) {
        expectEncloses(got, want, `${a}, ${b}`)
        expect(got.hi).toBeLessThanOrEqual(above(above(got.lo)))
      }
    }
  })

  it('stays a point where the result is a float64', () => {
    expect(add(point(0.5), point(-2))).toEqual(point(-1.5))
    expect(mul(point(3), point(0.125))).toEqual(point(0.375))
    expect(div(point(1), point(4))).toEqual(point(0.25))
    expect(sub(point(0.1), point(0.1))).toEqual(point(0))
    expect(add(point(0.1), point(0.2)).lo).toBeLessThan(add(point(0.1), point(0.2)).hi)
  })

  it('keeps the sign of what underflows', () => {
    const tiny = interval(Number.MIN_VALUE, 1e-300)
    expect(mul(tiny, tiny).lo).toBe(0)
    expect(mul(tiny, tiny).hi).toBeGreaterThan(0)
  })

  it('says that a quotient may have no value where the divisor may be 0', () => {
    expect(div(interval(1, 2), interval(0, 1))).toEqual(interval(1, Number.POSITIVE_INFINITY, true))
    expect(div(interval(1, 2), interval(-1, 1)).partial).toBe(true)
  })

  it('goes on to the next float64 at every size', () => {
    for (const x of [1, -1, 1e308, 5e-324, 0, -1e-310, 1 + 2 ** -52, 2 ** 60]) {
      expect(below(x)).toBeLessThan(x)
      expect(above(x)).toBeGreaterThan(x)
    }
    expect(contains(interval(below(1), above(1)), 1)).toBe(true)
  })
})

describe('the enclosures of a program', () => {
  it('contain its value, its gradient and its second derivative at every point of the box', () => {
    for (let seed = 1; seed <= 150; seed++) {
      const draw = randomFrom(seed)
      const text = randomFormula(draw)
      expect(brokenEnclosures(attacked(text), randomBoxes(draw), draw, 8), `${seed}: ${text}`).toEqual([])
    }
  })
})
