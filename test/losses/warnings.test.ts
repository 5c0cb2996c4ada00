/** Quotients and logarithms that are never finite are told, and nothing else is. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readCookbook } from '../../docs/cookbook.ts'
import { interpret } from '../../src/language/interpret.ts'
import { lower } from '../../src/language/lower.ts'
import { neverFinite } from '../../src/language/never-finite.ts'
import { parse } from '../../src/language/parse.ts'
import { ANY_NUMBER } from '../../src/language/ranges.ts'
import { customLoss, defaultSignature } from '../../src/losses/custom.ts'
import { expandLoss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { warningsOf } from '../../src/losses/warnings.ts'
import { SCOPE } from '../support/formulas.ts'
import { matrix } from '../support/random.ts'
import { defaultsOf } from '../support/sample.ts'

const { losses } = await loadCatalog()

const inputs = {
  x: { differentiable: true },
  targets: {},
  p: { kind: 'probability' },
  size: { kind: 'positive' },
  label: { kind: 'binary' },
} as const
const params = { scale: { type: 'number', exclusiveMinimum: 0, default: 1 } } as const
const told = (formula: string | readonly string[], denominator?: string) =>
  customLoss({ inputs, params, formula, ...(denominator && { denominator }) }).warnings

describe('a formula is warned of', () => {
  it.each([
    ['log(-exp(x))', 'log is never finite here: its argument is never above 0'],
    ['log(-size)', 'log is never finite here: its argument is never above 0'],
    ['log2(-x^2 - scale)', 'log2 is never finite here: its argument is never above 0'],
    ['log10(p - 1)', 'log10 is never finite here: its argument is never above 0'],
    ['log1p(-2 - abs(x))', 'log1p is never finite here: its argument is never above -1'],
    ['sqrt(-1 - x^2)', 'sqrt is never finite here: its argument is always below 0'],
    ['log(min(label, 0) - size)', 'log is never finite here: its argument is never above 0'],
    ['x / (targets - targets)', 'the quotient is never finite here: its divisor is always 0'],
    ['x / (0 * targets)', 'the quotient is never finite here: its divisor is always 0'],
    ['x / 0', 'the quotient is never finite here: its divisor is always 0'],
    ['x > 0 ? x : log(-sigmoid(x))', 'log is never finite here: its argument is never above 0'],
  ])('%s', (formula, problem) => {
    const found = told(formula)!
    expect(found).toHaveLength(1)
    expect(found[0]).toMatchObject({ pointer: '/formula', line: 1 })
    expect(found[0]!.detail.split('\n')[0]).toBe(problem)
    expect(found[0]!.detail).toMatch(/\n.*\n *\^$/)
  })

  it('with the line and the column, in the denominator, too', () => {
    expect(told(['e = exp(x)', 'e + log(-e)'])).toMatchObject([{ pointer: '/formula/1', line: 2, column: 5 }])
    expect(told('x', 'size / (label - label)')).toMatchObject([
      { pointer: '/denominator', line: 1, column: 1 },
    ])
  })
})

describe('a formula is not warned of', () => {
  it.each([
    'log(x)',
    'log(-x)',
    'log(1 - p)',
    'log(size)',
    'log(p - 0.1)',
    'log(0.3 - 0.1 - 0.2 + p)',
    'sqrt(-size)',
    '1 / size',
    'x / (x - targets)',
    'x > 0 ? x : 1 / 0',
    'x > 0 ? x : 0 / 0',
    'log1p(-p)',
    'size / (label * p)',
    'x / sum(x * 0 + 1, ...)',
  ])('%s', (formula) => expect(told(formula)).toEqual([]))

  it('in the catalog', () => {
    expect(losses.length).toBeGreaterThan(80)
    for (const loss of losses) {
      const expanded = expandLoss(loss, defaultsOf(loss))
      expect(warningsOf(expanded, [defaultSignature(expanded)]), loss.name).toEqual([])
    }
  })

  it('in the cookbook', () => {
    const recipes = readCookbook().flatMap((chapter) => chapter.recipes)
    expect(recipes.length).toBeGreaterThan(40)
    for (const { definition } of recipes) expect(customLoss(definition).warnings, definition.name).toEqual([])
  })
})

it('what is warned of has no finite value, whatever the numbers', () => {
  const wrapped = fc
    .tuple(
      matrix,
      fc.constantFrom('log(-abs(#))', 'x / (# - (#))', 'log(#)', 'log1p(#)', 'y / (#)', 'log(-(#))'),
    )
    .map(([inner, around]) => around.replaceAll('#', inner))
  let warned = 0
  fc.assert(
    fc.property(
      wrapped,
      fc.infiniteStream(fc.double({ noDefaultInfinity: true, noNaN: true, min: -9, max: 9 })),
      (text, stream) => {
        const formula = parse(text)
        const last = formula.statements.at(-1)!.value.at
        const found = neverFinite(formula, SCOPE, () => ANY_NUMBER).some(({ at }) => at === last)
        if (!found) return
        warned++
        const draw = (count: number) => Float64Array.from({ length: count }, () => stream.next().value)
        const program = lower(formula, SCOPE, [])
        const inputs = { x: draw(6), y: draw(6), v: draw(2), i: Int32Array.of(0, 2) }
        const { values } = interpret(program, {
          sizes: { rows: 2, columns: 3 },
          inputs,
          scalars: { s: draw(1)[0]! },
        })
        // An untaken branch may hide the place; a value that comes from it is not finite.
        for (const value of values) expect(Number.isFinite(value), text).toBe(false)
      },
    ),
    { numRuns: 1500, seed: 7 },
  )
  expect(warned).toBeGreaterThan(200)
})
