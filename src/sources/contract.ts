/**
 * The contract of a target: what a loss is written as, and what it is written from. A target is a file in targets/
 * with a table of syntax and a frame; the writer of its family (arrays.ts, loops.ts, sql.ts) does the rest. Types and
 * the two refusals only.
 */
import type { Position } from '../language/ast.ts'
import type { BinaryOp, FormulaOp, InputLayout, LogicOp, UnaryOp } from '../language/ir.ts'
import type { TracedProgram } from '../language/lower.ts'
import type { Loss, Params } from '../losses/define.ts'
import type { Precision } from '../tensor.ts'

/**
 * The ops of single elements, which each language spells in its own way. `sigmoid` and `softplus` are taken apart before.
 */
export type ElementOp = Exclude<UnaryOp, 'sigmoid' | 'softplus'> | BinaryOp | LogicOp | 'select'

/** How a family of targets says a program: whole arrays at once, loops over elements, or one row of a table. */
export type TargetFamily = 'array' | 'loop' | 'sql' | 'boosting'

/** Something that a loss can be written as. */
export interface Target {
  readonly name: string
  readonly family: TargetFamily
  /** One sentence for the docs. */
  readonly about: string
  readonly mediaType: string
  /** Of a file with such source, with its dot. */
  readonly extension: string
  /** The first is the default. */
  readonly precisions: readonly Precision[]
  /** Variants of the language; the first is the default. Empty if there is only one. */
  readonly dialects: readonly string[]
  /** The program that it is written from, if that is another one than value and gradients. */
  readonly programOf?: (request: SourceRequest) => SourceProgram
  /** Names that its function must not have: words of the language, and names that the source itself gives or calls. */
  readonly taken?: readonly string[]
  /** @throws CannotWrite, InvalidName */
  readonly write: (source: SourceProgram, options: WriteOptions) => string
}

/** What one wants to have written. */
export interface SourceRequest {
  readonly loss: Loss
  /** Resolved, with the defaults filled in. Numbers become arguments with these defaults, or literals in SQL. */
  readonly params: Params
  /** The optional inputs that are given. Default: none. */
  readonly optional?: readonly string[]
  /** The inputs with one number per class in place of a class index. Default: none. */
  readonly perClass?: readonly string[]
  /** The inputs whose gradients are written. Default: all that have one. */
  readonly gradients?: readonly string[]
  readonly options?: Partial<WriteOptions>
}

export interface WriteOptions {
  readonly precision: Precision
  readonly dialect: string
  /** The name of the function. */
  readonly name: string
  /** SQL: the name of the table. */
  readonly table: string
  /** SQL: input -> the names of its columns. Default: one column with the name of the input. */
  readonly columns: Readonly<Record<string, readonly string[]>>
}

/** An input that the source reads. */
export interface SourceInput extends InputLayout {
  readonly name: string
  readonly about: string
  /** One vector along the last axis of the others (PyTorch's `pos_weight`). */
  readonly trailing: boolean
}

/** A parameter that is an argument of what is written. */
export interface SourceParam {
  readonly name: string
  readonly value: number
  readonly about: string
}

/** A loss, ready to be written: value and gradients of one structure of its requests. */
export interface SourceProgram extends TracedProgram {
  readonly loss: Loss
  readonly inputs: readonly SourceInput[]
  readonly params: readonly SourceParam[]
  /** Parameters that are part of the program, for the header: `reduction of labels: soft`. */
  readonly fixed: Params
  /** The input that the loss of each row is divided by in a mean, where it is more than 1. */
  readonly lengths: string | undefined
}

export interface WrittenSource {
  readonly text: string
  /** Of its function, in the form that the request has it: a language may spell it in camel case. */
  readonly name: string
  readonly mediaType: string
  readonly fileName: string
}

/** A target has no words for a part of the loss. */
export class CannotWrite extends Error {
  override readonly name = 'CannotWrite'
  readonly op: FormulaOp
  readonly why: string
  readonly at: Position | undefined

  constructor(op: FormulaOp, why: string, at?: Position) {
    super(at === undefined ? `${op}: ${why}` : `${op} (line ${at.line}, column ${at.column}): ${why}`)
    this.op = op
    this.why = why
    this.at = at
  }
}

/** A name of a table or a column that the dialect cannot quote, or a column that is missing. */
export class InvalidName extends Error {
  override readonly name = 'InvalidName'
  /** What is named: `table`, or an input. */
  readonly of: string

  constructor(of: string, why: string) {
    super(why)
    this.of = of
  }
}
