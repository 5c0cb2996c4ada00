/**
 * A loss as source: GET /v1/losses/{name}/source/{target}, the same for a registered loss, and POST /v1/losses:source for one
 * that is sent with the request.
 */
import { Type } from '@sinclair/typebox'
import type { FastifyReply } from 'fastify'
import { problemAt } from '../errors.ts'
import type { ResolvedLoss } from '../losses/define.ts'
import { deprecationOf, findServable } from '../registry/retirement.ts'
import { INLINE_LOSS } from '../schemas/definition.ts'
import { resolveLoss } from '../schemas/find-loss.ts'
import { CATALOG_NAME, RegisteredAddress } from '../schemas/openapi.ts'
import {
  findTarget,
  inlineSource,
  type SourceAsk,
  sourceProblem,
  sourceRequest,
} from '../schemas/source-request.ts'
import type { Target } from '../sources/contract.ts'
import { TARGETS } from '../sources/targets.ts'
import { writeSource } from '../sources/write.ts'
import type { Routes } from './context.ts'
import { documentOf } from './definition-body.ts'

const TargetName = Type.String({
  description: `What to write: ${TARGETS.map(({ name }) => name).join(', ')}.`,
  examples: ['numpy'],
})
const [NAMES, JSON_OBJECT] = ['Names with commas between them.', 'A JSON object.'] as const
const options = {
  dialect: Type.Optional(Type.String({ description: 'Of SQL.', examples: ['duckdb'] })),
  table: Type.Optional(Type.String({ description: 'The table of a query; `t` by default.' })),
  precision: Type.Optional(
    Type.Union([Type.Literal('float64'), Type.Literal('float32')], {
      description: 'Of the numbers, where the target has both.',
    }),
  ),
  gradients: Type.Optional(
    Type.String({ description: `Inputs whose gradients are written; all by default. ${NAMES}` }),
  ),
  optional: Type.Optional(
    Type.String({ description: `Optional inputs that are given; none by default. ${NAMES}` }),
  ),
  per_class: Type.Optional(
    Type.String({ description: `Inputs with one number per class in place of a class index. ${NAMES}` }),
  ),
  name: Type.Optional(Type.String({ description: 'The name of the function; that of the loss by default.' })),
}
const Query = Type.Object({
  ...options,
  params: Type.Optional(
    Type.String({
      description: `Parameters: defaults of the arguments, or literals in SQL. ${JSON_OBJECT}`,
      examples: ['{"delta":2}'],
    }),
  ),
})
const Columns = Type.Record(Type.String(), Type.Union([Type.String(), Type.Array(Type.String())]), {
  description: 'SQL: input -> the name of its column, or of several.',
})
const Body = Type.Object(
  {
    target: TargetName,
    ...INLINE_LOSS,
    ...options,
    columns: Type.Optional(Columns),
    params: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { additionalProperties: false },
)
const Source = {
  200: {
    description: 'The source.',
    content: Object.fromEntries(
      [...new Set(TARGETS.map(({ mediaType }) => mediaType))].map((type) => [
        type,
        { schema: Type.String() },
      ]),
    ),
  },
}

type Ask = { Querystring: Record<string, string> }

const routes: Routes = (app, context) => {
  const { catalog } = context
  const tags = ['sources']

  const ofCatalog = {
    tags,
    operationId: 'lossSource',
    summary:
      'A loss as source: value and gradient, for an array library, a programming language or a database',
    description:
      'For SQL, each input may also name its columns: `predictions=y_hat`, or `predictions=a,b,c` for several classes.',
    params: Type.Object({
      name: CATALOG_NAME,
      target: TargetName,
    }),
    querystring: Query,
    response: Source,
    'x-problems': [404, 409, 414, 422],
  }
  app.get<Ask & { Params: { name: string; target: string } }>(
    '/v1/losses/:name/source/:target',
    { schema: ofCatalog },
    ({ params, query }, reply) => {
      const resolved = resolveLoss(catalog, params.name)
      return send(reply, resolved, findTarget(TARGETS, params.target), query)
    },
  )

  const ofRegistered = {
    tags,
    operationId: 'registeredLossSource',
    summary: 'A registered loss as source',
    params: Type.Object({ ...RegisteredAddress.properties, target: TargetName }),
    querystring: Query,
    response: Source,
    'x-problems': [404, 409, 410, 414, 422],
  }
  app.get<Ask & { Params: { namespace: string; name: string; target: string } }>(
    '/v1/losses/:namespace/:name/source/:target',
    { schema: ofRegistered },
    async (request, reply) => {
      const { params, query } = request
      const { resolved, retired } = await findServable(context.seenBy(request), params)
      if (retired !== null) reply.header('Deprecation', deprecationOf(retired))
      return send(reply, resolved, findTarget(TARGETS, params.target), query)
    },
  )

  const inline = {
    tags,
    operationId: 'inlineSource',
    summary: 'A loss that is sent with the request as source',
    body: { content: { 'application/json': { schema: Body } } },
    response: Source,
    'x-problems': [404, 409],
  }
  // Two colons in a route are one colon in the path.
  app.post('/v1/losses::source', { schema: inline }, ({ body }, reply) => {
    const { resolved, rest } = inlineSource(documentOf(body as Uint8Array | undefined))
    const { target, ...ask } = rest
    if (target !== undefined && typeof target !== 'string')
      throw problemAt('invalid-value', '/target', 'must be a string')
    return send(reply, resolved, findTarget(TARGETS, String(target)), ask)
  })
}

export default routes

function send(reply: FastifyReply, resolved: ResolvedLoss, target: Target, ask: SourceAsk) {
  const { text, mediaType, fileName } = written(resolved, target, ask)
  return reply
    .type(`${mediaType}; charset=utf-8`)
    .header('Content-Disposition', `inline; filename="${fileName}"`)
    .send(text)
}

function written(resolved: ResolvedLoss, target: Target, ask: SourceAsk) {
  const request = sourceRequest(resolved, target, ask)
  try {
    return writeSource(target, request)
  } catch (error) {
    throw sourceProblem(error, request.loss, target)
  }
}
