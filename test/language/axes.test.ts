/** Functions over one or several axes: moments, conditions, and error messages about axes. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { interpret } from '../../src/language/interpret.ts'
import { lower } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { expectClose } from '../support/close.ts'
import { evaluateFormula, SCOPE, type Values } from '../support/formulas.ts'

const matrix: Values = { x: [1, 2, 4, -1, 0, 7], y: [0, 2, 5, -2, 1, 7], v: [2, 3], rows: 2 }
const valuesOf = (text: string, values: Values = matrix) => evaluateFormula(text, values).values

describe('over axes', () => {
  it.each([
    ['sum(x, rows, columns)', [13]],
    ['sum(x, columns, rows)', [13]],
    ['mean(x, rows, columns)', [13 / 6]],
    ['norm(x, rows, columns)', [Math.sqrt(71)]],
    ['sum(v, rows, columns)', [15]],
    ['mean(v, rows, columns)', [2.5]],
    ['var(x, columns)', [14 / 9, 38 / 3]],
    ['var(x, rows, columns)', [71 / 6 - (13 / 6) ** 2]],
    ['var(x, rows)', [1, 1, 2.25]],
    ['var(x, columns, 1)', [7 / 3, 19]],
    ['var(x, rows, columns, 1)', [(71 - 169 / 6) / 5]],
    ['var(x, columns, size(columns) - 1)', [14 / 3, 38]],
    ['std(x, columns, 1)', [Math.sqrt(7 / 3), Math.sqrt(19)]],
    ['var(v, columns)', [0, 0]],
    ['count(x > y, columns)', [1, 1]],
    ['count(x == y, rows, columns)', [2]],
    ['count(true, columns)', [3]],
    ['any(x > 5, columns) ? 1 : 0', [0, 1]],
    ['any(x > 5, rows, columns) ? 1 : 0', [1]],
    ['all(x > -1, columns) ? 1 : 0', [1, 0]],
    ['all(not any(x > 8, columns), rows) ? 1 : 0', [1]],
    ['any(v > v[rows -> others], others) ? 1 : 0', [0, 1]],
    ['var(v[rows -> others] - v, others)', [0.25, 0.25]],
  ])('%s is %j', (text, want) => {
    expectClose(valuesOf(text), want, { relative: 1e-15 })
  })

  it('a variance of no elements is that of NumPy', () => {
    expect(valuesOf('var(x, columns, 1)', { x: [5] })).toEqual([Number.NaN])
    expect(valuesOf('var(x, columns)', { x: [5] })).toEqual([0])
    expect(valuesOf('var(x, columns, 3)', { x: [1, 2, 3] })).toEqual([Number.POSITIVE_INFINITY])
  })

  it('all is true for no elements, any is false', () => {
    expect(valuesOf('all(x > 0, columns) ? 1 : 0', { x: [], rows: 1 })).toEqual([1])
    expect(valuesOf('any(x > 0, columns) ? 1 : 0', { x: [], rows: 1 })).toEqual([0])
  })

  it('equal numbers have a variance of exactly 0 and a gradient of 0', () => {
    fc.assert(
      fc.property(
        fc.double({ noNaN: true, min: -1e150, max: 1e150 }),
        fc.integer({ min: 1, max: 20 }),
        (x, n) => {
          const equal = { x: Array<number>(n).fill(x) }
          const { values, gradients } = evaluateFormula('std(x, columns)', equal, ['x'])
          expect(values).toEqual([0])
          expect(gradients.x!.map((g) => g + 0)).toEqual(equal.x.map(() => 0))
        },
      ),
    )
  })

  it('a variance far from 0 does not cancel', () => {
    expectClose(valuesOf('var(x, columns)', { x: [1e15, 1e15 + 1, 1e15 + 5] }), [14 / 3], { relative: 1e-15 })
  })

  it('has the second derivative of a variance: 2 (n - 1) / n^2', () => {
    const program = lower(parse('var(x, columns)'), SCOPE, ['x'], undefined, ['x'])
    const inputs = { x: Float64Array.of(3, 1, 4, 1, 5) }
    const { gradients } = interpret(program, { sizes: { rows: 1, columns: 5 }, inputs, scalars: {} })
    expectClose(gradients['hessian.x']!, Array(5).fill(8 / 25), { relative: 1e-15 })
  })
})

describe('a message', () => {
  it.each([
    ['sum(x, rows, rows)', 'line 1, column 14: the axis "rows" is named twice'],
    [
      'sum(x, rows, colums)',
      'line 1, column 14: there is no axis "colums" (axes: rows, columns). Did you mean "columns"?',
    ],
    [
      'sum(x)',
      'line 1, column 1: sum takes at least 2 arguments (number, axes), found 1 (axes: rows, columns)',
    ],
    [
      'var(x, columns, 1, 2)',
      'line 1, column 1: var takes at least 2 arguments (number, axes, number?), found 4',
    ],
    ['any(x, columns) ? 1 : 0', 'line 1, column 5: expected a condition, such as x > 0, found a number'],
    ['sum(x > 0, columns)', 'line 1, column 5: expected a number, found a condition; write "c ? 1 : 0"'],
    ['var(x, columns, colums)', 'line 1, column 17: "colums" is not known here'],
  ])('%j says %s', (text, message) => {
    expect(() => lower(parse(text), SCOPE, [])).toThrow(message)
  })
})
