/** Soft-DTW against the sum over all alignments, central differences and dynamic time warping itself. */
import { describe, expect, it } from 'vitest'
import { NoHessian } from '../../src/language/hessian.ts'
import { interpret } from '../../src/language/interpret.ts'
import { lower, type Scope } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { expectClose } from '../support/close.ts'
import { randomFrom } from '../support/sample.ts'

const scope: Scope = {
  inputs: { x: { type: 'real', axes: ['rows', 'i', 'j'] }, g: { type: 'real', axes: ['rows'] } },
  absent: [],
  params: { gamma: { kind: 'scalar' } },
  axes: ['rows', 'i', 'j'],
}
const program = lower(parse('soft_dtw(x, gamma, i, j)'), scope, ['x'])

function run(x: readonly number[], columns: number, gamma: number, rows = 1) {
  const sizes = { rows, i: x.length / columns / rows, j: columns }
  const { values, gradients } = interpret(program, {
    sizes,
    inputs: { x: Float64Array.from(x) },
    scalars: { gamma },
  })
  return { values: Array.from(values), slope: Array.from(gradients.x!) }
}

/** The costs of all alignments: of all ways from the first pair of steps to the last one. */
function alignments(x: readonly number[], columns: number, i = 0, j = 0): number[] {
  const height = x.length / columns
  const own = x[i * columns + j]!
  if (i === height - 1 && j === columns - 1) return [own]
  const next = [
    [i + 1, j],
    [i, j + 1],
    [i + 1, j + 1],
  ] as const
  return next
    .filter(([a, b]) => a < height && b < columns)
    .flatMap(([a, b]) => alignments(x, columns, a, b))
    .map((cost) => own + cost)
}

const softened = (costs: readonly number[], gamma: number) =>
  -gamma * Math.log(costs.reduce((sum, cost) => sum + Math.exp(-cost / gamma), 0))

const random = randomFrom(12)
const costs = Array.from({ length: 20 }, () => 3 * random())

describe('soft-DTW', () => {
  it.each([0.01, 0.3, 1, 10])('is the softened minimum over all alignments, with gamma %d', (gamma) => {
    expectClose(run(costs, 5, gamma).values, [softened(alignments(costs, 5), gamma)], { relative: 1e-12 })
    expectClose(run(costs, 4, gamma).values, [softened(alignments(costs, 4), gamma)], { relative: 1e-12 })
  })

  it.each([0.3, 1, 10])('has the gradient that central differences find, with gamma %d', (gamma) => {
    const h = 1e-5
    const slopes = costs.map((x, at) => {
      const of = (step: number) => run(costs.with(at, x + step), 5, gamma).values[0]!
      return (of(h) - of(-h)) / (2 * h)
    })
    expectClose(run(costs, 5, gamma).slope, slopes, { relative: 1e-7, absolute: 1e-8 })
  })

  it('with gamma 0 is the smallest cost, and its alignment the gradient', () => {
    const x = [1, 9, 9, 1, 9, 9, 9, 1, 1]
    expect(run(x, 3, 0)).toEqual({ values: [4], slope: [1, 0, 0, 1, 0, 0, 0, 1, 1] })
    expect(run(costs, 5, 0).values[0]).toBeCloseTo(Math.min(...alignments(costs, 5)), 12)
  })

  it('with gamma 0 shares the gradient evenly at each tie, which is where a small gamma leads', () => {
    const x = [0, 1, 1, 0]
    expect(run([0, 1, 1, 1], 2, 0).slope).toEqual([1, 0, 0, 1])
    expect(run([0, 0, 0, 1], 2, 0).slope).toEqual(run([0, 0, 0, 1], 2, 1e-9).slope)
    expect(run(x, 2, 0).values).toEqual([0])
  })

  it('scales with its costs, however large they are', () => {
    const [small, large] = [
      run(costs, 5, 0.5),
      run(
        costs.map((x) => 2 ** 40 * x),
        5,
        2 ** 39,
      ),
    ]
    expect(large.values).toEqual(small.values.map((x) => 2 ** 40 * x))
    expect(large.slope).toEqual(small.slope)
  })

  it('never passes a pair of infinite cost, and is infinite if all do', () => {
    const open = run([1, Infinity, 2, 3], 2, 1)
    expectClose(open.values, [softened([4, 6], 1)], { relative: 1e-12 })
    expect(open.slope[1]).toBe(0)
    expect(run([1, Infinity, Infinity, Infinity], 2, 1)).toEqual({ values: [Infinity], slope: [0, 0, 0, 0] })
  })

  it('leaves its neighbours alone', () => {
    const together = run([...costs, ...costs.map(() => Number.NaN), ...costs.map((x) => x * x)], 5, 0.5, 3)
    expect(together.values[0]).toBe(run(costs, 5, 0.5).values[0])
    expect(together.values[1]).toBeNaN()
    expect(together.slope.slice(40)).toEqual(
      run(
        costs.map((x) => x * x),
        5,
        0.5,
      ).slope,
    )
  })

  it('takes a gamma for each row, which is constant to the gradient', () => {
    const own = lower(parse('soft_dtw(x, g, i, j)'), scope, ['x', 'g'])
    const inputs = { x: Float64Array.from([...costs, ...costs]), g: Float64Array.of(0.1, 2) }
    const { values, gradients } = interpret(own, { sizes: { rows: 2, i: 4, j: 5 }, inputs, scalars: {} })
    expect(Array.from(values)).toEqual([0.1, 2].map((gamma) => run(costs, 5, gamma).values[0]))
    expect(Array.from(gradients.g!)).toEqual([0, 0])
  })

  it('has no second derivative, and says so', () => {
    expect(() => lower(parse('soft_dtw(x, 1, i, j)'), scope, ['x'], undefined, ['x'])).toThrow(NoHessian)
  })

  it('refuses a gamma for each pair of steps', () => {
    expect(() => lower(parse('soft_dtw(x, x, i, j)'), scope, [])).toThrow(
      'gamma must not have the axes i and j',
    )
  })
})
