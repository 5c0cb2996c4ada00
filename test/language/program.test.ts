/**
 * The IR: common subexpression elimination, constant folding, dead code elimination, and a cost that is known in
 * advance.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { interpret } from '../../src/language/interpret.ts'
import { costOf, print } from '../../src/language/ir.ts'
import { lower } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { evaluateFormula, SCOPE } from '../support/formulas.ts'

const compile = (text: string, wants: readonly string[] = []) => lower(parse(text), SCOPE, wants)
const ops = (text: string, wants: readonly string[] = []) => compile(text, wants).nodes.map((node) => node.op)

describe('a program', () => {
  it('computes a common subexpression once', () => {
    expect(ops('exp(x - y) + 1 / exp(x - y)').filter((op) => op === 'exp')).toHaveLength(1)
  })

  it('folds constants and drops neutral operations', () => {
    expect(ops('x * (3 - 2) + 0')).toEqual(['input'])
    expect(ops('not (not (x > 0)) ? x : y')).not.toContain('not')
  })

  it('contains no dead code', () => {
    expect(ops('unused = exp(x)\ny')).toEqual(['input'])
  })

  it('builds only the selected branch of a known condition', () => {
    expect(ops('mode == soft ? x : exp(y)')).toEqual(['input'])
    expect(ops('given(w) ? w : x')).toEqual(['input'])
    expect(ops('is_index(i) ? x : exp(x)')).toEqual(['input'])
  })

  it('turns a sum of products over rows into a contraction', () => {
    expect(ops('sum(x * x[rows -> others], columns)')).toContain('contract')
    expect(ops('sum(x * y, columns)')).not.toContain('contract')
  })

  it('finds the axis that the argument of max introduces', () => {
    const text = 'max(v[rows -> others], others) - min(v[rows -> others], others)'
    expect(evaluateFormula(text, { v: [3, -1, 2], rows: 3 }).values).toEqual([4])
  })

  it('never materializes the products of a contraction, not even for gradients inside a conditional', () => {
    const sizes = { rows: 1000, columns: 50 }
    const text = 'sum(v > v[rows -> others] ? exp(sum(x * x[rows -> others], columns)) : 0, others)'
    const program = compile(text, ['x'])
    expect(program.nodes.filter((node) => node.op === 'contract')).toHaveLength(3)
    expect(costOf(program, sizes).widest).toBe(1e6)
  })

  it('reads a fixed element of an axis that is named by its size', () => {
    const scope = {
      ...SCOPE,
      inputs: { box: { type: 'real', axes: ['rows', '4'] } },
      axes: ['rows', '4'],
    } as const
    const program = lower(parse('pick(box, 2, 4) - pick(box, 0, 4)'), scope, ['box'])
    const inputs = { box: Float64Array.of(1, 2, 5, 9) }
    const found = interpret(program, { sizes: { rows: 1, '4': 4 }, inputs, scalars: {} })
    expect(Array.from(found.values)).toEqual([4])
    expect(Array.from(found.gradients.box!)).toEqual([-1, 0, 1, 0])
  })

  it('has a cost that is known before the launch', () => {
    const sizes = { rows: 1000, columns: 8 }
    const program = compile('sum(sum(x * x[rows -> others], columns), others)')
    expect(costOf(program, sizes).widest).toBe(1e6)
    expect(costOf(program, sizes).operations).toBeGreaterThanOrEqual(8e6)
  })

  it('can be printed for people', () => {
    expect(print(compile('sum(x * y, columns)', ['x']))).toMatchInlineSnapshot(`
      "%0 = input x [rows columns]
      %1 = input y [rows columns]
      %2 = mul %0 %1 [rows columns]
      %3 = reduce_sum %2 columns [rows]
      %4 = cotangent [rows]
      %5 = mul %4 %1 [rows columns]
      value %3
      gradient x %5"
    `)
  })

  it('equals the same formula without simplification', () => {
    const disguise = (text: string) => `(${text}) * (s / s) + (x - x) * 0`
    fc.assert(
      fc.property(
        fc.constantFrom('x * y', 'exp(x) - y', 'max(x, y)', 'x ^ 2', 'x > y ? x : -y'),
        fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: 4, maxLength: 4 }),
        (text, numbers) => {
          const values = { x: numbers.slice(0, 2), y: numbers.slice(2), s: 2 }
          const [plain, disguised] = [
            evaluateFormula(text, values, ['x']),
            evaluateFormula(disguise(text), values, ['x']),
          ]
          expect(disguised.values.map((v) => v + 0)).toEqual(plain.values.map((v) => v + 0))
          expect(disguised.gradients.x!.map((v) => v + 0)).toEqual(plain.gradients.x!.map((v) => v + 0))
        },
      ),
    )
  })
})

describe('an alternative name', () => {
  it.each([
    ['x ** 2', 'x ^ 2'],
    ['where(x > y, x, v)', 'x > y ? x : v'],
    ['where(given(w), w, x)', 'x'],
    ['where(x > 0, y > 0, false) ? x : y', 'x > 0 ? y > 0 ? x : y : y'],
    ['maximum(x, y)', 'max(x, y)'],
    ['minimum(x, y)', 'min(x, y)'],
    ['square(x - y)', '(x - y)^2'],
    ['power(x, y)', 'x^y'],
    ['clip(x, 0, y)', 'clamp(x, 0, y)'],
    ['expit(x)', 'sigmoid(x)'],
    ['log_sigmoid(x)', 'logsigmoid(x)'],
    ['1 - expit(x)', 'sigmoid(-x)'],
    ['silu(x)', 'x * sigmoid(x)'],
  ])('%s computes the same as %s', (spelt, plain) => {
    const values = { x: [0.3, -1.2], y: [1.1, -0.6], v: [0.5] }
    expect(evaluateFormula(spelt, values, ['x', 'y'])).toEqual(evaluateFormula(plain, values, ['x', 'y']))
  })

  it('is the same program', () => {
    expect(compile('square(x) + power(y, 3) - expit(x)', ['x'])).toEqual(
      compile('x^2 + y**3 - sigmoid(x)', ['x']),
    )
  })
})

describe('logaddexp', () => {
  const INFINITY = Number.POSITIVE_INFINITY
  it.each([
    [800, 800, 800 + Math.LN2],
    [-1e300, 3, 3],
    [3, -INFINITY, 3],
    [INFINITY, 3, INFINITY],
    [-INFINITY, -INFINITY, -INFINITY],
    [INFINITY, INFINITY, INFINITY],
    [Number.NaN, 1, Number.NaN],
  ])('of %d and %d is %d', (x, y, want) => {
    expect(evaluateFormula('logaddexp(x, y)', { x: [x], y: [y] }).values).toEqual([want])
  })

  it('has no kink at equal arguments, not even in the second derivative, and is accurate for small shares', () => {
    const slopes = (x: number, y: number) => {
      const { gradients } = evaluateFormula('logaddexp(x, y)', { x: [x], y: [y] }, ['x', 'y'])
      return [gradients.x![0], gradients.y![0]]
    }
    expect(slopes(2, 2)).toEqual([0.5, 0.5])
    expect(slopes(0, 50)).toEqual([Math.exp(-50) / (1 + Math.exp(-50)), 1])
    const program = lower(parse('logaddexp(x, y)'), SCOPE, ['x'], undefined, ['x'])
    const inputs = { x: Float64Array.of(2), y: Float64Array.of(2) }
    const found = interpret(program, { sizes: { rows: 1, columns: 1 }, inputs, scalars: {} })
    expect(Array.from(found.gradients['hessian.x']!)).toEqual([0.25])
  })
})
