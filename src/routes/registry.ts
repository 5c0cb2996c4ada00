/** Registering, showing, listing and retiring losses. routes/evaluate-registered.ts evaluates them. */
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Problem, problemAt } from '../errors.ts'
import type { Definition } from '../losses/custom.ts'
import { type Loss, type ResolvedLoss, withoutPreset } from '../losses/define.ts'
import { checkExamples } from '../registry/examples.ts'
import { fullName, registeredName } from '../registry/name.ts'
import type { RegisteredLoss } from '../registry/registry.ts'
import { deprecationOf, findServable } from '../registry/retirement.ts'
import { checkDefinition } from '../schemas/definition.ts'
import { evaluateExactly } from '../schemas/evaluate-exactly.ts'
import { bodySchemaOf, RegisteredAddress } from '../schemas/openapi.ts'
import { WarningSchema } from '../schemas/warnings.ts'
import type { Condition, StoredVersion } from '../store/contract.ts'
import { decodeObject } from '../wire/index.ts'
import { describedSchema, describeLoss } from './catalog.ts'
import type { RouteContext, Routes } from './context.ts'
import { documentOf } from './definition-body.ts'
import { createEngineSupport, type EngineSupport } from './engine-support.ts'
import { sendDescription } from './loss-page.ts'
import { parameterOf, switchOf } from './query.ts'

const closed = { additionalProperties: false } as const
const tags = ['custom']
const versioned = {
  version: Type.Integer(),
  id: Type.String({
    description: 'Identifies what it computes: sha256 of formula, inputs, parameters and denominator.',
  }),
  created: Type.String({ format: 'date-time' }),
  createdBy: Type.Union([Type.String(), Type.Null()]),
}
const Version = Type.Object(versioned, closed)
const Registered = Type.Object(
  {
    ...describedSchema,
    ...versioned,
    retired: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
    definition: Type.Unsafe({ $ref: 'Definition#' }),
    warnings: Type.Array(WarningSchema, { description: 'Quotients and logarithms that are never finite.' }),
  },
  closed,
)
const Removed = Type.Object({ retired: Type.Boolean(), purged: Type.Boolean() }, closed)
interface Address {
  Params: { namespace: string; name: string }
}

/** Versions per page. */
const PAGE = 100

const routes: Routes = (app, context) => {
  const seen = (request: FastifyRequest) => context.seenBy(request)
  const engines = createEngineSupport(context)
  const problems = [404, 501, 503]

  const register = {
    tags,
    operationId: 'registerLoss',
    summary: 'Register a custom loss as the next version of its name',
    description:
      'Sending the same document again responds with 200 and the existing version. `If-None-Match: *` only creates a name; `If-Match` with the ETag of the latest version only adds the version after it.',
    body: { content: { 'application/json': { schema: Type.Unsafe({ $ref: 'Definition#' }) } } },
    response: { 200: Registered, 201: Registered },
    'x-problems': [400, 412, 413, 422, 429, 501, 503],
  }
  app.post('/v1/losses', { schema: register }, async (request, reply) => {
    const document = documentOf(request.body as Uint8Array)
    const resolved = withoutPreset(checkDefinition(document, '', undefined, context.programs))
    const registry = seen(request)
    // Before anything is computed. Without a namespace, registering says what is missing.
    const [namespace, ...rest] = resolved.loss.name.split('/')
    if (rest.length > 0) registry.checkRole('register', namespace)
    holdExamples(document as Definition, resolved, context)
    const { own, isNew } = await registry.register(document, resolved, conditionOf(request))
    tell(reply, own)
    reply.header('Location', `/v1/losses/${fullName(own.stored)}@${own.stored.version}`)
    return reply.code(isNew ? 201 : 200).send(shown(own, engines))
  })

  const one = {
    tags,
    operationId: 'describeRegisteredLoss',
    summary: 'One registered loss, by default its latest version',
    params: RegisteredAddress,
    response: { 200: Registered },
    'x-problems': [...problems, 410],
  }
  app.get<Address>('/v1/losses/:namespace/:name', { schema: one }, async (request, reply) => {
    const own = await findServable(seen(request), request.params)
    tell(reply, own)
    return sendDescription(request, reply, shown(own, engines))
  })

  const versions = {
    tags,
    operationId: 'listVersions',
    summary: 'The versions of a registered loss, the newest first',
    params: RegisteredAddress,
    querystring: Type.Object({ before: Type.Optional(Type.Integer({ minimum: 1 })) }),
    response: { 200: Type.Object({ versions: Type.Array(Version) }, closed) },
    'x-problems': [...problems, 422],
  }
  app.get<Address>('/v1/losses/:namespace/:name/versions', { schema: versions }, async (request) => {
    const own = registeredName(request.params.namespace, request.params.name)
    const page = { limit: PAGE, ...beforeOf(parameterOf(request, 'before')) }
    const found = await seen(request).versions(own, page)
    return { versions: found.map(versionOf) }
  })

  const schema = {
    tags,
    operationId: 'registeredLossSchema',
    summary: 'JSON Schema of a request to a registered loss',
    params: RegisteredAddress,
    response: { 200: Type.Record(Type.String(), Type.Unknown()) },
    'x-problems': [...problems, 410],
  }
  app.get<Address>('/v1/losses/:namespace/:name/schema', { schema }, async (request) =>
    bodySchemaOf((await findServable(seen(request), request.params)).resolved.loss),
  )

  const retire = {
    tags,
    operationId: 'retireLoss',
    summary: 'Retire a registered loss',
    description:
      'Afterwards the bare name responds with 410. Versions that are requested explicitly continue to work, with a Deprecation header. `purge=true` deletes everything.',
    params: RegisteredAddress,
    querystring: Type.Object({ purge: Type.Optional(Type.Boolean()) }),
    response: { 200: Removed },
    'x-problems': [...problems, 422],
  }
  app.delete<Address>('/v1/losses/:namespace/:name', { schema: retire }, async (request) => {
    const own = registeredName(request.params.namespace, request.params.name)
    if (own.version !== undefined)
      throw problemAt('invalid-value', '/name', 'a single version cannot be removed')
    const isPurge = switchOf(request, 'purge')
    await seen(request).remove(own, isPurge)
    return { retired: !isPurge, purged: isPurge }
  })
}

export default routes

/** Checks the examples of a definition before it is stored. */
function holdExamples({ examples }: Definition, resolved: ResolvedLoss, { plans, config }: RouteContext) {
  const { inputs } = resolved.loss
  checkExamples({ ...(examples && { examples }), inputs }, (body) =>
    evaluateExactly(resolved, decodeObject(body, config), plans),
  )
}

/** @throws Problem `invalid-value` for an ETag that lossd did not create */
function conditionOf({ headers }: FastifyRequest): Condition | undefined {
  if (headers['if-none-match'] === '*') return { onlyCreate: true }
  const match = headers['if-match']
  if (match === undefined) return undefined
  const version = /^"(\d+)"$/.exec(match)
  if (version === null)
    throw new Problem(
      'precondition-failed',
      `If-Match must be the ETag of a version, as in "3"; got ${match.slice(0, 80)}`,
    )
  return { follows: Number(version[1]) }
}

function tell(reply: FastifyReply, { stored, retired }: RegisteredLoss) {
  reply.header('ETag', `"${stored.version}"`)
  if (retired !== null) reply.header('Deprecation', deprecationOf(retired))
}

function shown(
  { resolved: { loss }, stored, retired }: RegisteredLoss,
  engines: (loss: Loss) => EngineSupport,
) {
  return {
    ...describeLoss(loss, engines),
    ...versionOf(stored),
    retired,
    definition: JSON.parse(stored.document) as object,
    warnings: loss.warnings ?? [],
  }
}

function versionOf({ version, id, created, createdBy }: StoredVersion) {
  return { version, id: `sha256:${id}`, created, createdBy }
}

function beforeOf(before: string | undefined): { before?: number } {
  if (before === undefined) return {}
  if (!/^[1-9]\d{0,8}$/.test(before)) throw problemAt('invalid-value', '/before', 'must be a version number')
  return { before: Number(before) }
}
