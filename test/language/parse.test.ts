/** The parser: precedence, error messages, and resistance to hostile formulas. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Expression } from '../../src/language/ast.ts'
import { toLatex } from '../../src/language/latex.ts'
import { lower } from '../../src/language/lower.ts'
import { LIMITS, parse } from '../../src/language/parse.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { evaluateFormula, numberOf, SCOPE } from '../support/formulas.ts'

const compile = (text: string) => lower(parse(text), SCOPE, [])

describe('a formula', () => {
  it('has the operator precedence of mathematics', () => {
    expect(numberOf('-2 ^ 2')).toBe(-4)
    expect(numberOf('2 ^ 3 ^ 2')).toBe(512)
    expect(numberOf('1 - 2 - 3')).toBe(-4)
    expect(numberOf('8 / 4 / 2')).toBe(1)
    expect(numberOf('2 ^ -1')).toBe(0.5)
    expect(numberOf('-2 ** 2')).toBe(-4)
    expect(numberOf('2 ** 3 ^ 2 ** 1')).toBe(512)
    expect(numberOf('2 ** -1 * 4')).toBe(2)
    expect(numberOf('1 < 2 and not 2 < 1 ? 3 : 4')).toBe(3)
    expect(numberOf('false ? 1 : 2')).toBe(2)
  })

  it('continues on the next line after an operator, inside brackets, and around a conditional', () => {
    expect(numberOf('1 +\n2')).toBe(3)
    expect(numberOf('max(1,\n  2\n)')).toBe(2)
    expect(numberOf('1 < 2\n  ? 3\n  : 4')).toBe(3)
  })

  it('may contain comments and names', () => {
    expect(numberOf('# two lines\ntwo = 2   # a name\ntwo * 3')).toBe(6)
  })

  it('computes the same as the equivalent JavaScript', () => {
    const agrees = fc.property(arithmetic(), ({ text, value }) => {
      expect(numberOf(text) + 0).toBe(value + 0)
    })
    fc.assert(agrees, { numRuns: 500 })
  })
})

/** Random arithmetic, written with as few parentheses as possible, and its value. */
function arithmetic(): fc.Arbitrary<{ text: string; value: number }> {
  type Spelled = { text: string; value: number; level: number }
  const wrap = ({ text, level }: Spelled, least: number) => (level < least ? `(${text})` : text)
  const { tree } = fc.letrec<{ tree: Spelled }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.integer({ min: 0, max: 9 }).map((value) => ({ text: String(value), value, level: 9 })),
      fc
        .tuple(tie('tree'), tie('tree'))
        .map(([a, b]) => ({ text: `${wrap(a, 1)} + ${wrap(b, 2)}`, value: a.value + b.value, level: 1 })),
      fc
        .tuple(tie('tree'), tie('tree'))
        .map(([a, b]) => ({ text: `${wrap(a, 1)} - ${wrap(b, 2)}`, value: a.value - b.value, level: 1 })),
      fc
        .tuple(tie('tree'), tie('tree'))
        .map(([a, b]) => ({ text: `${wrap(a, 3)} * ${wrap(b, 4)}`, value: a.value * b.value, level: 3 })),
      fc
        .tuple(tie('tree'), tie('tree'))
        .map(([a, b]) => ({ text: `${wrap(a, 3)} / ${wrap(b, 4)}`, value: a.value / b.value, level: 3 })),
      tie('tree').map((a) => ({ text: `-${wrap(a, 5)}`, value: -a.value, level: 5 })),
      // The right side may have a sign or be another power.
      fc
        .tuple(tie('tree'), tie('tree'))
        .map(([a, b]) => ({ text: `${wrap(a, 8)} ^ ${wrap(b, 5)}`, value: a.value ** b.value, level: 7 })),
      fc.tuple(tie('tree'), tie('tree'), tie('tree'), tie('tree')).map(([a, b, c, d]) => ({
        text: `${wrap(a, 1)} < ${wrap(b, 1)} ? ${wrap(c, 0)} : ${wrap(d, 0)}`,
        value: a.value < b.value ? c.value : d.value,
        level: 0,
      })),
    ),
  }))
  return tree.filter(({ text }) => text.length < 200)
}

describe('a message', () => {
  it.each([
    ['e = x - y\ne +', 'line 2, column 4: expected a value, found the end'],
    ['x +* y', 'line 1, column 4: expected a value, found "*"'],
    ['(x', 'line 1, column 3: expected ")" to close "(", found the end'],
    ['x y', 'line 1, column 3: expected an operator or the end of the line, found "y"'],
    ['e = x', 'line 1, column 1: the last line is the value and has no name; here it is named "e"'],
    ['x\ny', 'line 1, column 1: only the last line may be without a name'],
    ['e = 1\ne = 2\ne', 'line 2, column 1: "e" is already defined on line 1'],
    ['x < y < 1', 'line 1, column 1: comparisons cannot be chained; write "a < b and b < c"'],
    ['', 'line 1, column 1: the formula is empty'],
    ['predicsions', 'line 1, column 1: "predicsions" is not known here. Did you mean "predictions"?'],
    ['softplsu(x)', 'line 1, column 1: there is no function "softplsu". Did you mean "softplus"?'],
    [
      'sum(x, colums)',
      'line 1, column 8: there is no axis "colums" (axes: rows, columns). Did you mean "columns"?',
    ],
    ['where(x > 0)', 'line 1, column 1: where takes 3 arguments (condition, value, value), found 1'],
    ['max(x)', 'line 1, column 1: max takes 2 arguments (number, number), found 1'],
    ['x + (x < y)', 'line 1, column 6: expected a number, found a condition; write "c ? 1 : 0"'],
    ['x ? 1 : 2', 'line 1, column 1: expected a condition, such as x > 0, found a number'],
    ['later + 1\n', 'line 1, column 1: "later" is not known here'],
    ['a = b\nb = 1\na', 'line 1, column 5: "b" is used before its line'],
    ['x = 1\nx', 'line 1, column 1: "x" is already the name of an input or a parameter'],
    [
      'pick(x, y, columns)',
      'line 1, column 9: expected an index (class labels, index(axis), or whole numbers computed from these), found a real number',
    ],
    [
      'shift(x, s, columns)',
      'line 1, column 10: expected an index (class labels, index(axis), or whole numbers computed from these), found a parameter that may be any number; declare it with "type": "integer"',
    ],
    ['sum(x, 4)', 'line 1, column 8: there is no axis "4" (axes: rows, columns)'],
    ['mode == loud ? 1 : 2', 'line 1, column 9: expected one of soft, hard, found "loud"'],
    ['mode + 1', 'line 1, column 1: "mode" is not a number here; compare it: mode == soft'],
  ])('%j reports the place and the error: %s', (text, message) => {
    expect(() => compile(text)).toThrow(message)
  })
})

describe('an attack', () => {
  it.each([
    ['members', 'constructor.constructor'],
    ['members of inputs', 'x.constructor'],
    ['subscripts', 'x["constructor"]'],
    ['template strings', '`x`'],
    ['arrows', 'x => x'],
    ['imports', 'import("fs")'],
    ['this', 'this'],
    ['prototype names', '__proto__'],
    ['inherited functions', 'toString(x)'],
    ['inherited values', 'hasOwnProperty'],
    ['assignment', 'x = y = 1\nx'],
    ['ranges', '1:1e9'],
    ['matrices', 'zeros(100000, 100000)'],
    ['a Cyrillic homoglyph', 'р + x'],
    ['a zero-width space', 'x\u200b + y'],
    ['a right-to-left override', 'x \u202e + y'],
    ['a semicolon', 'x; y'],
    ['NUL', 'x\0'],
  ])('by %s is rejected with a position', (_, text) => {
    expect(() => compile(text)).toThrow(/^line \d+, column \d+: /)
  })

  it('by length, size or depth exceeds a limit', () => {
    expect(() => parse(`x + ${' '.repeat(LIMITS.bytes)}`)).toThrow(
      'the formula has 4100 bytes, the limit is 4096',
    )
    expect(() => parse(Array(400).fill('x').join('+'))).toThrow('more than 512 nodes')
    expect(() => parse(`${'('.repeat(500)}x${')'.repeat(500)}`)).toThrow('nested more than 64 levels deep')
    expect(() => parse(`${'-'.repeat(2000)}x`)).toThrow('nested more than 64 levels deep')
    expect(() => parse(`${'not '.repeat(900)}true ? 1 : 0`)).toThrow('nested more than 64 levels deep')
    expect(() => parse(`x${'^x'.repeat(200)}`)).toThrow('nested more than 64 levels deep')
    expect(() => parse(`${'abs('.repeat(900)}x`)).toThrow('nested more than 64 levels deep')
  })

  it('by repeated squaring costs no more than its nodes', () => {
    const lines = Array.from({ length: 40 }, (_, i) => `a${i + 1} = a${i} * a${i}`)
    const program = lower(parse(['a0 = x', ...lines, 'a40'].join('\n')), SCOPE, ['x'])
    expect(program.nodes.length).toBeLessThan(200)
  })

  it('by any text ends in a formula or a FormulaError', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        try {
          compile(text)
        } catch (error) {
          expect((error as Error).name).toBe('FormulaError')
        }
      }),
    )
  })

  it('by towers of powers is a non-finite number, at once', () => {
    expect(numberOf('9 ^ 9 ^ 9')).toBe(Number.POSITIVE_INFINITY)
    expect(evaluateFormula('exp(exp(exp(x)))', { x: [10] }).values).toEqual([Number.POSITIVE_INFINITY])
    expect(evaluateFormula('x ^ x ^ x ^ x', { x: [10] }, ['x']).values).toEqual([Number.POSITIVE_INFINITY])
  })
})

describe('LaTeX', () => {
  it('is generated for every loss', async () => {
    const { find } = await loadCatalog()
    expect(toLatex(find('huber')!.formula)).toMatchInlineSnapshot(
      `"\\begin{aligned} e &= \\mathrm{predictions} - \\mathrm{targets} \\\\ q &= \\operatorname{min}\\left(\\left|e\\right|, \\delta\\right) \\\\ \\ell &= \\frac{{q}^{2}}{2} + \\delta \\cdot \\left(\\left|e\\right| - q\\right) \\end{aligned}"`,
    )
    expect(toLatex(find('sigmoid_focal')!.formula)).toMatchInlineSnapshot(
      `"\\begin{aligned} x &= \\mathrm{predictions} \\\\ y &= \\mathrm{targets} \\\\ \\mathrm{low} &= -\\ln\\left(1 - \\epsilon\\right) \\\\ \\mathrm{high} &= -\\ln\\left(\\epsilon\\right) \\\\ \\mathrm{yes} &= \\begin{cases} \\operatorname{clamp}\\left(\\operatorname{softplus}\\left(-x\\right), \\mathrm{low}, \\mathrm{high}\\right) & \\text{if } \\epsilon > 0 \\\\ \\operatorname{softplus}\\left(-x\\right) & \\text{otherwise} \\end{cases} \\\\ \\mathrm{no} &= \\begin{cases} \\operatorname{clamp}\\left(\\operatorname{softplus}\\left(x\\right), \\mathrm{low}, \\mathrm{high}\\right) & \\text{if } \\epsilon > 0 \\\\ \\operatorname{softplus}\\left(x\\right) & \\text{otherwise} \\end{cases} \\\\ \\mathrm{bce} &= y \\cdot \\mathrm{yes} + \\left(1 - y\\right) \\cdot \\mathrm{no} \\\\ \\mathrm{logit} &= \\begin{cases} x & \\text{if } \\left|x\\right| < 800 \\\\ \\operatorname{stop\\_gradient}\\left(x\\right) & \\text{otherwise} \\end{cases} \\\\ \\mathrm{miss} &= y \\cdot \\sigma\\left(-\\mathrm{logit}\\right) + \\left(1 - y\\right) \\cdot \\sigma\\left(\\mathrm{logit}\\right) \\\\ \\mathrm{power} &= \\begin{cases} {\\mathrm{miss}}^{\\gamma} & \\text{if } \\mathrm{miss} > 1 \\cdot 10^{-37} \\\\ e^{-\\gamma \\cdot \\left|x\\right|} & \\text{otherwise} \\end{cases} \\\\ \\mathrm{fading} &= \\begin{cases} {\\mathrm{miss}}^{2} & \\text{if } \\gamma = 2 \\\\ \\mathrm{power} & \\text{otherwise} \\end{cases} \\\\ \\mathrm{weight} &= \\begin{cases} \\alpha \\cdot y + \\left(1 - \\alpha\\right) \\cdot \\left(1 - y\\right) & \\text{if } \\operatorname{given}\\left(\\alpha\\right) \\\\ 1 & \\text{otherwise} \\end{cases} \\\\ \\ell &= \\mathrm{weight} \\cdot \\mathrm{fading} \\cdot \\mathrm{bce} \\end{aligned}"`,
    )
  })

  it('writes a formula as mathematics', () => {
    expect(toLatex(parse('e = x - y\nabs(e) < beta ? e^2 / (2 * beta) : abs(e)'))).toBe(
      '\\begin{aligned} e &= x - y \\\\ \\ell &= \\begin{cases} \\frac{{e}^{2}}{2 \\cdot \\beta} & \\text{if } \\left|e\\right| < \\beta \\\\ \\left|e\\right| & \\text{otherwise} \\end{cases} \\end{aligned}',
    )
  })

  it('writes functions by their names', () => {
    expect(toLatex(parse('square(x - y) - power(x, y) / where(x < y, x, y) ** 2'))).toBe(
      '\\begin{aligned} \\ell &= {\\left(x - y\\right)}^{2} - \\frac{{x}^{y}}{{\\begin{cases} x & \\text{if } x < y \\\\ y & \\text{otherwise} \\end{cases}}^{2}} \\end{aligned}',
    )
  })

  it('writes functions in the notation of their field', () => {
    expect(toLatex(parse('lgamma(x) + digamma(y) * trigamma(x) - polygamma(2, x)'))).toBe(
      "\\begin{aligned} \\ell &= \\ln\\Gamma\\left(x\\right) + \\psi\\left(y\\right) \\cdot \\psi'\\left(x\\right) - \\psi^{\\left(2\\right)}\\left(x\\right) \\end{aligned}",
    )
    expect(
      toLatex(parse('mean(x, rows, columns) - sum(any(x < y, rows) ? ceil(x) : log10(x), columns)')),
    ).toBe(
      '\\begin{aligned} \\ell &= {\\operatorname{mean}_{\\mathrm{rows}, \\mathrm{columns}} x} - {\\sum_{\\mathrm{columns}} \\begin{cases} \\left\\lceil x \\right\\rceil & \\text{if } \\exists_{\\mathrm{rows}} \\left(x < y\\right) \\\\ \\log_{10}\\left(x\\right) & \\text{otherwise} \\end{cases}} \\end{aligned}',
    )
  })

  it.each([
    ['1 + -q', '1 - q'],
    ['1 - -q', '1 + q'],
    ['1 + -(x - y)', '1 - \\left(x - y\\right)'],
    ['1 + -2 * x * y', '1 - 2 \\cdot x \\cdot y'],
    ['x + -y - z', 'x - y - z'],
    ['log1p(-x)', '\\ln\\left(1 - x\\right)'],
    ['log1p(-x + y)', '\\ln\\left(1 - x + y\\right)'],
    ['x * -y', 'x \\cdot \\left(-y\\right)'],
    [
      'lbeta(x, y) + atan2(y, x)',
      '\\ln\\mathrm{B}\\left(x, y\\right) + \\operatorname{atan2}\\left(y, x\\right)',
    ],
  ])('writes %s as %s', (text, latex) => {
    expect(toLatex(parse(text))).toBe(`\\begin{aligned} \\ell &= ${latex} \\end{aligned}`)
  })

  it('keeps parentheses that change the meaning', () => {
    expect(toLatex(parse('max(x, rows) - max(x, y)'), ['rows'])).toContain(
      '{\\max_{\\mathrm{rows}} x} - \\operatorname{max}\\left(x, y\\right)',
    )
    expect(toLatex(parse('(x + y) * (x - (y - x))'))).toContain(
      '\\left(x + y\\right) \\cdot \\left(x - \\left(y - x\\right)\\right)',
    )
  })
})

it('freezes the tree, because formulas are shared', () => {
  const { statements } = parse('x + 1')
  expect(Object.isFrozen(statements[0]!.value as Expression)).toBe(true)
})
