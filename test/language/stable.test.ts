/** Numerically stable rewriting: formulas that cancel or overflow as written are computed in a stable form. */
import { describe, expect, it } from 'vitest'
import { print } from '../../src/language/ir.ts'
import { lower } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { expectClose } from '../support/close.ts'
import { evaluateFormula, SCOPE } from '../support/formulas.ts'

/** A few roundings of float64. */
const relative = 1e-14
const close = (got: readonly number[], want: readonly number[], what: string) =>
  expectClose(got, want, { relative, absolute: 0, what })

/** e^-40, which is also 1 - sigmoid(40). */
const tiny = 4.248354255291589e-18

/** Formula, x, value, derivative with respect to x. */
const VALUES: readonly (readonly [string, number, number, number])[] = [
  ['1 - sigmoid(x)', 40, tiny, -tiny],
  ['log(sigmoid(x))', 800, 0, 0],
  ['log(sigmoid(x))', -800, -800, 1],
  ['log(1 - sigmoid(x))', 800, -800, -1],
  ['1 / (1 + exp(-x))', -800, 0, 0],
  ['1 / (1 + exp(-x))', 2, 0.8807970779778823, 0.10499358540350652],
  ['exp(x) - 1', 1e-20, 1e-20, 1],
  ['1 - exp(x)', 1e-20, -1e-20, -1],
  ['log(1 + x)', 1e-20, 1e-20, 1],
  ['log(1 - x)', 1e-20, -1e-20, -1],
  ['log(1 + exp(x))', 800, 800, 1],
  ['log(1 + exp(x))', -40, tiny, tiny],
  ['log(1 - exp(x))', -1e-20, Math.log(1e-20), -1e20],
  ['log(1 - exp(x))', -40, -tiny, -tiny],
  ['log(exp(x))', 800, 800, 1],
  ['exp(-softplus(x))', 40, tiny, -tiny],
  ['expm1(log1p(x))', 1e-20, 1e-20, 1],
  ['expm1(-softplus(-x))', 40, -tiny, tiny],
  ['softplus(x) - softplus(-x)', 1e-20, 1e-20, 1],
  ['sigmoid(x) - sigmoid(-x)', 1e-20, 5e-21, 0.5],
  ['log2(sigmoid(x))', -800, -800 * Math.LOG2E, Math.LOG2E],
  ['log10(1 + x)', 1e-20, 1e-20 * Math.LOG10E, Math.LOG10E],
  ['log2(exp(x))', 800, 800 * Math.LOG2E, Math.LOG2E],
  ['exp_tail(x)', 1e-10, 5.000000000166667e-21, 1.00000000005e-10],
  ['exp_tail(log1p(x))', 1e-10, 4.9999999996666664e-21, 9.999999999e-11],
  ['(1 + x) - 1', 1e-20, 1e-20, 1],
  ['1 - (1 - x)', 1e-20, 1e-20, 1],
  ['exp_tail(x)', 3, Math.exp(3) - 4, Math.expm1(3)],
]

describe('a form that cancels or overflows is computed in its stable form', () => {
  it.each(VALUES)('%s at %f', (text, x, value, slope) => {
    const { values, gradients } = evaluateFormula(text, { x: [x] }, ['x'])
    close(values, [value], 'value')
    close(gradients.x!, [slope], 'gradient')
  })
})

describe('a confident class keeps the digits of 1 - p', () => {
  const x = [45, 5, 5, -300]
  const left = 2 * tiny

  it.each([
    ['-pick(log_softmax(x, columns), i, columns)', [left]],
    ['logsumexp(x, columns) - pick(x, i, columns)', [left]],
    ['log(sum(exp(x), columns)) - pick(x, i, columns)', [left]],
    ['1 - pick(softmax(x, columns), i, columns)', [left]],
    ['pick(1 - softmax(x, columns), i, columns)', [left]],
    ['-log(pick(softmax(x, columns), i, columns))', [left]],
    ['-pick(expm1(log_softmax(x, columns)), i, columns)', [left]],
    ['sum(one_hot(i, columns) * -log_softmax(x, columns), columns)', [left]],
  ] as const)('%s', (text, want) => {
    const { values, gradients } = evaluateFormula(text, { x, i: [0] }, ['x'])
    close(values, want, 'value')
    close(gradients.x!.slice(0, 3), [-left, tiny, tiny], 'gradient')
    expect(gradients.x![3]).toBeLessThan(1e-140)
  })

  it('tied maxima share the gradient evenly', () => {
    const { values, gradients } = evaluateFormula(
      '-pick(log_softmax(x, columns), i, columns)',
      { x: [0, 0, 0], i: [1] },
      ['x'],
    )
    close(values, [Math.log(3)], 'value')
    close(gradients.x!, [1 / 3, -2 / 3, 1 / 3], 'gradient')
  })

  it('a masked class does not count, and a row of masked classes only is NaN', () => {
    const masked = evaluateFormula('logsumexp(x, columns)', { x: [1, Number.NEGATIVE_INFINITY] }, ['x'])
    expect(masked).toEqual({ values: [1], gradients: { x: [1, 0] } })
    const all = { x: [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY] }
    expect(evaluateFormula('logsumexp(x, columns)', all).values).toEqual([Number.NEGATIVE_INFINITY])
    expect(evaluateFormula('log_softmax(x, columns)', all).values).toEqual([Number.NaN, Number.NaN])
  })
})

describe('contributions to a gradient that cancel are left out', () => {
  it.each([
    ['q = min(abs(x), s)\nq^2 / 2 + s * (abs(x) - q)', 1e-20, 1e-20],
    ['s * x - s * max(x - 1, 0) + (x < 1 ? x^2 / 2 - s * x : 0)', 1e-20, 1e-20],
    ['v * softplus(-x) + (1 - v) * softplus(x)', 1e-20, 0.5],
    ['1 - x / (x + v)', 1e-20, -1],
  ] as const)('%s', (text, x, slope) => {
    const { gradients } = evaluateFormula(text, { x: [x], v: [text.includes('/ (x + v)') ? 1 : 0], s: 2.5 }, [
      'x',
    ])
    close(gradients.x!, [slope], 'gradient')
  })

  it('the slope of the logistic loss with respect to a target is minus the logit', () => {
    const text = 'v * softplus(-x) + (1 - v) * softplus(x)'
    expect(evaluateFormula(text, { x: [3e-20], v: [1] }, ['v']).gradients.v).toEqual([-3e-20])
  })

  it('a difference of squares does not cancel', () => {
    const near = 1 + 2 ** -40
    expect(evaluateFormula('x^2 - y^2', { x: [near], y: [1] }).values).toEqual([2 ** -39 + 2 ** -80])
  })

  it('a share of a sum is accurate near 1', () => {
    const { gradients } = evaluateFormula('x / (x + v)', { x: [1e20], v: [1e-20] }, ['x'])
    close(gradients.x!, [1e-60], 'gradient')
  })

  it('a sum of sums of sums is lowered in bounded time', () => {
    const lines = Array.from({ length: 60 }, (_, i) => `a${i + 1} = a${i} + a${i}`)
    expect(evaluateFormula(`a0 = x\n${lines.join('\n')}\na60`, { x: [1] }, ['x']).gradients.x).toEqual([
      2 ** 60,
    ])
  })
})

it('engines are given primitive ops only', () => {
  const program = lower(
    parse('-pick(log_softmax(x, columns), i, columns) + straight_through(v, v^2)'),
    SCOPE,
    ['x'],
  )
  expect(print(program)).not.toMatch(/softmax|logsumexp|sum_others|straight_through|stop_gradient/)
})
