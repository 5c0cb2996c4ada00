/**
 * Automatic differentiation: every gradient rule against central differences, conventions at kinks, and conditionals.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FUNCTIONS } from '../../src/language/functions.ts'
import { CONSTANT, SMOOTH, VALUES } from '../support/calls.ts'
import { expectClose } from '../support/close.ts'
import { evaluateFormula, type Values } from '../support/formulas.ts'

/** The error is h^2 f''' / 6 plus 1e-16 / h. */
const h = 1e-5

function differences(text: string, values: Values, name: 'x' | 'y' | 'v'): number[] {
  const total = (moved: Values) => evaluateFormula(text, moved).values.reduce((a, b) => a + b, 0)
  return values[name]!.map((_, place) => {
    const at = (step: number) => ({
      ...values,
      [name]: values[name]!.map((x, i) => (i === place ? x + step : x)),
    })
    return (total(at(h)) - total(at(-h))) / (2 * h)
  })
}

describe('the gradient equals central differences', () => {
  it.each(SMOOTH)('%s', (text) => {
    const names = (['x', 'y', 'v'] as const).filter((name) => new RegExp(`\\b${name}\\b`).test(text))
    const { gradients } = evaluateFormula(text, VALUES, names)
    for (const name of names) {
      expectClose(gradients[name]!, differences(text, VALUES, name), {
        relative: 1e-6,
        absolute: 1e-7,
        what: name,
      })
    }
  })

  it('of a constant is zero', () => {
    for (const text of CONSTANT) {
      expect(evaluateFormula(text, VALUES, ['x']).gradients.x, text).toEqual([0, 0, 0, 0, 0, 0])
    }
  })

  // ctc needs labels and lengths: see whole.test.ts
  it('for every function of the language', () => {
    const called = [...SMOOTH, ...CONSTANT].join('\n')
    const missing = [...FUNCTIONS.keys()].filter(
      (name) => name !== 'ctc' && !new RegExp(`\\b${name}\\(`).test(called),
    )
    expect(missing).toEqual([])
  })
})

/** Central differences with Richardson extrapolation: the error is about h^4 f^(5). */
function slopeOf(text: string, x: readonly number[], place: number): number {
  const total = (step: number) => {
    const moved = x.map((value, i) => (i === place ? value + step : value))
    return evaluateFormula(text, { x: moved }).values.reduce((a, b) => a + b, 0)
  }
  const step = 1e-3 * Math.max(0.05, Math.abs(x[place]!))
  const difference = (h: number) => (total(h) - total(-h)) / (2 * h)
  return (4 * difference(step / 2) - difference(step)) / 3
}

describe('the gradient equals differences at any point', () => {
  it.each([
    ['asin(x)', -0.95, 0.95],
    ['acos(x)', -0.95, 0.95],
    ['log2(x)', 0.1, 100],
    ['log10(x)', 0.1, 100],
    ['silu(x)', -20, 20],
    ['logaddexp(x, 1)', -20, 20],
    ['logaddexp(1, x)', -20, 20],
    ['square(x) - power(x, 3)', -5, 5],
    ['clip(x, -1, 1) + maximum(x, 2) * minimum(x, -2)', 2.1, 9],
    ['lgamma(x)', 0.2, 50],
    ['lgamma(x)', -2.9, -2.1],
    ['digamma(x)', 0.2, 50],
    ['digamma(x)', -0.9, -0.1],
    ['trigamma(x)', 0.2, 50],
    ['polygamma(3, x)', 0.2, 50],
    ['var(x, columns)', -5, 5],
    ['std(x, columns) * x', -5, 5],
    ['var(x, columns, 1) ^ 2', -5, 5],
    ['cummax(x, columns) * sort(x, columns)', -5, 5],
    ['cummin(x * x, columns) * x', -5, 5],
  ])('%s from %d to %d', (text, low, high) => {
    const numbers = fc.array(fc.double({ min: low, max: high, noNaN: true }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(numbers, (x) => {
        // Sorting and variance have kinks at equal or nearly equal numbers.
        const sorted = x.map(Math.abs).sort((a, b) => a - b)
        fc.pre(sorted.every((value, i) => i === 0 || value - sorted[i - 1]! > 0.02))
        const { gradients } = evaluateFormula(text, { x }, ['x'])
        const slopes = x.map((_, place) => slopeOf(text, x, place))
        expectClose(gradients.x!, slopes, { relative: 1e-6, absolute: 1e-7 })
      }),
      { numRuns: 60 },
    )
  })
})

describe('at a kink the gradient is the published convention', () => {
  const at = (text: string, kink: Values) => evaluateFormula(text, kink, ['x']).gradients.x

  it.each([
    ['abs at 0 rests', 'abs(x)', [0], [0]],
    ['a hinge on its corner rests', 'relu(1 - x)', [1], [0]],
    ['max against a constant rests', 'max(x, 2)', [2], [0]],
    ['min against a constant rests', 'min(x, 2)', [2], [0]],
    ['clamp at a bound rests', 'clamp(x, 0, 1)', [1], [0]],
    ['tied maxima share evenly', 'max(x, columns)', [3, 1, 3], [0.5, 0, 0.5]],
    ['tied minima share evenly', 'min(x, columns)', [1, 1, 1], [1 / 3, 1 / 3, 1 / 3]],
    ['two tied sides share evenly', 'max(x, x * 1.0 + 0 * x)', [2], [1]],
    ['a norm of zero rests', 'norm(x, columns)', [0, 0], [0, 0]],
    ['sign at 0 is flat', 'sign(x) * x', [0], [0]],
    ['x^0 at 0 is flat', 'x ^ (s - s)', [0], [0]],
    ['a standard deviation of 0 rests', 'std(x, columns)', [0.1, 0.1, 0.1], [0, 0, 0]],
    ['safe_sqrt at 0 rests', 'safe_sqrt(x)', [0], [0]],
    ['asin at 1 is honest', 'asin(x)', [1], [Number.POSITIVE_INFINITY]],
    ['acos at 1 is honest', 'acos(x)', [1], [Number.NEGATIVE_INFINITY]],
    ['sqrt at 0 is honest', 'sqrt(x)', [0], [Number.POSITIVE_INFINITY]],
  ])('%s', (_, text, kink, want) => {
    expect(at(text, { x: kink, s: 1 })!.map((g) => g + 0)).toEqual(want)
  })
})

describe('a branch that is not selected', () => {
  it.each([
    ['log of a negative', 'x > 0 ? log(x) : x', -1, 1],
    ['division by zero', 'x == 0 ? x : 1 / x', 0, 1],
    ['root of a negative', 'x > 0 ? sqrt(x) : -x', -2, -1],
    ['overflow', 'x < 100 ? exp(x) : x', 1e4, 1],
    ['a chain', 'x > 0 ? log(sqrt(x)) * exp(1 / x) : 2 * x', 0, 2],
    ['a choice in a choice', 'x > 0 ? (x > 1 ? log(x - 1) : sqrt(x)) : 3 * x', -5, 3],
  ])('by %s affects neither value nor gradient', (_, text, input, slope) => {
    const { values: found, gradients } = evaluateFormula(text, { x: [input] }, ['x'])
    expect(Number.isFinite(found[0])).toBe(true)
    expect(gradients.x).toEqual([slope])
  })

  it('has no effect even if the input itself is NaN', () => {
    const text = 'v > 0 ? x * x : 0'
    const { gradients } = evaluateFormula(text, { x: [Number.NaN, 3], v: [-1, 1], rows: 2 }, ['x'])
    expect(gradients.x).toEqual([0, 6])
  })

  // Each row stands in the other rows' products: what it holds may only reach those that count it.
  describe.each([Number.NaN, Number.POSITIVE_INFINITY])('of pairs with a row of %d', (broken) => {
    const text = (pair: string) => `
      pair = ${pair}
      sum(pair ? sum(x * x[rows -> others], columns) : 0, others)`
    const input = { x: [broken, 1, 3, 4], v: [-1, 1], rows: 2 }

    it('has no effect', () => {
      const { values: found, gradients } = evaluateFormula(text('v > 0 and v[rows -> others] > 0'), input, [
        'x',
      ])
      expect(found).toEqual([0, 25])
      expect(gradients.x).toEqual([0, 0, 6, 8])
    })

    it('has an effect if one of them counts', () => {
      const { gradients } = evaluateFormula(text('v > v[rows -> others]'), input, ['x'])
      expect(gradients.x!.map(Number.isFinite)).toEqual([false, false, false, false])
    })
  })
})

describe('numerics', () => {
  it.each([
    ['softplus(x)', 800, 800],
    ['softplus(x)', -800, 0],
    ['logsigmoid(x)', -800, -800],
    ['sigmoid(x)', -800, 0],
    ['logsumexp(x, columns)', 1e300, 1e300],
    ['log_softmax(x, columns)', -1e300, 0],
    ['xlogy(x, 0 * x)', 0, 0],
  ])('%s at %d is %d', (text, input, want) => {
    expect(evaluateFormula(text, { x: [input] }).values[0]! + 0).toBe(want)
  })

  it('masked logits of -inf have probability 0 and gradient 0', () => {
    const { values: found, gradients } = evaluateFormula(
      '-pick(log_softmax(x, columns), i, columns)',
      { x: [1, Number.NEGATIVE_INFINITY, 1], i: [0] },
      ['x'],
    )
    expectClose(found, [Math.LN2], { relative: 1e-15 })
    expectClose(gradients.x!, [-0.5, 0, 0.5], { relative: 1e-15 })
  })

  it('the slope of expm1 is accurate where expm1 itself is -1', () => {
    const { gradients } = evaluateFormula('expm1(x)', { x: [-50] }, ['x'])
    expectClose(gradients.x!, [Math.exp(-50)], { relative: 1e-15, absolute: 0 })
  })

  it('pick reads 0 outside the axis', () => {
    expect(evaluateFormula('pick(x, i, columns)', { x: [1, 2, 3, 4], i: [-100, 2], rows: 2 }).values).toEqual(
      [0, 0],
    )
  })
})
