/** Hints for formulas in the notation of another language: where it is wrong, and what to write instead. */
import { describe, expect, it } from 'vitest'
import { FormulaError } from '../../src/language/ast.ts'
import { FOREIGN_FUNCTIONS, translateCall } from '../../src/language/foreign-notation.ts'
import { lower, type Scope } from '../../src/language/lower.ts'
import { LIMITS, parse } from '../../src/language/parse.ts'
import { SCOPE } from '../support/formulas.ts'
import { thrownBy } from '../support/thrown.ts'

const errorOf = (text: string, scope: Scope = SCOPE) =>
  thrownBy(FormulaError, () => lower(parse(text), scope, []))

const CHOICE = 'write "c ? a : b"'

describe('foreign notation is answered with how to write it here', () => {
  it.each([
    ['if x > 0 then x else y', 1, CHOICE],
    ['if (x > 0) x else y', 1, CHOICE],
    ['if(x > 0, x, y)', 1, CHOICE],
    ['x if y > 0 else v', 3, CHOICE],
    ['e = x if y > 0 else v\ne', 7, CHOICE],
    ['np.abs(x)', 1, 'write "abs(x)"'],
    ['2 * torch.log(x - y)', 5, 'write "log(x)"'],
    ['tf.reduce_sum(x, axis)', 1, 'write "sum(x, axis)"'],
    ['torch.nn.functional.softplus(x)', 1, 'write "softplus(x)"'],
    ['torch.where(x > 0, x, y)', 1, 'write "where(c, a, b)"'],
    ['x - np.pi', 5, 'write "3.141592653589793"'],
    ['x.sum()', 2, 'write "sum(x, axis)"'],
    ['y.abs()', 2, 'write "abs(y)"'],
    ['(x - y).mean()', 8, 'write "mean(x, axis)"'],
    ['predictions.shape[0]', 12, 'write "size(axis)"'],
    ['F.mse_loss(x, y)', 1, 'functions are called without a prefix: abs(x)'],
    ['reduce_sum(x)', 1, 'write "sum(x, axis)"'],
    ['ln(x)', 1, 'write "log(x)"'],
    ['lambda p: p', 1, 'define a function on a line of its own'],
    ['f = lambda p, t: p\nx', 5, 'define a function on a line of its own'],
    ['def f(p):\n  x', 1, 'define a function on a line of its own'],
    ['x => y', 3, 'define a function on a line of its own'],
    ['x > 0 & y > 0 ? x : y', 7, 'write "and"'],
    ['x > 0 && y > 0 ? x : y', 7, 'write "and"'],
    ['x > 0 | y > 0 ? x : y', 7, 'write "or"'],
    ['x > 0 || y > 0 ? x : y', 7, 'write "or"'],
    ['x > 0 AND y > 0 ? x : y', 7, 'write "and"'],
    ['!(x > 0) ? x : y', 1, 'write "not"'],
    ['~(x > 0) ? x : y', 1, 'write "not"'],
    ['|x|', 1, 'write "abs(x)"'],
    ['x == y == v ? 1 : 0', 1, 'write "a == b and b == c"'],
    ['x < y <= v ? 1 : 0', 1, 'write "a < b and b <= c"'],
    ['x === y ? 1 : 0', 3, 'write "=="'],
    ['x !== y ? 1 : 0', 3, 'write "!="'],
    ['x <> y ? 1 : 0', 3, 'write "!="'],
    ['x is y ? 1 : 0', 3, 'write "=="'],
    ['return x', 1, 'the last line is the value; write it without a keyword'],
    ['return -x', 1, 'the last line is the value; write it without a keyword'],
    ['return(x)', 1, 'the last line is the value; write it without a keyword'],
    ['let e = x\ne', 1, 'write "e = x - y"'],
    ['const e = x\ne', 1, 'write "e = x - y"'],
    ['e = x; e', 6, 'write each statement on a line of its own'],
    ['e = x\ne += 1\ne', 3, 'a name is assigned only once'],
    ['for k in x', 1, 'there are no loops'],
    ['import numpy', 1, 'nothing needs to be imported'],
    ['x × y', 3, 'write "*"'],
    ['x − y', 3, 'write "-"'],
    ['x²', 2, 'write "^2"'],
    ['x ≤ y ? 1 : 0', 3, 'write "<="'],
    ['√x', 1, 'write "sqrt(x)"'],
    ['∑x', 1, 'write "sum(x, axis)"'],
    ['½ * x', 1, 'write "1/2"'],
    ['α * x', 1, 'write "alpha"'],
    ['Δ * x', 1, 'write "Delta"'],
    ['σ(x)', 1, 'write "sigma" or "sigmoid(x)"'],
    ['ŷ - x', 1, 'write "y_hat"'],
    ['p\u0304 - x', 2, 'write "_bar"'],
    ['р + x', 1, 'write "p"'],
    ['x +\u00a0y', 4, 'write a plain space'],
    ['x\u200b + y', 2, '"U+200B" is not part of the language; remove it'],
    ['mode == "soft" ? 1 : 2', 9, 'words are written without quotes'],
    ['x // y', 3, 'write "floor(a / b)"'],
    ['x % y', 3, 'write "a - b * floor(a / b)"'],
    ['x @ y', 3, 'write "sum(a * b, axis)"'],
    ['x .* y', 3, 'write "*"'],
    ['\\frac{x}{y}', 1, 'LaTeX is not supported'],
    ['2x', 2, 'write "*" between factors'],
    ['(x)(y)', 4, 'write "*" between factors'],
    ['x(y)', 1, 'write "x * (...)"'],
    ['+x', 1, 'write a positive value without a sign'],
    ['[x, y]', 1, 'there are no lists'],
    ['x, y', 2, 'a formula has one value'],
    ['x[0]', 3, 'write "pick(x, 0, axis)"'],
    ['x[:, 0]', 3, 'write "pick(x, 0, axis)"'],
    ['x[i]', 4, 'write "pick(x, 0, axis)"'],
    ['x = y = 1', 7, 'write "==" to compare'],
    ['sum(x, axis=columns)', 12, 'arguments have no names; write the axis itself'],
    ['sum(x, -1)', 8, '(axes: rows, columns)'],
    ['sum(x)', 1, '(axes: rows, columns)'],
    ['x / columns', 5, 'it is an axis; write "size(columns)"'],
    ['x - softplus', 5, 'it is a function; write "softplus(x)"'],
    ['pi * x', 1, 'write "3.141592653589793"'],
    ['e ^ x', 1, 'write "exp(1)"'],
    ['None', 1, 'test with given(x)'],
    ['True ? x : y', 1, 'write "true"'],
  ])('%j', (text, column, hint) => {
    const error = errorOf(text)
    expect(error.problem).toContain(hint)
    const line = text.startsWith('e = x\n') ? 2 : 1
    expect([error.line, error.column]).toEqual([line, column])
  })

  it('only where it is wrong: elsewhere such words are names', () => {
    const scope: Scope = {
      ...SCOPE,
      params: { lambda: { kind: 'scalar' }, mod: { kind: 'scalar' }, div: { kind: 'scalar' } },
    }
    expect(() => lower(parse('lambda * x + mod - div'), scope, [])).not.toThrow()
    expect(errorOf('lambda * x y', scope).message).toBe(
      'line 1, column 12: expected an operator or the end of the line, found "y"',
    )
  })
})

describe('every suggested replacement', () => {
  const matrix = { type: 'real', axes: ['rows', 'axis'] } as const
  const scope: Scope = {
    inputs: { x: matrix, y: matrix, i: { type: 'index', axes: ['rows', 'axis'] } },
    absent: [],
    params: { low: { kind: 'scalar' }, high: { kind: 'scalar' } },
    axes: ['rows', 'axis'],
  }
  // Truth values are no inputs.
  const isOfTruths = (way: string) =>
    /\b(c \?|where\(c|an?[yl]l?\(c|x and y|x or y|not x|x \? not y)/.test(way)

  it.each(Object.entries(FOREIGN_FUNCTIONS))('%s: %s is a valid formula', (_, way) => {
    expect(() => parse(`(${way}) ? 1 : 0`)).not.toThrow()
    const isTruth = /^[^(]*(?<!-)[<>]|^[^(]*[!=]=|^is_finite/.test(way) && !way.includes('?')
    const asNumber = isTruth ? `${way} ? 1 : 0` : way
    if (!isOfTruths(way)) expect(() => lower(parse(asNumber), scope, [])).not.toThrow()
  })

  it('computes the same value', () => {
    expect(translateCall('rsqrt', 'predictions')).toBe('1 / sqrt(predictions)')
    expect(translateCall('max', 'predictions')).toBe('max(predictions, y)')
    expect(translateCall('sofplus')).toBe('softplus(x)')
    expect(translateCall('frobnicate')).toBeUndefined()
  })
})

describe('an error', () => {
  it('has its place, its message and the nearest known word', () => {
    const { line, column, problem, suggestion, message } = errorOf('e = x - y\ne * predicsions')
    expect({ line, column, suggestion }).toEqual({ line: 2, column: 5, suggestion: 'predictions' })
    expect(problem).toBe('"predicsions" is not known here. Did you mean "predictions"?')
    expect(message).toBe(`line 2, column 5: ${problem}`)
  })

  it.each([
    ['softplsu(x)', 'softplus'],
    ['sum(x, colums)', 'columns'],
    ['given(predicions) ? 1 : 0', 'predictions'],
    ['frobnicate(x)', undefined],
  ])('in %j suggests %s', (text, suggestion) => {
    expect(errorOf(text).suggestion).toBe(suggestion)
  })

  it('shows the line with a caret under the error', () => {
    expect(errorOf('e = x - y\n\te * * 2   # squared').detail).toBe(
      'expected a value, found "*"\n  \te * * 2   # squared\n  \t    ^',
    )
    expect(errorOf('e = x -').detail).toBe('expected a value, found the end\n  e = x -\n         ^')
  })

  it('in a long line shows the part around the error', () => {
    const detail = errorOf(`${'x + '.repeat(100)}nobody${' + x'.repeat(100)}`).detail.split('\n')
    expect(detail[1]).toHaveLength(2 + 4 + 80 + 4)
    expect(detail[1]!.slice(detail[2]!.length - 1)).toMatch(/^nobody \+ x/)
  })

  it('repeats no control characters', () => {
    expect(errorOf('x + \u001b[2J').detail).toBe(
      '"U+001B" is not part of the language; remove it\n  x + \ufffd[2J\n      ^',
    )
  })

  it('in a line shared with a second formula shows the line as written', () => {
    const first = parse('e = nobody\nx')
    const second = parse('e')
    const shared = { source: second.source, statements: [first.statements[0]!, ...second.statements] }
    expect(() => lower(shared, SCOPE, [])).toThrow(
      expect.objectContaining({ detail: '"nobody" is not known here\n  e = nobody\n      ^' }),
    )
  })

  it('about a formula that is too long does not repeat it', () => {
    expect(errorOf('x'.repeat(LIMITS.bytes + 1)).detail.length).toBeLessThan(200)
  })
})
