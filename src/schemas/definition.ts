/**
 * Validates the definition document of a custom loss. The result is the loss, or a problem with a pointer into the
 * JSON, and for a formula also the line and the column.
 */
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value, type ValueError } from '@sinclair/typebox/value'
import { Problem, type ProblemDetail, pointerToken, problemAtAll } from '../errors.ts'
import { FormulaError } from '../language/ast.ts'
import { RESERVED } from '../language/parse.ts'
import { customLoss, type Definition, type ParamDefinition, sourceOf } from '../losses/custom.ts'
import { KINDS, type Loss, parseAxes } from '../losses/define.ts'
import { type ProgramSource, ProgramTooLarge } from '../losses/program.ts'
import { REDUCTIONS } from '../losses/reduction.ts'
import { didYouMean } from '../nearest.ts'
import { isNonTensorMember } from '../wire/define.ts'
import { expectationMessage } from './expectation.ts'
import { COMMON_TENSORS } from './request.ts'
import { MAX_REPORTED } from './unknown-names.ts'

const closed = { additionalProperties: false } as const
const text = (maxLength: number, description: string) => Type.String({ maxLength, description })
const AXIS = '[A-Za-z_]\\w{0,31}'
const COUNT = '[1-9]\\d{0,5}'
/** `...`, a number of elements, a name, or a name with the axis or the number that it has the size of. */
const AXIS_PART = ` *(\\.\\.\\.|${COUNT}|${AXIS}( *= *(${AXIS}|${COUNT}))?) *`
const AXES = `^(${AXIS_PART}(,${AXIS_PART}){0,7}| *)$`
/** One string with line breaks, or one string per line. */
export const formulaSchema = (description: string) =>
  Type.Union([Type.String(), Type.Array(Type.String({ pattern: '^[^\\r\\n]*$' }))], { description })
/** The members of a body that is to say which loss it is about. */
export const INLINE_LOSS = {
  formula: Type.Optional(
    formulaSchema('In the formula language. Names that are neither parameters nor axes are inputs.'),
  ),
  definition: Type.Optional(Type.Unsafe({ $ref: 'Definition#' })),
  axes: Type.Optional(
    Type.Record(Type.String(), Type.String(), { description: 'Of the inputs of a formula.' }),
  ),
}
const Word = Type.String({ pattern: '^[A-Za-z_]\\w{0,63}$' })

const InputSchema = Type.Object(
  {
    axes: Type.Optional(
      Type.String({
        pattern: AXES,
        default: '...',
        description:
          'Names of its axes separated by commas, the slowest first. `...` is any number of axes; a number is an axis of that size; `others=rows` is an axis with the same size as `rows`, and `row=3` a named axis of size 3. Empty: one number that all rows share.',
      }),
    ),
    kind: Type.Optional(
      Type.Union(
        Object.keys(KINDS).map((kind) => Type.Literal(kind)),
        {
          description:
            'The meaning of its numbers, which is checked on every request. Default: `class` for an input that the formula uses as an index of an axis, `count` for one that an index is computed from, and `real` for any other.',
        },
      ),
    ),
    differentiable: Type.Optional(
      Type.Boolean({ default: false, description: 'Whether it has a gradient.' }),
    ),
    optional: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Whether it may be missing; the formula tests that with `given(name)`.',
      }),
    ),
    about: Type.Optional(text(2000, 'One sentence for the docs.')),
    places: Type.Optional(
      Type.String({
        description:
          'For indices: the axis that they index. Default: the axis that the formula indexes with them, or else `classes`.',
      }),
    ),
  },
  closed,
)

const ParamSchema = Type.Object(
  {
    type: Type.Optional(
      Type.Union([
        Type.Literal('number'),
        Type.Literal('integer'),
        Type.Literal('boolean'),
        Type.Literal('string'),
        // Generators of clients do not read tuples.
        Type.Array(Type.Union([Type.Literal('number'), Type.Literal('null')]), {
          minItems: 2,
          maxItems: 2,
          uniqueItems: true,
        }),
      ]),
    ),
    enum: Type.Optional(Type.Array(Word, { minItems: 1, maxItems: 32, uniqueItems: true })),
    minimum: Type.Optional(Type.Number()),
    maximum: Type.Optional(Type.Number()),
    exclusiveMinimum: Type.Optional(Type.Number()),
    exclusiveMaximum: Type.Optional(Type.Number()),
    default: Type.Union([Type.Number(), Type.Boolean(), Type.String(), Type.Null()]),
    description: Type.Optional(text(2000, 'One sentence for the docs.')),
  },
  { ...closed, description: 'JSON Schema of its values.' },
)

const ExampleSchema = Type.Object(
  {
    inputs: Type.Record(Type.String(), Type.Unknown()),
    params: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    reduction: Type.Optional(
      Type.Union(
        REDUCTIONS.map((name) => Type.Literal(name)),
        { default: 'none' },
      ),
    ),
    loss: Type.Unknown(),
    gradients: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { ...closed, description: 'Inputs, with the expected loss (and gradients); checked to 1e-9 in float64.' },
)

/** A definition document. */
export const DefinitionSchema = Type.Object(
  {
    name: Type.Optional(
      Type.String({
        pattern: '^[a-z][a-z0-9_]{0,63}/[a-z][a-z0-9_]{0,63}$',
        description: '`namespace/name`, each of lower-case letters, digits and `_`.',
      }),
    ),
    about: Type.Optional(text(4000, 'What it is, and when to use it.')),
    inputs: Type.Record(Type.String(), InputSchema, { minProperties: 1, maxProperties: 32 }),
    params: Type.Optional(Type.Record(Type.String(), ParamSchema, { maxProperties: 64 })),
    formula: formulaSchema(
      'In the formula language, as one string or as a list of lines; the last line is the unreduced value.',
    ),
    denominator: Type.Optional(
      formulaSchema(
        'What one value adds to the denominator of the mean, in the same language. It must not depend on a differentiable input. Default 1.',
      ),
    ),
    examples: Type.Optional(Type.Array(ExampleSchema, { maxItems: 16 })),
    references: Type.Optional(Type.Array(text(1000, 'A paper or a web page.'), { maxItems: 32 })),
  },
  {
    $id: 'Definition',
    ...closed,
    description: 'A custom loss: inputs, parameters and a formula.',
  },
)

/**
 * @param pointer JSON pointer to the document in the body
 * @param name the name of the loss in messages and metrics
 * @param programs the cache for the program of a typical request
 * @throws Problem `invalid-value`, `unknown-name`, `formula-invalid`, `too-expensive`
 * @example
 * checkDefinition({ inputs: { x: { differentiable: true } }, formula: 'x^2' }, '/definition').couples // 'element'
 */
export function checkDefinition(
  value: unknown,
  pointer: string,
  name?: string,
  programs?: ProgramSource,
): Loss {
  checkShape(value, pointer)
  const definition = value as unknown as Definition
  refuseAny([
    ...wrongNames(definition, pointer),
    ...wrongAxes(definition, pointer),
    ...wrongParams(definition, pointer),
  ])
  try {
    return customLoss(definition, name, programs)
  } catch (error) {
    throw formulaProblem(error, pointer, definition)
  }
}

/** The formulas of a definition, as strings or lists of lines. */
type FormulaTexts = Pick<Definition, 'formula' | 'denominator'>

/** A fault in a formula as a problem of the request. Any other error is returned as it is. */
export function formulaProblem(
  error: unknown,
  pointer: string,
  { formula, denominator }: FormulaTexts,
): unknown {
  if (error instanceof ProgramTooLarge) return new Problem('too-expensive', error.message)
  if (!(error instanceof FormulaError)) return error
  const { line, column, detail } = error
  const isInFormula = error.at.source === sourceOf(formula)
  const text = isInFormula ? formula : denominator
  const member = `${pointer}/${isInFormula ? 'formula' : 'denominator'}`
  const place = typeof text === 'object' ? `${member}/${line - 1}` : member
  const summary = `${place}, line ${line}, column ${column}: ${error.problem}`
  return new Problem('formula-invalid', summary, {
    errors: [{ pointer: place, line, column, detail }],
    cause: error,
  })
}

function checkShape(value: unknown, pointer: string): asserts value is Static<typeof DefinitionSchema> {
  const errors: ProblemDetail[] = []
  for (const error of Value.Errors(DefinitionSchema, value)) {
    errors.push(detailOf(error, pointer))
    if (errors.length === MAX_REPORTED) break
  }
  refuseAny(errors)
}

function detailOf({ path, schema, value, message }: ValueError, pointer: string): ProblemDetail {
  const place = `${pointer}${path}`
  if (message === 'Unexpected property') {
    const own = path.slice(path.lastIndexOf('/') + 1)
    const known = Object.keys(parentOf(path).properties ?? {})
    return {
      pointer: place,
      detail: `is not a known property; known are ${known.join(', ')}${didYouMean(own, known)}`,
    }
  }
  if (message === 'Expected required property') return { pointer: place, detail: 'is missing' }
  const wrong = path === '/formula' || path === '/denominator' ? wrongFormula(value, place) : undefined
  return wrong ?? { pointer: place, detail: expectedHere(path, schema, value) }
}

/**
 * What is wrong with the value of a member that must contain a formula, apart from the formula itself.
 *
 * @example
 * wrongFormula(3, '/formula')?.detail // 'must be a string, or a list of strings: one per line'
 */
export function wrongFormula(value: unknown, pointer: string): ProblemDetail | undefined {
  if (typeof value === 'string') return undefined
  if (!Array.isArray(value))
    return { pointer, detail: 'must be a string, or a list of strings: one per line' }
  const wrong = value.findIndex((line) => typeof line !== 'string' || /[\r\n]/.test(line))
  if (wrong < 0) return undefined
  const isText = typeof value[wrong] === 'string'
  const detail = isText ? 'contains a line break: split it into two strings' : 'must be a string: one line'
  return { pointer: `${pointer}/${wrong}`, detail }
}

function expectedHere(path: string, schema: TSchema, value: unknown): string {
  if (path === '/name')
    return 'must be namespace/name, where both consist of lower-case letters, digits and _ and begin with a letter'
  if (path === '/inputs' && typeof value === 'object' && value !== null && !Array.isArray(value))
    return Object.keys(value).length === 0
      ? 'must declare at least one input'
      : 'must declare at most 32 inputs'
  if (/\/axes$/.test(path))
    return 'must be names of axes separated by commas, as in rows,classes or rows,others=rows'
  return expectationMessage(schema, value)
}

/** The schema of the object that contains a property. */
function parentOf(path: string): TSchema {
  const parts = path.split('/').slice(1, -1)
  if (parts[0] === 'inputs') return InputSchema
  if (parts[0] === 'params') return ParamSchema
  return parts[0] === 'examples' ? ExampleSchema : DefinitionSchema
}

function refuseAny(errors: readonly ProblemDetail[]) {
  if (errors.length > 0) throw problemAtAll('invalid-value', errors)
}

function wrongNames({ inputs, params = {} }: Definition, pointer: string): ProblemDetail[] {
  const names = [
    ...Object.keys(inputs).map((name) => ({ name, at: `${pointer}/inputs/${pointerToken(name)}` })),
    ...Object.keys(params).map((name) => ({ name, at: `${pointer}/params/${pointerToken(name)}` })),
  ]
  return names.flatMap(({ name, at }, place) => {
    const isTwice = names.findIndex((other) => other.name === name) < place
    const detail = isTwice ? 'is also the name of an input: choose another name' : wrongName(name)
    return detail === undefined ? [] : [{ pointer: at, detail }]
  })
}

/**
 * What is wrong with the name of an input or a parameter.
 *
 * @example
 * wrongName('toString') // 'is not allowed as a name: choose another name'
 */
export function wrongName(name: string): string | undefined {
  if (!/^[A-Za-z_]\w{0,63}$/.test(name))
    return 'must consist of letters, digits and _, and must not begin with a digit'
  if (RESERVED.has(name)) return 'is a reserved word of the language: choose another name'
  if (isNonTensorMember(name) || Object.hasOwn(COMMON_TENSORS, name))
    return 'is a member of every request: choose another name'
  return name in Object.prototype ? 'is not allowed as a name: choose another name' : undefined
}

function wrongAxes({ inputs, params = {} }: Definition, pointer: string): ProblemDetail[] {
  const all = Object.entries(inputs).map(([name, { axes = '...', places }]) => {
    return { name, places, ...parseAxes(axes), at: `${pointer}/inputs/${pointerToken(name)}` }
  })
  const known = new Set(all.flatMap(({ axes }) => axes))
  const declared = new Map<string, string>()
  const found = all.flatMap(({ axes, sizes = {}, places, at }) => [
    ...axes.flatMap((axis, place) => {
      const isClash = Object.hasOwn(params, axis) || Object.hasOwn(inputs, axis)
      const detail = isInherited(axis)
        ? `${axis} is not allowed as the name of an axis: choose another name`
        : axes.indexOf(axis) < place
          ? twice(axis, axes)
          : isClash
            ? clash(axis)
            : undefined
      return detail === undefined ? [] : [{ pointer: `${at}/axes`, detail }]
    }),
    ...Object.entries(sizes).flatMap(([axis, size]) => {
      const detail = wrongSize(axis, size, known, declared)
      // A cycle is not recorded, so that following the sizes ends.
      if (detail !== undefined) return [{ pointer: `${at}/axes`, detail }]
      declared.set(axis, size)
      return []
    }),
    ...(places === undefined || known.has(places)
      ? []
      : [{ pointer: `${at}/places`, detail: `no input has the axis ${places}${didYouMean(places, known)}` }]),
  ])
  return known.size > 0 ? found : [...found, { pointer: `${pointer}/inputs`, detail: NO_AXES }]
}

/** Names of axes are keys of objects. */
const isInherited = (name: string) => name in Object.prototype

const NO_AXES = 'at least one input must have axes; "..." is any number of axes, even none'

const clash = (axis: string) => `the axis ${axis} has the name of an input or a parameter`

/** Suggests different names, so that a formula can tell the axes apart. */
function twice(axis: string, axes: readonly string[]): string {
  if (axis === '...') return 'has ... twice, so it is ambiguous which axes belong to which'
  const names = /^\d/.test(axis) ? ['row', 'column', 'other'] : [axis, `other_${axis}`]
  let count = 0
  const better = axes.map((one) => {
    if (one !== axis) return one
    const name = names[count++] ?? `${names.at(-1)}_${count}`
    return name === axis ? name : `${name}=${axis}`
  })
  return `has the axis ${axis} twice: give each its own name and the same size, as in ${better.join(',')}`
}

/** The size of an axis is declared once, as a number or as another axis, and without cycles. */
function wrongSize(
  axis: string,
  size: string,
  known: ReadonlySet<string>,
  declared: ReadonlyMap<string, string>,
): string | undefined {
  const before = declared.get(axis)
  if (before !== undefined && before !== size)
    return `the axis ${axis} has the size ${size} here, but ${before} in another input`
  if (!/^\d/.test(size) && !known.has(size))
    return `no input has the axis ${size}, which is declared as the size of ${axis}${didYouMean(size, known)}`
  let source: string | undefined = size
  while (source !== undefined && source !== axis) source = declared.get(source)
  return source === axis
    ? `the size of the axis ${axis} is declared in terms of itself: declare a number or another axis`
    : undefined
}

function wrongParams({ params = {} }: Definition, pointer: string): ProblemDetail[] {
  return Object.entries(params).flatMap(([name, { type, enum: words, default: standard, ...range }]) => {
    const at = `${pointer}/params/${pointerToken(name)}`
    if (words !== undefined) {
      if (type !== undefined && type !== 'string')
        return [{ pointer: `${at}/type`, detail: 'the values of an enum must be strings' }]
      const isOne = (words as readonly unknown[]).includes(standard)
      return isOne ? [] : [{ pointer: `${at}/default`, detail: `must be one of ${words.join(', ')}` }]
    }
    if (type === 'string') return [{ pointer: at, detail: 'a string parameter must list its values in enum' }]
    const detail = wrongDefault(type ?? 'number', standard, range)
    return detail === undefined ? [] : [{ pointer: `${at}/default`, detail }]
  })
}

type Range = Pick<ParamDefinition, 'minimum' | 'maximum' | 'exclusiveMinimum' | 'exclusiveMaximum'>

function wrongDefault(
  type: 'number' | 'integer' | 'boolean' | readonly ['number', 'null'],
  standard: unknown,
  range: Range,
): string | undefined {
  if (typeof type === 'object' && standard === null) return undefined
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = range
  const limits = Object.fromEntries(
    Object.entries({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }).filter(
      ([, limit]) => limit !== undefined,
    ),
  )
  const schema =
    type === 'boolean' ? Type.Boolean() : type === 'integer' ? Type.Integer(limits) : Type.Number(limits)
  return Value.Check(schema, standard) ? undefined : expectationMessage(schema, standard)
}
