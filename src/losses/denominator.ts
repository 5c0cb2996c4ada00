/**
 * The denominator of a mean is a constant for the gradient, so it must not change with an input that has one: the
 * gradient would not be that of the loss.
 */
import {
  type Expression,
  type Formula,
  FormulaError,
  type Position,
  subexpressionsOf,
} from '../language/ast.ts'
import { variesWith } from '../language/lower.ts'
import type { Loss } from './define.ts'
import { type ProgramSignature, scopeOf } from './program.ts'

/**
 * @throws FormulaError at the name through which the denominator depends on such an input
 * @example
 * checkDenominator(loss, defaultSignature(loss))
 */
export function checkDenominator(loss: Loss, structure: ProgramSignature) {
  const { denominator } = loss
  if (denominator === undefined) return
  const [input] = variesWith(denominator, scopeOf(loss, structure), structure.wants)
  if (input === undefined) return
  const detail = `the denominator changes with "${input}", which has a gradient, but counts as a constant in it; write "stop_gradient(...)" if that is meant, or divide in the formula itself`
  throw new FormulaError(detail, placeOf(denominator, input))
}

/** The first name in the denominator's own lines that leads to the input. */
function placeOf({ source, statements }: Formula, input: string): Position {
  const lines = new Map(statements.map(({ name, value }) => [name, value]))
  const leads = (expression: Expression): boolean => {
    if (expression.kind !== 'name') return smoothParts(expression).some(leads)
    const line = lines.get(expression.name)
    return expression.name === input || (line !== undefined && leads(line))
  }
  const find = (expression: Expression): Position | undefined => {
    if (expression.kind === 'name') return leads(expression) ? expression.at : undefined
    return smoothParts(expression)
      .map(find)
      .find((at) => at !== undefined)
  }
  const own = statements.filter(({ at }) => at.source === source)
  return own.map(({ value }) => find(value)).find((at) => at !== undefined) ?? own[0].at
}

/** Without conditions, and without what is constant to the gradient. */
function smoothParts(expression: Expression): readonly Expression[] {
  if (expression.kind === 'choice') return [expression.yes, expression.no]
  const isConstant = expression.kind === 'call' && expression.name === 'stop_gradient'
  const isCondition = expression.kind === 'binary' && !/^[-+*/^]$/.test(expression.operator)
  return isConstant || isCondition ? [] : subexpressionsOf(expression)
}
