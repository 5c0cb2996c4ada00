/**
 * The shape of a formula as it was written: a frozen tree with positions, nothing resolved. What the names mean is
 * decided when the formula is lowered for one request's structure (lower.ts).
 */

/** Where something stands in the text; both count from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

export type BinaryOperator =
  | '+'
  | '-'
  | '*'
  | '/'
  | '^'
  | '<'
  | '<='
  | '>'
  | '>='
  | '=='
  | '!='
  | 'and'
  | 'or'

export type Expression = { readonly at: Position } & (
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'unary'; readonly operator: '-' | 'not'; readonly argument: Expression }
  | {
      readonly kind: 'binary'
      readonly operator: BinaryOperator
      readonly left: Expression
      readonly right: Expression
    }
  | { readonly kind: 'choice'; readonly test: Expression; readonly yes: Expression; readonly no: Expression }
  | { readonly kind: 'call'; readonly name: string; readonly arguments: readonly Expression[] }
  | { readonly kind: 'rename'; readonly argument: Expression; readonly from: string; readonly to: string }
)

export interface Statement {
  /** Absent on the last line, which is the value. */
  readonly name: string | undefined
  readonly value: Expression
  readonly at: Position
}

export interface Formula {
  /** The text as it was written. */
  readonly source: string
  readonly statements: readonly Statement[]
}

/** A formula that cannot be read or does not make sense; says where, and the nearest valid name where one is close. */
export class FormulaError extends Error {
  override readonly name = 'FormulaError'
  readonly at: Position

  constructor(message: string, at: Position) {
    super(`line ${at.line}, column ${at.column}: ${message}`)
    this.at = at
  }
}
