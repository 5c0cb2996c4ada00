/** A definition for a formula that stands alone, without tensors: every name that is no parameter is a real input. */
import { problemAt } from '../errors.ts'
import { FormulaError } from '../language/ast.ts'
import { parse } from '../language/parse.ts'
import type { Definition } from '../losses/custom.ts'
import { definitionOf, namesIn } from '../losses/shorthand.ts'
import { formulaProblem } from './definition.ts'

/**
 * @throws Problem `formula-invalid`, `invalid-value`
 * @example
 * definitionOfFormula({ formula: 'abs(x - y) / s', params: { s: 2 } }).inputs // x and y
 */
export function definitionOfFormula(body: Readonly<Record<string, unknown>>): Definition {
  const { formula } = body
  if (typeof formula !== 'string') throw problemAt('invalid-value', '/formula', 'must be a string')
  const params = (body.params ?? {}) as Record<string, unknown>
  const axes = (body.axes ?? {}) as Record<string, string>
  try {
    const names = [...namesIn(parse(formula))]
    const places = new Set(Object.values(axes).flatMap((list) => list.split(',')))
    const assigned = new Set(
      parse(formula).statements.flatMap(({ name }) => (name === undefined ? [] : [name])),
    )
    const inputs = names.filter(
      (name) => !Object.hasOwn(params, name) && !places.has(name) && !assigned.has(name),
    )
    const tensors = Object.fromEntries(inputs.map((name) => [name, { isInteger: false }]))
    return definitionOf({ formula, tensors, params, axes })
  } catch (error) {
    if (error instanceof FormulaError) throw formulaProblem(error, '', formula)
    throw error
  }
}
