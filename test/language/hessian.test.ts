/** The diagonal of the second derivative of every function, compared with central differences of its gradient. */
import { describe, expect, it } from 'vitest'
import { NoHessian } from '../../src/language/hessian.ts'
import { interpret } from '../../src/language/interpret.ts'
import { hessianKey } from '../../src/language/ir.ts'
import { lower } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { SMOOTH, VALUES } from '../support/calls.ts'
import { expectClose } from '../support/close.ts'
import { SCOPE } from '../support/formulas.ts'

const columns = VALUES.x!.length / VALUES.rows!
const INPUTS = {
  x: Float64Array.from(VALUES.x!),
  y: Float64Array.from(VALUES.y!),
  v: Float64Array.from(VALUES.v!),
  i: Int32Array.from(VALUES.i!),
}
const h = 1e-5

/**
 * Functions without a second derivative with respect to their argument. A shift by more than a million elements is a gather.
 */
const REFUSED =
  /\b(sort|order|argsort|cumsum|cummax|cummin|recurrence|reverse_recurrence|logcumsumexp|gather|scatter|soft_dtw)\(|shift\(x, -4000000000/

const named = ['x', 'y', 'v'] as const
const cases = SMOOTH.flatMap((text) =>
  named.filter((name) => new RegExp(`\\b${name}\\b`).test(text)).map((name) => [text, name] as const),
)
const gradientsOf = (text: string, name: (typeof named)[number], hessians: readonly string[] = []) => {
  const program = lower(parse(text), SCOPE, [name], undefined, hessians)
  return (inputs: typeof INPUTS) => {
    const sizes = { rows: VALUES.rows!, columns }
    return interpret(program, { sizes, inputs, scalars: { s: VALUES.s! } }).gradients
  }
}

const isRefused = ([text, name]: (typeof cases)[number]) => {
  try {
    gradientsOf(text, name, [name])
    return false
  } catch (error) {
    if (error instanceof NoHessian) return true
    throw error
  }
}

describe('the second derivative', () => {
  it.each(cases.filter((one) => !isRefused(one)))('of %s by %s equals central differences', (text, name) => {
    const slope = gradientsOf(text, name)
    const differences = Array.from(INPUTS[name], (value, at) => {
      const of = (step: number) =>
        slope({ ...INPUTS, [name]: INPUTS[name].with(at, value + step) })[name]![at]!
      return (of(h) - of(-h)) / (2 * h)
    })
    const found = gradientsOf(text, name, [name])(INPUTS)[hessianKey(name)]!
    expectClose(found, differences, { relative: 1e-5, absolute: 1e-6 })
  })

  it('is rejected only for functions that sort, accumulate or align along an axis', () => {
    const refused = cases.filter(isRefused).map(([text]) => text)
    expect(refused.filter((text) => !REFUSED.test(text))).toEqual([])
    for (const name of ['sort', 'cumsum', 'cummax', 'soft_dtw', 'scatter'])
      expect(refused.some((text) => text.includes(`${name}(`))).toBe(true)
  })

  it('is rejected if nested windows make too many elements depend on each other', () => {
    const ones = `[${new Array(40).fill(1).join()}]`
    const text = `conv(conv(x, ${ones}, columns)^2, ${ones}, rows)^2`
    expect(() => gradientsOf(text, 'x', ['x'])).toThrow('too many elements depend on each other')
  })
})
