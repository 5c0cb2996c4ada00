/**
 * The abstract syntax tree (AST) of a formula: a frozen tree with source positions and unresolved names. Names are
 * resolved when the formula is lowered for the structure of a request (lower.ts).
 */
import { codeFrame } from './code-frame.ts'

/** A source position; lines and columns count from 1. */
export interface Position {
  readonly line: number
  readonly column: number
  /** The text that it refers to. */
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
  | { readonly kind: 'list'; readonly items: readonly Expression[] }
  | { readonly kind: 'call'; readonly name: string; readonly arguments: readonly Expression[] }
  | { readonly kind: 'rename'; readonly argument: Expression; readonly from: string; readonly to: string }
)

/** The direct subexpressions of an expression. */
export function subexpressionsOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case 'unary':
    case 'rename':
      return [expression.argument]
    case 'binary':
      return [expression.left, expression.right]
    case 'choice':
      return [expression.test, expression.yes, expression.no]
    case 'list':
      return expression.items
    case 'call':
      return expression.arguments
    default:
      return []
  }
}

export interface Statement {
  /** Absent on the last line, which is the value. */
  readonly name: string | undefined
  readonly value: Expression
  readonly at: Position
}

/** A function that the formula defines: `f(x, y) = ...`. Its calls are expanded while the formula is parsed. */
export interface FunctionDefinition {
  readonly name: string
  readonly parameters: readonly string[]
  readonly value: Expression
  readonly at: Position
}

export interface Formula {
  /** The text as it was written. */
  readonly source: string
  /** With all calls of the formula's own functions expanded. */
  readonly statements: readonly Statement[]
  /** The lines as they were written, if there are functions among them. */
  readonly written?: readonly (Statement | FunctionDefinition)[]
}

/**
 * A syntax or semantic error in a formula. It says where it is and what to write instead, and suggests the nearest
 * known word for an unknown name.
 *
 * @example
 * parse('x +* y') // throws: line 1, column 4: expected a value, found "*"
 */
export class FormulaError extends Error {
  override readonly name = 'FormulaError'
  readonly at: Position
  /** The message without the position. */
  readonly problem: string
  /** The known word that an unknown word was probably meant to be. */
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

  /** The message, and below it the line with a caret under the position. */
  get detail(): string {
    return `${this.problem}\n${codeFrame(this.at)}`
  }
}
