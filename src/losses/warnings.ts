/** Warnings about a loss that is valid, but whose formula cannot mean what its author wants. */
import type { TSchema } from '@sinclair/typebox'
import type { Position } from '../language/ast.ts'
import { codeFrame } from '../language/code-frame.ts'
import { neverFinite, type Warning } from '../language/never-finite.ts'
import { ANY_NUMBER, type Range } from '../language/ranges.ts'
import type { Kind, Loss, LossWarning, Params } from './define.ts'
import { type ProgramSignature, scopeOf } from './program.ts'

/** Only what is checked on every request. */
const RANGES: Readonly<Partial<Record<Kind, Range>>> = {
  positive: { low: 0, high: Number.POSITIVE_INFINITY },
  nonnegative: { low: 0, high: Number.POSITIVE_INFINITY },
  count: { low: 0, high: Number.POSITIVE_INFINITY },
  probability: { low: 0, high: 1 },
  simplex: { low: 0, high: 1 },
  binary: { low: 0, high: 1 },
  sign: { low: -1, high: 1 },
}

/**
 * @param structures those of the requests to consider
 * @throws FormulaError if the formula is invalid for one of them
 * @example
 * warningsOf(loss, [defaultSignature(loss)]) // [] for every loss of the catalog
 */
export function warningsOf(loss: Loss, structures: readonly ProgramSignature[]): LossWarning[] {
  const found = new Map<string, LossWarning>()
  for (const structure of structures) {
    for (const warning of warningsIn(loss, structure)) {
      const placed = placedIn(loss, warning)
      found.set(`${placed.pointer} ${placed.line} ${placed.column}`, placed)
    }
  }
  return [...found.values()]
}

function warningsIn(loss: Loss, structure: ProgramSignature): Warning[] {
  const scope = scopeOf(loss, structure)
  const ranges = (name: string) => rangeOf(loss, name, structure.params)
  return [loss.formula, ...(loss.denominator === undefined ? [] : [loss.denominator])].flatMap((formula) =>
    neverFinite(formula, scope, ranges),
  )
}

function rangeOf({ inputs, params }: Loss, name: string, values: Params): Range {
  if (Object.hasOwn(inputs, name)) return RANGES[inputs[name].kindFor(values)] ?? ANY_NUMBER
  const { type, minimum, maximum, exclusiveMinimum, exclusiveMaximum }: TSchema = params.properties[name]
  if (type !== 'number') return ANY_NUMBER
  return {
    low: minimum ?? exclusiveMinimum ?? ANY_NUMBER.low,
    high: maximum ?? exclusiveMaximum ?? ANY_NUMBER.high,
  }
}

function placedIn(loss: Loss, { at, problem }: Warning): LossWarning {
  const { line, column }: Position = at
  const pointer = at.source === loss.formula.source ? '/formula' : '/denominator'
  return { pointer, line, column, detail: `${problem}\n${codeFrame(at)}` }
}
