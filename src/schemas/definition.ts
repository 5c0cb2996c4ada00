/**
 * Validates the definition document of a custom loss. The result is the loss, or a problem with a pointer into the
 * JSON, and for a formula also the line and the column.
 */
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value, type ValueError } from '@sinclair/typebox/value'
import { Problem, type ProblemDetail, pointerToken, problemAtAll } from '../errors.ts'
import { FormulaError } from '../language/ast.ts'
import { RESERVED } from '../language/parse.ts'
import { customLoss, type Definition, type ParamDefinition } from '../losses/custom.ts'
import { KINDS, type Loss } from '../losses/define.ts'
import { type ProgramSource, ProgramTooLarge } from '../losses/program.ts'
import { REDUCTIONS } from '../losses/reduction.ts'
import { didYouMean } from '../nearest.ts'
import { isPlainMember } from '../wire/define.ts'
import { expected } from './params.ts'
import { COMMON_TENSORS } from './request.ts'
import { MOST_TOLD } from './unknown-names.ts'

const closed = { additionalProperties: false } as const
const text = (maxLength: number, description: string) => Type.String({ maxLength, description })
const AXES =
  '^(\\.\\.\\.|[A-Za-z_]\\w{0,31}|[1-9]\\d{0,5})(,(\\.\\.\\.|[A-Za-z_]\\w{0,31}|[1-9]\\d{0,5})){0,7}$'
const Word = Type.String({ pattern: '^[A-Za-z_]\\w{0,63}$' })

const InputSchema = Type.Object(
  {
    axes: Type.Optional(
      Type.String({
        pattern: AXES,
        default: '...',
        description: 'Names of its axes separated by commas, the slowest first; `...` is any number of axes.',
      }),
    ),
    kind: Type.Optional(
      Type.Union(
        Object.keys(KINDS).map((kind) => Type.Literal(kind)),
        { default: 'real', description: 'What its numbers mean; checked on every request.' },
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
        description: 'For indices: the axis that they index, if it is not called classes.',
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
    formula: Type.String({ description: 'In the loss language; its last line is the unreduced value.' }),
    denominator: Type.Optional(
      Type.String({
        description: 'What one value adds to the denominator of the mean, in the same language. Default 1.',
      }),
    ),
    examples: Type.Optional(Type.Array(ExampleSchema, { maxItems: 16 })),
    references: Type.Optional(Type.Array(text(1000, 'A paper or a web page.'), { maxItems: 32 })),
  },
  {
    $id: 'Definition',
    ...closed,
    description: 'A custom loss: inputs, parameters and a formula in the loss language.',
  },
)

/**
 * @param pointer JSON pointer to the document in the body
 * @param name the name of the loss in messages and metrics
 * @param programs where the program of the usual request is cached for the first one
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
    throw formulaProblem(error, pointer, definition.formula)
  }
}

/** A fault in a formula as a problem of the request. Any other error is returned as it is. */
export function formulaProblem(error: unknown, pointer: string, formula: string): unknown {
  if (error instanceof ProgramTooLarge) return new Problem('too-expensive', error.message)
  if (!(error instanceof FormulaError)) return error
  const { line, column, detail } = error
  const place = `${pointer}/${error.at.source === formula ? 'formula' : 'denominator'}`
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
    if (errors.length === MOST_TOLD) break
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
  return { pointer: place, detail: expectedHere(path, schema, value) }
}

function expectedHere(path: string, schema: TSchema, value: unknown): string {
  if (path === '/name')
    return 'must be namespace/name, each of small letters, digits and _, and begin with a letter'
  if (/\/axes$/.test(path))
    return 'must be names of axes with commas between them: rows,classes; one number for all rows has the axis 1'
  return expected(schema, value)
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

function wrongName(name: string): string | undefined {
  if (!/^[A-Za-z_]\w{0,63}$/.test(name))
    return 'must consist of letters, digits and _, and must not begin with a digit'
  if (RESERVED.has(name)) return 'is a reserved word of the language: choose another name'
  if (isPlainMember(name) || Object.hasOwn(COMMON_TENSORS, name))
    return 'is a member of every request: choose another name'
  return name in Object.prototype ? 'is not allowed as a name: choose another name' : undefined
}

/** An axis occurs only once in an input, and does not have the name of a parameter or an input. */
function wrongAxes({ inputs, params = {} }: Definition, pointer: string): ProblemDetail[] {
  return Object.entries(inputs).flatMap(([name, { axes = '...', places }]) => {
    const own = axes.split(',')
    const at = `${pointer}/inputs/${pointerToken(name)}`
    const twice = own.find((axis, place) => own.indexOf(axis) < place)
    const known = new Set(Object.values(inputs).flatMap((input) => (input.axes ?? '...').split(',')))
    const clash = own.find((axis) => Object.hasOwn(params, axis) || Object.hasOwn(inputs, axis))
    return [
      ...(twice === undefined
        ? []
        : [{ pointer: `${at}/axes`, detail: `has the axis ${twice} twice; give one of them another name` }]),
      ...(clash === undefined
        ? []
        : [{ pointer: `${at}/axes`, detail: `the axis ${clash} has the name of an input or a parameter` }]),
      ...(places === undefined || known.has(places)
        ? []
        : [
            {
              pointer: `${at}/places`,
              detail: `no input has the axis ${places}${didYouMean(places, known)}`,
            },
          ]),
    ]
  })
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
  return Value.Check(schema, standard) ? undefined : expected(schema, standard)
}
