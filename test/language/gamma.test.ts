/** lgamma and its derivatives in float64: reference values of mpmath, poles, and higher derivatives. */
import { describe, expect, it } from 'vitest'
import { digamma, lgamma, polygamma } from '../../src/language/gamma.ts'
import { interpret } from '../../src/language/interpret.ts'
import { lower } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { expectClose } from '../support/close.ts'
import { evaluateFormula, SCOPE } from '../support/formulas.ts'
import { GAMMA_FUNCTIONS, GAMMA_POINTS } from '../support/gamma.ts'

const INFINITY = Number.POSITIVE_INFINITY
const x = [...GAMMA_POINTS]

describe.each(GAMMA_FUNCTIONS)('$text', ({ text, values, slopes }) => {
  const got = evaluateFormula(text, { x }, ['x'])

  it('is accurate to 1e-14; left of 0, to the effect of rounding x', () => {
    x.forEach((at, i) => {
      const moved = at < 0 ? 2 ** -53 * Math.abs(at * slopes[i]!) : 0
      const error = Math.abs(got.values[i]! - values[i]!)
      expect(error, `${text} at ${at}: ${got.values[i]}, not ${values[i]}`).toBeLessThanOrEqual(
        1e-14 * Math.abs(values[i]!) + 2 * moved,
      )
    })
  })

  it('has the next function as its derivative', () => {
    const isPlain = (i: number) => x[i]! > 0 || Math.abs(x[i]! - Math.round(x[i]!)) > 1e-6
    const places = [...x.keys()].filter(isPlain)
    const [gradient, want] = [got.gradients.x!, slopes].map((all) => places.map((i) => all[i]!))
    want!.forEach((slope, i) => {
      // Results beyond the range of float64 are infinite.
      if (Math.abs(slope) < 1e300) expectClose([gradient![i]!], [slope], { relative: 1e-11, absolute: 0 })
    })
  })
})

describe('special cases', () => {
  it.each([
    ['lgamma', lgamma, 0, INFINITY],
    ['lgamma', lgamma, -0, INFINITY],
    ['lgamma', lgamma, -1, INFINITY],
    ['lgamma', lgamma, -5e-324, 744.4400719213812],
    ['lgamma', lgamma, 1, 0],
    ['lgamma', lgamma, 2, 0],
    ['lgamma', lgamma, INFINITY, INFINITY],
    ['lgamma', lgamma, -INFINITY, INFINITY],
    ['lgamma', lgamma, -1e300, INFINITY],
    ['lgamma', lgamma, Number.NaN, Number.NaN],
    ['digamma', digamma, 0, -INFINITY],
    ['digamma', digamma, -0, INFINITY],
    ['digamma', digamma, -1, Number.NaN],
    ['digamma', digamma, INFINITY, INFINITY],
    ['digamma', digamma, -INFINITY, Number.NaN],
    ['digamma', digamma, Number.NaN, Number.NaN],
    ['trigamma', (at: number) => polygamma(1, at), 0, INFINITY],
    ['trigamma', (at: number) => polygamma(1, at), -3, INFINITY],
    ['trigamma', (at: number) => polygamma(1, at), -8.3e-322, INFINITY],
    ['polygamma(2)', (at: number) => polygamma(2, at), -8.3e-322, INFINITY],
    ['polygamma(3)', (at: number) => polygamma(3, at), -8.3e-322, INFINITY],
    ['digamma', digamma, -8.3e-322, INFINITY],
    ['trigamma', (at: number) => polygamma(1, at), INFINITY, 0],
    ['trigamma', (at: number) => polygamma(1, at), Number.NaN, Number.NaN],
    ['polygamma(2)', (at: number) => polygamma(2, at), 0, -INFINITY],
    ['polygamma(2)', (at: number) => polygamma(2, at), -1, -INFINITY],
    ['polygamma(2)', (at: number) => polygamma(2, at), -1e-200, INFINITY],
    ['digamma', digamma, -8.3e-322, INFINITY],
  ])('%s is as in PyTorch or SciPy (%#)', (_, run, at, want) => {
    expect(run(at) + 0).toBe(want)
  })
})

describe('a second derivative', () => {
  const hessianOf = (text: string, at: number) => {
    const program = lower(parse(text), SCOPE, ['x'], undefined, ['x'])
    const inputs = { x: Float64Array.of(at), y: Float64Array.of(1.3) }
    return interpret(program, { sizes: { rows: 1, columns: 1 }, inputs, scalars: { s: 2 } }).gradients[
      'hessian.x'
    ]![0]!
  }

  it.each([
    ['lgamma(x)', 2.5, polygamma(1, 2.5)],
    ['digamma(x)', 2.5, polygamma(2, 2.5)],
    ['trigamma(x)', -0.7, polygamma(3, -0.7)],
    ['polygamma(6, x)', 1.5, polygamma(8, 1.5)],
    ['lgamma(x * s)', 0.4, 4 * polygamma(1, 0.8)],
    ['exp(digamma(x))', 0.8, Math.exp(digamma(0.8)) * (polygamma(1, 0.8) ** 2 + polygamma(2, 0.8))],
  ])('of %s at %d', (text, at, want) => {
    expectClose([hessianOf(text, at)], [want], { relative: 1e-14, absolute: 0 })
  })

  it('of a loss: the negative binomial with respect to its mean and its dispersion', () => {
    const text = '-(lgamma(y + x) - lgamma(x) - lgamma(y + 1) + x * log(x / (x + s)) + y * log(s / (x + s)))'
    const gradientAt = (at: number) =>
      evaluateFormula(text, { x: [at], y: [1.3], s: 2 }, ['x']).gradients.x![0]!
    const h = 1e-5
    expectClose([hessianOf(text, 0.7)], [(gradientAt(0.7 + h) - gradientAt(0.7 - h)) / (2 * h)], {
      relative: 1e-8,
    })
  })
})

describe('an order', () => {
  it('of 0 is digamma, and may be a known parameter', () => {
    expect(evaluateFormula('polygamma(0, x)', { x: [2.5] }).values).toEqual([digamma(2.5)])
    const scope = { ...SCOPE, params: { k: { kind: 'fixed', value: 3 } } } as const
    const program = lower(parse('polygamma(k, x)'), scope, [])
    const inputs = { x: Float64Array.of(2.5) }
    const { values } = interpret(program, { sizes: { rows: 1, columns: 1 }, inputs, scalars: {} })
    expect(values[0]).toBe(polygamma(3, 2.5))
  })

  it.each(['polygamma(x, y)', 'polygamma(s, x)', 'polygamma(1.5, x)', 'polygamma(-1, x)', 'polygamma(7, x)'])(
    'in %s is rejected',
    (text) => {
      expect(() => lower(parse(text), SCOPE, [])).toThrow(
        'line 1, column 11: expected a constant whole number from 0 to 6',
      )
    },
  )
})
