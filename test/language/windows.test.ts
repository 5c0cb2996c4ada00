/** Windows along an axis: where they lie, what they read beyond the ends, and what is refused. */
import { describe, expect, it } from 'vitest'
import { lower } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { evaluateFormula, SCOPE } from '../support/formulas.ts'

const values = (text: string, x: number[], rows = 1) => evaluateFormula(text, { x, v: [10], rows }).values

describe('a convolution', () => {
  it.each<[string, string, number[], number[]]>([
    ['weighs the places around its own', 'conv(x, [1, 10, 100], columns)', [1, 2, 3], [210, 321, 32]],
    // torch.nn.functional.conv1d(x, w, padding="same")
    ['has one place more behind than before', 'conv(x, [1, 10], columns)', [1, 2, 3], [21, 32, 3]],
    ['is as long as x, however long its window', 'conv(x, [1, 1, 1, 1, 1, 1, 1], columns)', [1, 2], [3, 3]],
    ['of one weight is a product', 'conv(x, [3], columns)', [1, 2], [3, 6]],
    ['takes weights that are computed', 'conv(x, [v, 0, -v], columns)', [1, 2, 4], [-20, -30, 20]],
    [
      'takes a list by its name',
      'k = [1, -1]\nconv(conv(x, k, columns), k, columns)',
      [1, 4, 9],
      [2, -14, 9],
    ],
    [
      'does not read where its weight is 0',
      'conv(x, [1, 0, 0], columns)',
      [1, Number.NaN, 3],
      [0, 1, Number.NaN],
    ],
    [
      'of what is the same everywhere ends with the axis',
      'conv(v, [1, 1, 1], columns) + 0 * x',
      [0, 0, 0],
      [20, 30, 20],
    ],
  ])('%s', (_, text, x, want) => expect(values(text, x)).toEqual(want))

  it('goes along any axis', () => {
    expect(values('conv(x, [1, 10], rows)', [1, 2, 3, 4], 2)).toEqual([31, 42, 3, 4])
  })

  it('adds up in pairs: of 64 equal numbers nothing is lost but at the last', () => {
    const ones = new Array(64).fill(1).join()
    const x = new Array(64).fill(0.1)
    expect(values(`conv(x, [${ones}], columns)`, x)[31]).toBe(6.4)
  })

  it.each([
    ['conv(x, 3, columns)', 'expected a list of weights, such as [0.25, 0.5, 0.25]'],
    ['conv(x, y, columns)', 'expected a list of weights, such as [0.25, 0.5, 0.25]'],
    ['conv(x, [1, x > 0], columns)', 'expected a number, found a condition'],
    ['k = [1, 2]\nx * k', 'there are no lists, except for the weights of conv'],
    ['conv(x, k, columns) + y', 'expected a list of weights, such as [0.25, 0.5, 0.25]'],
    [`conv(x, [${new Array(65).fill(1).join()}], columns)`, 'expected at most 64 weights'],
    ['conv(x, [], columns)', 'expected a value, found "]"'],
    ['conv(x, [1, 2, columns)', '"]" to close "["'],
  ])('%s is refused: %s', (text, problem) => {
    expect(() => lower(parse(text), SCOPE, [])).toThrow(problem)
  })
})

describe('a window', () => {
  it.each<[string, string, number[], number[]]>([
    ['adds up', 'window_sum(x, 3, columns)', [1, 2, 4, 8], [3, 7, 14, 12]],
    ['has a mean of what is there', 'window_mean(x, 3, columns)', [1, 2, 6, 10], [1.5, 3, 6, 8]],
    ['of four has one place more behind', 'window_mean(x, 4, columns)', [0, 3, 6, 9], [3, 4.5, 6, 7.5]],
    ['may be longer than the axis', 'window_mean(x, 9, columns)', [1, 2, 3], [2, 2, 2]],
    ['of one is its place', 'window_sum(x, 1, columns)', [1, 2, 3], [1, 2, 3]],
  ])('%s', (_, text, x, want) => expect(values(text, x)).toEqual(want))

  it.each(['0', '65', '2.5', 'size(columns)', 's', '-1'])('of %s places is refused', (length) => {
    expect(() => lower(parse(`window_mean(x, ${length}, columns)`), SCOPE, [])).toThrow(
      'expected a constant whole number from 1 to 64',
    )
  })
})
