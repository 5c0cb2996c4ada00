/**
 * Warnings about quotients, logarithms and roots that have no finite value for any input of the declared kinds. The
 * formula is lowered as it was written: a stable form would hide what its author meant.
 */
import type { Expression, Formula, Position } from './ast.ts'
import type { Ref } from './builder.ts'
import type { FormulaOp } from './ir.ts'
import { lowerAsWritten, type Scope } from './lower.ts'
import { type Range, type RangeSource, rangesIn } from './ranges.ts'

export interface Warning {
  readonly at: Position
  readonly problem: string
}

/** For an op, what is wrong if it is never finite. */
type Test = (args: readonly Range[]) => string | undefined

const ofLog: Test = ([x]) => (x.high <= 0 ? 'its argument is never above 0' : undefined)

const TESTS: { readonly [O in FormulaOp]?: Test } = {
  log: ofLog,
  log2: ofLog,
  log10: ofLog,
  log1p: ([x]) => (x.high <= -1 ? 'its argument is never above -1' : undefined),
  sqrt: ([x]) => (x.high < 0 ? 'its argument is always below 0' : undefined),
  div: ([, divisor]) => (divisor.low === 0 && divisor.high === 0 ? 'its divisor is always 0' : undefined),
}

/**
 * @param ranges the ranges of inputs and of parameters that are known only at run time
 * @throws FormulaError if the formula is invalid
 * @example
 * neverFinite(parse('log(-exp(x))'), scope, () => ANY_NUMBER)[0].problem
 * // 'log is never finite here: its argument is never above 0'
 */
export function neverFinite(formula: Formula, scope: Scope, ranges: RangeSource): Warning[] {
  const places = new Map<Ref, Expression>()
  const build = lowerAsWritten(formula, scope, (expression, ref) => {
    if (nameOf(expression) !== undefined && !places.has(ref)) places.set(ref, expression)
  })
  const found = rangesIn(build, ranges)
  return [...places].flatMap(([ref, expression]) => {
    const { op, args } = build.nodes[ref]
    const reason = TESTS[op]?.(args.map((arg) => found[arg]))
    if (reason === undefined) return []
    return [{ at: expression.at, problem: `${nameOf(expression)} is never finite here: ${reason}` }]
  })
}

/** What a quotient or a call is called; undefined for any other expression. */
function nameOf(expression: Expression): string | undefined {
  if (expression.kind === 'call') return expression.name
  return expression.kind === 'binary' && expression.operator === '/' ? 'the quotient' : undefined
}
