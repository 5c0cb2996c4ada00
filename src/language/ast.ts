/**
 * The shape of a formula as it was written: a frozen tree with positions, nothing resolved. What the names mean is
 * decided when the formula is lowered for one request's structure (lower.ts).
 */
import { quote } from './quote.ts'

/** Where something stands; lines and columns count from 1. */
export interface Position {
  readonly line: number
  readonly column: number
  /** The text in which it stands. */
  readonly source: string
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

/**
 * A formula that cannot be read or does not make sense. It says where, what to write instead, and the nearest known word
 * where a name is unknown.
 *
 * @example
 * parse('x +* y') // throws: line 1, column 4: expected a value, found "*"
 */
export class FormulaError extends Error {
  override readonly name = 'FormulaError'
  readonly at: Position
  /** The sentence without its place. */
  readonly problem: string
  /** The known word that an unknown one was probably meant to be. */
  readonly suggestion: string | undefined

  constructor(problem: string, at: Position, suggestion?: string) {
    super(`line ${at.line}, column ${at.column}: ${problem}`)
    this.at = at
    this.problem = problem
    this.suggestion = suggestion
  }

  get line(): number {
    return this.at.line
  }

  get column(): number {
    return this.at.column
  }

  /** The sentence, and below it the line with a caret under the place. */
  get detail(): string {
    return `${this.problem}\n${quote(this.at)}`
  }
}
