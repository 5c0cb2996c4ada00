/**
 * The OpenAPI operations for losses, derived from their definitions. They are documentation only; check.ts
 * validates.
 */
import { type TObject, type TSchema, Type } from '@sinclair/typebox'
import type { Example, InputSpec, Loss } from '../losses/define.ts'
import { axesText, KINDS } from '../losses/define.ts'
import type { BodyDescription, Format } from '../wire/define.ts'
import { ComposeSchemas } from './compose.ts'
import { DefinitionSchema, formulaSchema } from './definition.ts'
import { DtypeSchema } from './dtype.ts'
import { COMMON_TENSORS, OptionSchemas } from './request.ts'
import { WarningSchema } from './warnings.ts'

const CLOSED = { additionalProperties: false } as const
const Shape = Type.Array(Type.Integer({ minimum: 0 }))
const JsonNumber = Type.Union([
  Type.Number(),
  Type.Literal('NaN'),
  Type.Literal('Infinity'),
  Type.Literal('-Infinity'),
])

/**
 * Null occurs only in responses, booleans (for 1 and 0) only in requests. Deeper levels are not described, because
 * client generators do not support recursive schemas.
 */
const NestedSchema = Type.Array(
  Type.Union([JsonNumber, Type.Boolean(), Type.Null(), Type.Array(Type.Unknown())]),
  {
    $id: 'Nested',
    description: 'Nested arrays of numbers (or booleans, for 1 and 0), with one length at each level.',
  },
)
const nestedRef = Type.Unsafe({ $ref: 'Nested#' })

/** The notations for numbers in JSON. */
export const NumbersSchema = Type.Union(
  [
    JsonNumber,
    nestedRef,
    Type.Object(
      { shape: Type.Optional(Shape), dtype: Type.Optional(DtypeSchema), data: nestedRef },
      { additionalProperties: false, description: 'Flat (or nested) numbers with their dtype.' },
    ),
    Type.Object(
      { shape: Shape, dtype: DtypeSchema, data: Type.String({ contentEncoding: 'base64' }) },
      { additionalProperties: false, description: 'Little-endian bytes as base64.' },
    ),
  ],
  {
    $id: 'Numbers',
    description: 'A tensor: a number, nested arrays, or an object with shape, dtype and data.',
  },
)

const numbersRef = Type.Unsafe<unknown>({ $ref: 'Numbers#' })
/** A number in a response: null for values that are not finite, if the request asks for that. */
const Answered = Type.Union([numbersRef, Type.Null()])
const AnsweredNumber = Type.Union([JsonNumber, Type.Null()])
const Derivatives = (description: string) => Type.Record(Type.String(), Answered, { description })

/** What the request was resolved to (explain-request.ts). */
export const ExplanationSchema = Type.Object(
  {
    loss: Type.String(),
    preset: Type.Union([Type.String(), Type.Null()]),
    note: Type.Optional(Type.String({ description: "Where the numbers differ from the framework's." })),
    params: Type.Record(Type.String(), Type.Unknown()),
    inputs: Type.Record(
      Type.String(),
      Type.Object(
        { kind: Type.String(), means: Type.String(), axes: Type.String(), dtype: DtypeSchema },
        CLOSED,
      ),
    ),
    value: Type.String(),
    reduction: Type.String(),
    denominator: Type.String(),
    gradients: Type.Array(Type.String()),
    precision: Type.String(),
    merges: Type.Boolean(),
    kinks: Type.String(),
    warnings: Type.Optional(Type.Array(WarningSchema)),
  },
  { $id: 'Explanation', ...CLOSED, description: 'What was resolved, inferred or decided by convention.' },
)

const tally = {
  denominator: Type.Optional(
    Type.Union([JsonNumber, Type.Null()], { description: 'What the sum was divided by.' }),
  ),
  count: Type.Optional(Type.Integer({ description: 'Number of values that count in the loss.' })),
  explain: Type.Optional(Type.Unsafe({ $ref: 'Explanation#' })),
  finite: Type.Boolean({ description: 'Whether the loss and all gradients are finite.' }),
}

/** The result of one term of a composition. */
export const TermResultSchema = Type.Object(
  { loss: Type.String(), weight: Type.Number(), value: AnsweredNumber, ...tally },
  { $id: 'TermResult', ...CLOSED },
)

/** The JSON response to a loss request. */
export const ResultSchema = Type.Object(
  {
    loss: Answered,
    gradients: Type.Optional(Derivatives('The gradient of the loss with respect to each input.')),
    hessian: Type.Optional(Derivatives('The diagonal of the second derivative with respect to each input.')),
    terms: Type.Optional(
      Type.Array(Type.Unsafe({ $ref: 'TermResult#' }), {
        description: 'For a composition: the result of each term.',
      }),
    ),
    ...tally,
  },
  { $id: 'Result', ...CLOSED },
)

/** Name -> the options that all losses share. Their names become the names of components. */
const SHARED = new Map<string, TSchema>([
  ...Object.entries(OptionSchemas).filter(([name]) => name !== 'params'),
  ...Object.entries(COMMON_TENSORS).map(([name, description]) => [name, numbers(description)] as const),
])

/** Every schema that others refer to. */
export const COMPONENTS: readonly TSchema[] = [
  NestedSchema,
  NumbersSchema,
  ExplanationSchema,
  TermResultSchema,
  ResultSchema,
  DefinitionSchema,
  ...[...SHARED].map(([name, schema]) => ({ ...schema, $id: componentOf(name) })),
]

/** `gradient_dtype` -> `GradientDtype`. */
function componentOf(name: string): string {
  return name.replaceAll(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase())
}

function refTo(name: string): TSchema {
  return Type.Unsafe({ $ref: `${componentOf(name)}#` })
}

/** @fastify/swagger drops members next to a $ref. */
function numbers(description: string): TSchema {
  return Type.Unsafe({ allOf: [{ $ref: 'Numbers#' }], description })
}

const HeadersSchema = Type.Object({
  'x-request-timeout-ms': Type.Optional(
    Type.Integer({
      minimum: 1,
      description:
        'Deadline in milliseconds, from the arrival of the body. It includes the time in the queue.',
    }),
  ),
  'x-request-id': Type.Optional(
    Type.String({ description: 'Request id; returned in the response and written to the log.' }),
  ),
})

/** The route schema of a loss. */
export function lossSchema(loss: Loss, formats: readonly Format[]) {
  return {
    operationId: loss.name,
    tags: [loss.family],
    summary: loss.about.split(/[.:;] /)[0].replace(/\.$/, ''),
    description: describe(loss),
    headers: HeadersSchema,
    body: contentOf(formats, (format) => bodyContent(loss, format)),
    response: responses(formats),
  }
}

/** The route schema of POST /v1/losses:compose. */
export function compositionSchema(formats: readonly Format[]) {
  const text =
    'A weighted sum of losses over shared tensors. The tensors are top-level members with names that you choose; each term specifies which ones it reads. Returns the total, its gradient with respect to each shared tensor, and the result of each term.'
  const members = Object.entries(ComposeSchemas).map(([name, schema]) => {
    if (name === 'terms') return [name, schema]
    // A composition has no reduction none.
    return [name, Type.Optional(name === 'reduction' ? schema : refTo(name))]
  })
  const body = Type.Object(Object.fromEntries(members), {
    additionalProperties: Type.Unsafe({ $ref: 'Numbers#' }),
    'x-examples': { example1: { summary: 'Cross-entropy and dice of the same logits', value: COMPOSITION } },
  })
  return {
    operationId: 'compose',
    tags: ['compose'],
    summary: 'A weighted sum of losses',
    description: text,
    headers: HeadersSchema,
    body: bodyOf(formats, body),
    response: responses(formats),
  }
}

/** The route schema of POST /v1/losses:evaluate. */
export function inlineSchema(formats: readonly Format[]) {
  const members = {
    formula: Type.Optional(
      formulaSchema(
        'In the formula language, as one string or as a list of lines; the last line is the unreduced value. The tensors of the request are its inputs, the members of `params` its parameters.',
      ),
    ),
    axes: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description:
          'For a formula: tensor -> names of its axes (`rows,classes`). Default: `...`, any number of axes.',
      }),
    ),
    definition: Type.Optional(Type.Unsafe({ $ref: 'Definition#' })),
    params: Type.Optional(OptionSchemas.params),
    ...Object.fromEntries(OPTIONS_OF_INLINE.map((name) => [name, Type.Optional(refTo(name))])),
  }
  const body = Type.Object(members, {
    additionalProperties: Type.Unsafe({ $ref: 'Numbers#' }),
    'x-examples': INLINE_EXAMPLES,
  })
  return {
    operationId: 'evaluate',
    tags: ['custom'],
    summary: 'Evaluate an inline custom loss: one that is sent with the request',
    description:
      'Send a `formula` with the tensors and parameters that it uses, or a `definition` that declares them. The value, the gradients and all options are the same as for a loss of the catalog. A definition is compiled once; repeating it costs no more than a loss of the catalog.',
    headers: HeadersSchema,
    body: bodyOf(formats, body),
    response: responses(formats),
  }
}

/** The name of a loss of the catalog in an address. */
export const CATALOG_NAME = Type.String({
  description: 'Its name, or the name that a framework uses.',
  examples: ['huber'],
})

/** The address of a registered loss. */
export const RegisteredAddress = Type.Object({
  namespace: Type.String({ examples: ['acme'] }),
  name: Type.String({ description: 'The name; `name@2` selects a version.', examples: ['robust_log'] }),
})

/**
 * The route schema of POST /v1/losses/{namespace}/{name}: one for all registered losses. Each of them has its own JSON
 * Schema.
 */
export function registeredSchema(formats: readonly Format[]) {
  const shared = Object.fromEntries([...SHARED.keys()].map((name) => [name, Type.Optional(refTo(name))]))
  const body = Type.Object(
    { params: Type.Optional(OptionSchemas.params), ...shared },
    { additionalProperties: Type.Unsafe({ $ref: 'Numbers#' }) },
  )
  return {
    operationId: 'evaluateRegisteredLoss',
    tags: ['custom'],
    summary: 'Evaluate a registered loss',
    description:
      'Its inputs are top-level members under their names. `GET /v1/losses/{namespace}/{name}/schema` returns the JSON Schema of the body.',
    headers: HeadersSchema,
    params: RegisteredAddress,
    body: bodyOf(formats, body),
    response: responses(formats),
  }
}

/** The JSON Schema of a request for a loss, with all schemas that it refers to. */
export function bodySchemaOf(loss: Loss): Record<string, unknown> {
  const here = (schema: unknown) =>
    JSON.parse(JSON.stringify(schema).replaceAll(/"\$ref":"(\w+)#"/g, '"$ref":"#/$defs/$1"'))
  const defs = COMPONENTS.map(({ $id, ...schema }) => [$id, here(schema)] as const)
  const used = new Set(['Numbers', 'Nested', ...[...SHARED.keys()].map(componentOf)])
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: loss.name,
    ...here(bodySchema(loss)),
    $defs: Object.fromEntries(defs.filter(([id]) => used.has(id!))),
  }
}

const OPTIONS_OF_INLINE = Object.keys(OptionSchemas).filter((name) => name !== 'preset' && name !== 'params')

/** The examples in the documentation. */
export const INLINE_EXAMPLES = {
  formula: {
    summary: 'Only a formula',
    value: {
      formula: 'log1p(((predictions - targets) / scale)^2)',
      params: { scale: 2 },
      predictions: [1, 5],
      targets: [0, 0],
    },
  },
  definition: {
    summary: 'A definition',
    value: {
      definition: {
        inputs: {
          predictions: { axes: '...', kind: 'real', differentiable: true },
          targets: { axes: '...', kind: 'real' },
        },
        params: { scale: { type: 'number', exclusiveMinimum: 0, default: 1 } },
        formula: ['r = (predictions - targets) / scale', 'log1p(r^2)'],
      },
      params: { scale: 2 },
      predictions: [1, 5],
      targets: [0, 0],
    },
  },
}

/** The example in the documentation. */
export const COMPOSITION = {
  terms: [
    { loss: 'binary_cross_entropy_with_logits', inputs: { predictions: 'logits', targets: 'mask' } },
    { loss: 'dice', weight: 0.5, inputs: { predictions: 'logits', targets: 'mask' }, params: { smooth: 0 } },
  ],
  logits: [[[2, -1, 0.5, -3]]],
  mask: [[[1, 0, 1, 0]]],
}

function bodyOf(formats: readonly Format[], schema: TSchema) {
  return contentOf(formats, ({ layout }) =>
    layout.shape === 'object' ? { schema } : file(`The tensors are ${placesIn(layout)}`),
  )
}

function file(description: string) {
  return { schema: Type.String({ format: 'binary', description }) }
}

/** Completes "The tensors are ...". */
function placesIn({ tensors, options }: BodyDescription): string {
  return `${tensors}; all other members are ${options}.`
}

function contentOf(formats: readonly Format[], content: (format: Format) => object) {
  return { content: Object.fromEntries(formats.map((format) => [format.mediaTypes[0], content(format)])) }
}

/** Error responses are the same for all operations; openapi-document.ts adds them. */
function responses(formats: readonly Format[]) {
  return { 200: { description: 'Loss and gradients.', ...contentOf(formats, resultContent) } }
}

function describe(loss: Loss): string {
  const references = loss.references.map((reference) => `- ${reference}`).join('\n')
  const aliases = loss.aliases.length === 0 ? '' : `\n\nAlso known as ${loss.aliases.join(', ')}.`
  return `${loss.about}\n\n\`\`\`\n${loss.formula.source.trim().replaceAll(/\n +/g, '\n')}\n\`\`\`${aliases}\n\nReferences:\n${references}`
}

function bodyContent(loss: Loss, format: Format) {
  if (format.layout.shape === 'file') return file(`${tensorsOf(loss)}\n\nThey are ${placesIn(format.layout)}`)
  const examples = loss.examples.map((example, place) => {
    return [`example${place + 1}`, { summary: `from: ${example.from}`, value: exampleBody(example) }]
  })
  // @fastify/swagger moves `x-examples` from the schema to where OpenAPI expects named examples.
  return { schema: { ...bodySchema(loss), 'x-examples': Object.fromEntries(examples) } }
}

function resultContent({ layout }: Format) {
  if (layout.shape === 'object') return { schema: { $ref: 'Result#' } }
  return file(`\`loss\` and \`gradients.<name>\` are ${placesIn(layout)}`)
}

/** An example as a request body. */
export function exampleBody({ inputs, params, reduction }: Example) {
  return { ...inputs, ...(params === undefined ? {} : { params }), reduction: reduction ?? 'none' }
}

function bodySchema(loss: Loss): TObject {
  const inputs = Object.entries(loss.inputs).map(([name, spec]) => {
    const schema: TSchema = numbers(inputText(spec))
    return [name, spec.optional ? Type.Optional(schema) : schema]
  })
  const shared = [...SHARED.keys()].map((name) => [name, Type.Optional(refTo(name))] as const)
  const params = ['params', Type.Optional(closedParams(loss))] as const
  return Type.Object(Object.fromEntries([...inputs, params, ...shared]), CLOSED)
}

/** Every parameter has a default, so none is required. */
function closedParams(loss: Loss): TObject {
  const params = Object.entries(loss.params.properties).map(([name, schema]) => [name, Type.Optional(schema)])
  return Type.Object(Object.fromEntries(params), CLOSED)
}

function inputText({ axes, sizes, kind, about, differentiable }: InputSpec): string {
  const layout = axes.length === 0 ? 'One number.' : `[${axesText({ axes, sizes }).replaceAll(',', ', ')}]`
  return `${layout} ${about} Each is ${KINDS[kind]}.${differentiable ? ' Differentiable.' : ''}`
}

function tensorsOf(loss: Loss): string {
  const tensors = Object.entries(loss.inputs).map(([name, spec]) => `- \`${name}\`: ${inputText(spec)}`)
  return `Tensors:\n${tensors.join('\n')}`
}
