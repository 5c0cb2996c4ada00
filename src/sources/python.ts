/** What the array targets in Python share: operators, numbers, the docstring, and how shapes are read. */

import type { ArrayLines, ArrayNames, ArrayRule, ArraySyntax, HostScalarOps } from './arrays.ts'
import { ATOM, atom, type Code, call, infix, prefix, type Rule, within } from './code.ts'
import { flattenedInputs } from './collapse-axes.ts'
import type { SourceProgram } from './contract.ts'
import { commentSafe, headerLines } from './header.ts'

/** Of the operators. */
export const [CHOICE, EITHER, BOTH, NOT, ORDER, BIT_OR, BIT_AND, SUM, PRODUCT, SIGN, POWER] = [
  1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12,
] as const

/** Words of the language, and names that sources import, call or define. */
export const PYTHON_WORDS =
  'False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield print len range float int abs min max sum round pow type self reduction np torch jax jnp tf keras ops math inf nan device _reduce _reals _sigmoid _softplus _erf _lgamma _times _where _tanh _mean _maximum _minimum _pick _argsort _gather _scatter _cummax_place _last _forward _backward _reduce_by_lengths _weighted _digamma _polygamma _cot_of_turn _shift _recurrence _solve_lower _solve_upper _ctc_values _ctc_slope _ctc_states _ctc_forward _ctc_backward _ctc_end _ctc_total _log_add _soft_dtw_values _soft_dtw_slope _soft_dtw_table _soft_min _soft_weights'.split(
    ' ',
  )

/** Names that a function in Python must not have, also those that its helpers call. */
export const TAKEN_IN_PYTHON = [...PYTHON_WORDS, 'list', 'tuple', 'hasattr', 'staticmethod']

export function pythonNumber(value: number): string {
  if (Number.isNaN(value)) return 'float("nan")'
  if (!Number.isFinite(value)) return value < 0 ? '-float("inf")' : 'float("inf")'
  const text = String(value)
  return /[.e]/.test(text) ? text : `${text}.0`
}

const pythonTruth = (value: boolean) => (value ? 'True' : 'False')

const comparison =
  (operator: string): Rule =>
  ([a, b]) => ({
    text: `${within(a, BIT_OR)} ${operator} ${within(b, BIT_OR)}`,
    binds: ORDER,
  })

/** Operators that arrays and numbers share. */
export const OPERATORS = {
  neg: prefix('-', SIGN),
  add: infix('+', SUM),
  sub: infix('-', SUM),
  mul: infix('*', PRODUCT),
  div: infix('/', PRODUCT),
  lt: comparison('<'),
  le: comparison('<='),
  eq: comparison('=='),
  and: infix('&', BIT_AND),
  or: infix('|', BIT_OR),
  not: prefix('~', SIGN),
} as const

/** `a ** b`: the sign of the base binds less tightly, also that of a number. */
export const power: Rule = ([a, b]) => ({
  text: `${within(a, ATOM)} ** ${within(b, POWER)}`,
  binds: POWER,
})

/** Arithmetic of parameters. Division by one of them would raise an error where it is 0. */
const PYTHON_STATICS: HostScalarOps = {
  neg: OPERATORS.neg,
  add: OPERATORS.add,
  sub: OPERATORS.sub,
  mul: OPERATORS.mul,
  div: OPERATORS.div,
  lt: OPERATORS.lt,
  le: OPERATORS.le,
  eq: OPERATORS.eq,
  and: infix('and', BOTH),
  or: infix('or', EITHER),
  not: ([a]) => ({ text: `not ${within(a, NOT)}`, binds: NOT }),
  max: call('max'),
  select: ([test, yes, no]) => ({
    text: `${within(yes, CHOICE + 1)} if ${within(test, CHOICE + 1)} else ${within(no, CHOICE)}`,
    binds: CHOICE,
  }),
}

/** `x[:, None]` */
function alignByNone(x: Code, dimensions: readonly (number | null)[]): Code {
  return atom(`${within(x, 100)}[${dimensions.map((own) => (own === null ? 'None' : ':')).join(', ')}]`)
}

/** `x[:, 2]` */
function sliceByIndex(x: Code, dimension: number, place: number): Code {
  return atom(
    `${within(x, 100)}[${[...Array.from({ length: dimension }, () => ':'), String(place)].join(', ')}]`,
  )
}

/** What the array targets spell alike; a target may have its own in place of any. */
export const PYTHON_SYNTAX = {
  statics: PYTHON_STATICS,
  reserved: PYTHON_WORDS,
  number: pythonNumber,
  truth: pythonTruth,
  assign: (name, { text }) => `${name} = ${text}`,
  align: alignByNone,
  slice: sliceByIndex,
  pick: (x, places, axis) => atom(`_pick(${x.text}, ${places.text}, axis=${axis})`),
} satisfies Partial<ArraySyntax>

export const tuple = (codes: readonly { readonly text: string }[]) =>
  `(${codes.map(({ text }) => text).join(', ')}${codes.length === 1 ? ',' : ''})`

/** Ops on a whole axis that python-axis-ops.ts has functions for. */
export const WHOLE_AXIS_CALLS = {
  shift: ([x, steps], axis) => atom(`_shift(${x.text}, ${steps.text}, ${axis})`),
  recurrence: (args, axis) => call('_recurrence', String(axis), '1')(args),
  reverse_recurrence: (args, axis) => call('_recurrence', String(axis), '-1')(args),
  solve_lower: call('_solve_lower'),
  solve_upper: call('_solve_upper'),
  ctc: call('_ctc_values'),
  ctc_slope: call('_ctc_slope'),
  soft_dtw: call('_soft_dtw_values'),
  soft_dtw_slope: call('_soft_dtw_slope'),
} satisfies Partial<ArraySyntax['ops']>

/** A call whose last argument is the dimension. */
export const along =
  (name: string, dimension: string): ArrayRule =>
  (args, place) =>
    call(name, `${dimension}=${place}`)(args)

export function docstring(source: SourceProgram, notes: readonly string[], indent: string): string[] {
  const lines = headerLines(source, notes).map((line) => `${indent}${commentSafe(line)}`.trimEnd())
  return [`${indent}"""${lines[0].trim()}`, ...lines.slice(1), `${indent}"""`]
}

/** The arguments of a function: inputs, then parameters by keyword with their defaults. */
export function signatureOf(source: SourceProgram, { inputs, params }: ArrayNames): string {
  const keywords = source.params.map(({ name, value }) => `${params.get(name)}=${pythonNumber(value)}`)
  return [...inputs.values(), '*', ...keywords, 'reduction="mean"'].join(', ')
}

/**
 * The line that makes whole numbers floats where the formula has real ones: in their arithmetic a parameter of a half would be 0, and a
 * mean would be rounded down. `_reals` is the helper of the library.
 */
export function realLines({ inputs }: SourceProgram, names: ArrayNames): string[] {
  const reals = inputs.filter(({ type }) => type === 'real').map(({ name }) => names.inputs.get(name)!)
  if (reals.length === 0) return []
  return [`${reals.length === 1 ? `[${reals[0]}]` : reals.join(', ')} = _reals(${reals.join(', ')})`]
}

/** Inputs with other axes between named ones are seen with one axis in their place. */
export interface ShapeSyntax {
  /** The shape with a part of it flattened: `(*x.shape[:2], -1)`. */
  flatten(x: string, before: number, after: number): string
  /** The size of a dimension. */
  size(x: string, dimension: number): string
}

/** The lines that flatten inputs and read sizes. */
export function shapeLines(
  source: SourceProgram,
  { inputs }: ArrayNames,
  { sizes }: Pick<ArrayLines, 'sizes'>,
  syntax: ShapeSyntax,
  assign: (name: string, text: string) => string = (name, text) => `${name} = ${text}`,
): string[] {
  const flattened = flattenedInputs(source).map(({ name, axes }) => {
    const own = inputs.get(name)!
    const before = axes.indexOf('...')
    return assign(own, syntax.flatten(own, before, axes.length - before - 1))
  })
  const read = [...sizes].map(([axis, name]) => {
    const owner = source.inputs.find(({ axes }) => axes.includes(axis))!
    return assign(name, syntax.size(inputs.get(owner.name)!, owner.axes.indexOf(axis)))
  })
  return [...flattened, ...read]
}

/**
 * CTC with labels and lengths of another type than inputs may have.
 *
 * @param cast converts an argument
 */
export const ctcWithCasts =
  (cast: (argument: string) => string) =>
  (name: string): ArrayRule =>
  ([x, labels, lengths, counts, blank]) => {
    const whole = [labels, lengths, counts].map(({ text }) => atom(cast(text)))
    return call(name)([x, ...whole, blank])
  }
