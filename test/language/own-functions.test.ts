/** Functions that a formula defines itself: they are the same as their bodies in place of their calls. */
import { describe, expect, it } from 'vitest'
import { FormulaError } from '../../src/language/ast.ts'
import { toLatex } from '../../src/language/latex.ts'
import { lower } from '../../src/language/lower.ts'
import { LIMITS, parse } from '../../src/language/parse.ts'
import { customLoss } from '../../src/losses/custom.ts'
import { evaluateFormula, SCOPE } from '../support/formulas.ts'

const values = { x: [0.3, -1.2, 2.1, 0.7], y: [1.1, 0.6, -0.9, 1.8], v: [0.5, -0.8], s: 1.7, rows: 2 }

function errorOf(text: string): FormulaError {
  try {
    lower(parse(text), SCOPE, [])
  } catch (error) {
    if (error instanceof FormulaError) return error
    throw error
  }
  throw new Error(`${text} is a formula`)
}

describe('a function', () => {
  it.each([
    ['f(a) = a^2 + 1\nf(x) * f(y)', '(x^2 + 1) * (y^2 + 1)'],
    ['f(a, b) = a > b ? a - b : 0\nf(x, y) + f(y, x)', '(x > y ? x - y : 0) + (y > x ? y - x : 0)'],
    [
      'unit(a, axis) = a / norm(a, axis)\nsum(unit(x, columns) * unit(y, columns), columns)',
      'sum(x / norm(x, columns) * (y / norm(y, columns)), columns)',
    ],
    ['apart(a, axis) = a - a[axis -> k]\nsum(abs(apart(x, columns)), k)', 'sum(abs(x - x[columns -> k]), k)'],
    ['e = x - y\nf(a) = a * e\nf(v)', 'v * (x - y)'],
    ['f(x) = x * y\nf(v + x)', '(v + x) * y'],
    ['f(a) = a + 1\ng(a) = f(a) * 2\ng(g(x))', '((x + 1) * 2 + 1) * 2'],
    ['swap(x, y) = x - 2 * y\nswap(y, x)', 'y - 2 * x'],
    ['f(a) = is_index(a) ? 1 : a\nf(x)', 'x'],
    ['f(\n  a,\n  b) = a *\n  b\nf(x,\n  y)', 'x * y'],
    ['log(a) = a + 1\nlog(x) + exp(y)', 'x + 1 + exp(y)'],
  ])('%j is %j', (text, same) => {
    const own = evaluateFormula(text, values, ['x', 'y'])
    expect(own).toEqual(evaluateFormula(same, values, ['x', 'y']))
  })

  it('may be repeated line by line', () => {
    const step = (t: string) => `${t} - (${t}^2 - s) / (2 * ${t})`
    const lines = (next: (t: string) => string) =>
      [`a = ${next('v')}`, `b = ${next('a')}`, `c = ${next('b')}`, `d = ${next('c')}`, next('d')].join('\n')
    const own = evaluateFormula(`step(t) = ${step('t')}\n${lines((t) => `step(${t})`)}`, values, ['v'])
    expect(own).toEqual(evaluateFormula(lines(step), values, ['v']))
    expect(own.values[0]).toBeCloseTo(Math.sqrt(1.7), 9)
  })

  it('does not change what a loss is: it has the id of the formula without it', () => {
    const inputs = { x: { differentiable: true } }
    const own = customLoss({ inputs, formula: ['half(a) = a / 2', 'half(x)^2'] })
    expect(own.id).toBe(customLoss({ inputs, formula: '(x / 2)^2' }).id)
  })

  it('is written in LaTeX as it was defined', () => {
    expect(toLatex(parse('square(a, sigma) = a / sigma\nsquare(x, 2) + max(x, y)'))).toBe(
      '\\begin{aligned} \\mathrm{square}\\left(a, \\sigma\\right) &= \\frac{a}{\\sigma} \\\\ \\ell &= \\mathrm{square}\\left(x, 2\\right) + \\operatorname{max}\\left(x, y\\right) \\end{aligned}',
    )
  })
})

describe('what is wrong with a function is told where it stands', () => {
  it.each([
    ['f(a) = f(a - 1)\nf(x)', 1, 8, '"f" calls itself; there is no recursion'],
    ['f(a) = g(a)\ng(a) = f(a)\nf(x)', 1, 8, '"g" is used before its line'],
    ['e = f(x)\nf(a) = a\ne', 1, 5, '"f" is used before its line'],
    ['f(a) = a\nf(x, y)', 2, 1, 'f takes 1 argument (a), found 2'],
    ['f(a, b) = a + b\nf(x)', 2, 1, 'f takes 2 arguments (a, b), found 1'],
    ['f(a, a) = a\nf(x, y)', 1, 6, 'the parameter "a" is named twice'],
    ['f(2) = 3\nf(x)', 1, 3, 'expected the name of a parameter, found "2"'],
    ['f() = 3\nf(x)', 1, 3, 'expected the name of a parameter, found ")"'],
    ['f(a) = a\nf = 2\nx', 2, 1, '"f" is already defined on line 1'],
    ['f(a) = a\nf(b) = b\nx', 2, 1, '"f" is already defined on line 1'],
    ['f(a) = a', 1, 1, 'the last line is the value and has no name; here it is named "f"'],
    ['f(a) = a\nf + 1', 2, 1, '"f" is not known here; it is a function; write "f(...)"'],
    ['not(a) = a\nx', 1, 1, '"not" cannot be a name'],
    ['where(a) = a\nx', 1, 1, '"where" cannot be a name'],
    ['f(true) = 1\nx', 1, 3, '"true" cannot be a name'],
    ['f(a) = a + b\nf(x)', 1, 12, '"b" is not known here'],
    ['f(a) = sum(a, k)\nf(x)', 1, 15, 'there is no axis "k" (axes: rows, columns)'],
    ['f(a, k) = sum(a, k)\nf(x, y + 1)', 2, 6, 'expected the name of an axis (axes: rows, columns)'],
    ['f(a, k) = a[k -> other]\nf(x, 2 * v)', 2, 6, 'expected the name of an axis'],
    ['f(a) = a + (a > 0)\nf(x)', 1, 13, 'expected a number, found a condition; write "c ? 1 : 0"'],
    ['f(a) = a + 1\nf(x > 0)', 2, 3, 'expected a number, found a condition; write "c ? 1 : 0"'],
    ['stretch(a) = a * 2\nstrech(x)', 2, 1, 'there is no function "strech". Did you mean "stretch"?'],
    ['f(x) == 3', 1, 1, 'there is no function "f"'],
  ])('%j', (text, line, column, problem) => {
    const error = errorOf(text)
    expect([error.line, error.column, error.problem]).toEqual([line, column, problem])
  })

  it('a formula that grows beyond the limit is refused at once, however it grows', () => {
    const doubling = Array.from({ length: 40 }, (_, i) => `f${i + 1}(a) = f${i}(a) + f${i}(a)`)
    const bomb = ['f0(a) = a', ...doubling, 'f40(x)'].join('\n')
    const nested = `f(a) = a * a * a\n${'f('.repeat(30)}x${')'.repeat(30)}`
    const copies = `f(a) = ${Array.from({ length: 100 }, () => 'a').join(' + ')}\nf(x + x * x + x)`
    for (const text of [bomb, nested, copies]) {
      const start = performance.now()
      expect(errorOf(text).problem).toBe(
        `with the bodies of its functions in place of their calls, the formula has more than ${LIMITS.nodes} nodes`,
      )
      expect(performance.now() - start).toBeLessThan(200)
    }
  })
})
