/** minimize: how often it looks at the targets, and that it ends when its time is over. */
import { describe, expect, it } from 'vitest'
import { clockOf } from '../../src/analysis/clock.ts'
import { minimize, type Objective } from '../../src/analysis/constant.ts'

const targets = Array.from({ length: 2500 }, (_, i) => Math.sin(i) * 50 + (i % 7))

/** The mean of a loss of the difference, which counts its passes. */
function meanOf(loss: (x: number) => number, slope: (x: number) => number) {
  let passes = 0
  const mean = (f: (x: number) => number, c: number) =>
    targets.reduce((sum, y) => sum + f(c - y), 0) / targets.length
  const objective = {
    size: 1,
    at: ([c]: readonly number[]) => {
      passes++
      return { value: mean(loss, c), gradient: [mean(slope, c)] }
    },
    range: [-1e30, 1e30],
    kinks: targets,
  } satisfies Objective
  return { objective, passes: () => passes }
}

const huber = () =>
  meanOf(
    (x) => (Math.abs(x) <= 1 ? (x * x) / 2 : Math.abs(x) - 0.5),
    (x) => Math.max(-1, Math.min(1, x)),
  )
/** The median has many targets on both sides. */
const absolute = () => meanOf(Math.abs, Math.sign)
/** One valley at every target. */
const welsch = () =>
  meanOf(
    (x) => -Math.exp(-1e6 * x * x),
    (x) => 2e6 * x * Math.exp(-1e6 * x * x),
  )

const sum = (f: (x: number) => number, c: number) => targets.reduce((so, y) => so + f(c - y), 0)

describe('the best constant of one number', () => {
  it('needs few passes over the targets where the loss is convex', () => {
    const { objective, passes } = huber()
    const { constant, isStationary } = minimize({ ...objective, isConvex: true }, clockOf(10_000))
    expect(sum((x) => Math.max(-1, Math.min(1, x)), constant[0])).toBeCloseTo(0, 9)
    expect(isStationary).toBe(true)
    expect(passes()).toBeLessThan(60)
  })

  it('is a median of absolute errors, in few passes', () => {
    const { objective, passes } = absolute()
    const { constant, loss } = minimize({ ...objective, isConvex: true }, clockOf(10_000))
    const sorted = [...targets].sort((a, b) => a - b)
    expect(constant[0]).toBeGreaterThanOrEqual(sorted[1249])
    expect(constant[0]).toBeLessThanOrEqual(sorted[1250])
    expect(loss).toBeCloseTo(sum(Math.abs, sorted[1249]) / targets.length, 12)
    expect(passes()).toBeLessThan(250)
  })

  it('finds the same without knowing that the loss is convex', () => {
    const known = minimize({ ...huber().objective, isConvex: true }, clockOf(10_000))
    const unknown = minimize(huber().objective, clockOf(10_000))
    expect(unknown.constant[0]).toBeCloseTo(known.constant[0], 9)
  })

  it.each([
    ['convex', { ...huber().objective, isConvex: true }],
    ['unknown', huber().objective],
    ['with many valleys', welsch().objective],
  ])('is the best so far when the time is over (%s)', (_, objective) => {
    const start = performance.now()
    const slow = (constant: readonly number[]) => {
      const until = performance.now() + 5
      while (performance.now() < until);
      return objective.at(constant)
    }
    const { loss } = minimize({ ...objective, at: slow }, clockOf(20))
    expect(loss).toBeLessThan(Number.POSITIVE_INFINITY)
    // A few passes are needed after the end.
    expect(performance.now() - start).toBeLessThan(300)
  })

  it('is found in the range when no slope is a number at its ends', () => {
    const at = ([p]: readonly number[]) => ({
      value: -0.25 * Math.log(p) - 0.75 * Math.log1p(-p),
      gradient: [-0.25 / p + 0.75 / (1 - p)],
    })
    const { constant } = minimize({ size: 1, at, range: [0, 1], kinks: [], isConvex: true }, clockOf(1000))
    expect(constant[0]).toBeCloseTo(0.25, 12)
  })
})

describe('the best constant of several numbers', () => {
  it('is the best so far when the time is over', () => {
    const at = (x: readonly number[]) => {
      const until = performance.now() + 2
      while (performance.now() < until);
      return { value: x.reduce((so, c) => so + (c - 1) ** 2, 0), gradient: x.map((c) => 2 * (c - 1)) }
    }
    const start = performance.now()
    const { loss } = minimize({ size: 500, at, range: [-1e30, 1e30], kinks: [] }, clockOf(20))
    expect(loss).toBeLessThanOrEqual(500)
    expect(performance.now() - start).toBeLessThan(300)
  })
})
