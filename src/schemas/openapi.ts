/** One loss's operation in OpenAPI, derived from its definition. It documents; what decides is check.ts. */
import { type TObject, type TSchema, Type } from '@sinclair/typebox'
import type { Example, InputSpec, Loss } from '../losses/define.ts'
import { KINDS } from '../losses/define.ts'
import type { Format } from '../wire/define.ts'
import { ComposeSchemas } from './compose.ts'
import { COMMON_TENSORS, OptionSchemas } from './request.ts'
import { DtypeSchema } from './tensor.ts'

const Shape = Type.Array(Type.Integer({ minimum: 0 }))
const JsonNumber = Type.Union([
  Type.Number(),
  Type.Literal('NaN'),
  Type.Literal('Infinity'),
  Type.Literal('-Infinity'),
])

/** Numbers as they may be spelled in JSON. */
export const NumbersSchema = Type.Union(
  [
    JsonNumber,
    Type.Array(Type.Unknown(), { description: 'Nested arrays of numbers.' }),
    Type.Object(
      { shape: Type.Optional(Shape), dtype: Type.Optional(DtypeSchema), data: Type.Array(Type.Unknown()) },
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

/** What a loss request is answered with, in JSON. */
export const ResultSchema = Type.Object(
  {
    loss: Type.Unsafe({ $ref: 'Numbers#' }),
    gradients: Type.Optional(Type.Record(Type.String(), Type.Unsafe({ $ref: 'Numbers#' }))),
    hessian: Type.Optional(
      Type.Record(Type.String(), Type.Unsafe({ $ref: 'Numbers#' }), {
        description: 'The diagonal of the second derivative, by input.',
      }),
    ),
    denominator: Type.Optional(Type.Number({ description: 'What the sum was divided by.' })),
    count: Type.Optional(Type.Integer({ description: 'How many values count in the loss.' })),
    terms: Type.Optional(
      Type.Array(Type.Unknown(), { description: 'Of a composition: each term by itself.' }),
    ),
    explain: Type.Optional(
      Type.Unknown({ description: 'What was resolved, where the request asks for it.' }),
    ),
    finite: Type.Boolean({ description: 'Whether the loss and all gradients are finite.' }),
  },
  { $id: 'Result' },
)

const HeadersSchema = Type.Object({
  'x-request-timeout-ms': Type.Optional(
    Type.Integer({
      minimum: 1,
      description: 'Deadline in milliseconds once the body is there; holds while the request is queued.',
    }),
  ),
  'x-request-id': Type.Optional(Type.String({ description: 'Comes back, and stands in the log.' })),
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
    'A weighted sum of losses over shared tensors, which stand at the top level under names of your own; each term says which it reads. Answers the total, its gradient by each shared tensor, and every term by itself.'
  const members = Object.entries(ComposeSchemas).map(([name, schema]) => {
    return [name, name === 'terms' ? schema : Type.Optional(schema)]
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
    body: contentOf(formats, (format) =>
      format.bodyLimit === 'json'
        ? { schema: body }
        : {
            schema: Type.String({
              format: 'binary',
              description: 'The tensors; `terms` as JSON in `__metadata__`.',
            }),
          },
    ),
    response: responses(formats),
  }
}

/** What the documentation shows of it. */
const COMPOSITION = {
  terms: [
    { loss: 'binary_cross_entropy_with_logits', inputs: { predictions: 'logits', targets: 'mask' } },
    { loss: 'dice', weight: 0.5, inputs: { predictions: 'logits', targets: 'mask' }, params: { smooth: 0 } },
  ],
  logits: [[[2, -1, 0.5, -3]]],
  mask: [[[1, 0, 1, 0]]],
}

function contentOf(formats: readonly Format[], content: (format: Format) => object) {
  return { content: Object.fromEntries(formats.map((format) => [format.mediaTypes[0], content(format)])) }
}

function responses(formats: readonly Format[]) {
  return {
    200: { description: 'Loss and gradients.', ...contentOf(formats, resultContent) },
    '4xx': { description: 'What is wrong, and where.', content: { 'application/problem+json': problem } },
    '5xx': { description: 'Not now, or a bug of ours.', content: { 'application/problem+json': problem } },
  }
}

const problem = { schema: { $ref: 'Problem#' } }

function describe(loss: Loss): string {
  const references = loss.references.map((reference) => `- ${reference}`).join('\n')
  const aliases = loss.aliases.length === 0 ? '' : `\n\nAlso known as ${loss.aliases.join(', ')}.`
  return `${loss.about}\n\n\`\`\`\n${loss.formula.source.trim().replaceAll(/\n +/g, '\n')}\n\`\`\`${aliases}\n\nReferences:\n${references}`
}

function bodyContent(loss: Loss, format: Format) {
  if (format.bodyLimit === 'binary')
    return { schema: Type.String({ format: 'binary', description: tensorsOf(loss) }) }
  const examples = loss.examples.map((example, place) => {
    return [`example${place + 1}`, { summary: `from: ${example.from}`, value: exampleBody(example) }]
  })
  // @fastify/swagger lifts `x-examples` out of the schema to where OpenAPI wants named examples.
  return { schema: { ...bodySchema(loss), 'x-examples': Object.fromEntries(examples) } }
}

function resultContent(format: Format) {
  if (format.bodyLimit === 'json') return { schema: { $ref: 'Result#' } }
  return {
    schema: Type.String({
      format: 'binary',
      description: '`loss` and `gradients.<name>`; the rest in `__metadata__`.',
    }),
  }
}

/** An example as it would be posted. */
export function exampleBody({ inputs, params, reduction }: Example) {
  return { ...inputs, ...(params === undefined ? {} : { params }), reduction: reduction ?? 'none' }
}

function bodySchema(loss: Loss): TObject {
  // @fastify/swagger drops what stands beside a $ref.
  const numbers = (description: string) => Type.Unsafe({ allOf: [{ $ref: 'Numbers#' }], description })
  const inputs = Object.entries(loss.inputs).map(([name, spec]) => {
    const schema: TSchema = numbers(inputText(spec))
    return [name, spec.optional ? Type.Optional(schema) : schema]
  })
  const common = Object.entries(COMMON_TENSORS).map(([name, text]) => [name, Type.Optional(numbers(text))])
  const options = Object.entries({ ...OptionSchemas, params: closedParams(loss) })
  const optional = options.map(([name, schema]) => [name, Type.Optional(schema)])
  return Type.Object(Object.fromEntries([...inputs, ...optional, ...common]), { additionalProperties: false })
}

/** Every parameter has a default, so none is required. */
function closedParams(loss: Loss): TObject {
  const params = Object.entries(loss.params.properties).map(([name, schema]) => [name, Type.Optional(schema)])
  return Type.Object(Object.fromEntries(params), { additionalProperties: false })
}

function inputText({ axes, kind, about, differentiable }: InputSpec): string {
  return `[${axes.join(', ')}] ${about} Each is ${KINDS[kind]}.${differentiable ? ' Differentiable.' : ''}`
}

function tensorsOf(loss: Loss): string {
  const tensors = Object.entries(loss.inputs).map(([name, spec]) => `- \`${name}\`: ${inputText(spec)}`)
  return `A safetensors file with\n${tensors.join('\n')}\n\nand options as JSON strings in \`__metadata__\`.`
}
