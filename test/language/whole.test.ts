/** Computed indices of an axis must be integers by construction, otherwise they are rejected. */
import { describe, expect, it } from 'vitest'
import { evaluateFormula } from '../support/formulas.ts'

const x = [1, 2, 3, 4, 5, 6]
const of = (formula: string) => evaluateFormula(formula, { x, i: [0, 2], rows: 2 }, ['x'])

describe('a computed index', () => {
  it.each([
    ['gather(x, index(columns) - 1, columns)', [0, 1, 2, 0, 4, 5]],
    ['gather(x, size(columns) - 1 - index(columns), columns)', [3, 2, 1, 6, 5, 4]],
    ['pick(x, size(columns) - 1, columns)', [3, 6]],
    ['pick(x, floor(size(columns) / 2), columns)', [2, 5]],
    ['pick(x, i - 1, columns)', [0, 5]],
    ['pick(x, i == 0 ? 2 : 0, columns)', [3, 4]],
    ['pick(sort(x, columns), size(columns) - 2, columns)', [2, 5]],
    ['gather(x, 2 * index(columns), columns)', [1, 3, 0, 4, 6, 0]],
  ])('%s', (formula, values) => expect(of(formula).values).toEqual(values))

  it('has the gradient of the element that it reads', () => {
    expect(of('sum(gather(x, index(columns) - 1, columns) * index(columns), columns)').gradients.x).toEqual([
      1, 2, 0, 1, 2, 0,
    ])
  })

  it.each([
    'pick(x, index(columns) / 2, columns)',
    'pick(x, floor(x), columns)',
    'pick(x, index(columns) + 0.5, columns)',
    'pick(x, s, columns)',
    'pick(x, floor(1 / index(columns)), columns)',
    'pick(x, v, columns)',
  ])('is rejected if it may not be an integer: %s', (formula) => {
    expect(() => of(formula)).toThrow(/expected an index/)
  })
})
