/** Uploads of files for evaluations: they go from the connection to the disk. */
import type { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Problem, problemAt } from '../errors.ts'
import type { FormatDefinition } from '../evaluator/formats/define.ts'
import { FORMATS, formatOfMediaType, MEDIA_TYPES } from '../evaluator/formats/index.ts'
import { type NewUpload, type Upload, type Uploads, unknownDataset } from '../evaluator/uploads.ts'
import { exceptFromTimeout } from '../http.ts'
import { DatasetList, DatasetSchema, RemovedDataset } from '../schemas/dataset.ts'
import { callerOf, chargeBytes } from './authorize.ts'
import { unpacked, unpackingProblem } from './content-encoding.ts'
import type { RouteContext, Routes } from './context.ts'

const tags = ['evaluations']
const Address = Type.Object({ id: Type.String() })
interface ById {
  Params: { id: string }
  Querystring: { format?: string }
}

const routes: Routes = async (app, context) => {
  await app.register(async (own) => {
    // Bodies of any type are left on their connection.
    own.removeAllContentTypeParsers()
    own.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    registerUpload(own, context)
  })

  const one = { tags, params: Address, 'x-problems': [404, 501] }
  app.get(
    '/v1/datasets',
    {
      schema: {
        tags,
        operationId: 'listDatasets',
        summary: 'The datasets of the caller',
        response: { 200: DatasetList },
        'x-problems': [501],
      },
    },
    async (request) => {
      const all = await uploadsOf(context).list(callerOf(request).id)
      return { datasets: all.map((upload) => shown(upload, context)) }
    },
  )
  app.get<ById>(
    '/v1/datasets/:id',
    {
      schema: {
        ...one,
        operationId: 'findDataset',
        summary: 'One dataset',
        description: 'Only what is known of it: datasets are evaluated, not sent back.',
        response: { 200: DatasetSchema },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      const found = await uploadsOf(context).find(callerOf(request).id, id)
      if (found === undefined) throw unknownDataset(id)
      tell(reply, found)
      return shown(found, context)
    },
  )
  app.delete<ById>(
    '/v1/datasets/:id',
    {
      schema: {
        ...one,
        operationId: 'removeDataset',
        summary: 'Delete a dataset',
        description: 'Evaluations that have not read it to its end fail.',
        response: { 200: RemovedDataset },
      },
    },
    async (request) => {
      const { id } = request.params
      if (!(await uploadsOf(context).remove(callerOf(request).id, id))) throw unknownDataset(id)
      return { removed: true }
    },
  )
}

export default routes

const registerUpload: Routes = (app, context) => {
  app.put<ById>(
    '/v1/datasets/:id',
    {
      config: { bodyLimit: Number.POSITIVE_INFINITY },
      schema: {
        tags,
        operationId: 'uploadDataset',
        summary: 'Upload a file for evaluations',
        description:
          'The body is the file. Its format is that of the `Content-Type`, or of `format`. A dataset of this id is replaced; `If-None-Match: *` only creates it. If there is a `Content-Digest` with `sha-256`, the body must have it. What does not arrive completely leaves nothing.',
        params: Address,
        querystring: Type.Object({
          format: Type.Optional(Type.Union([...FORMATS.keys()].map((name) => Type.Literal(name)))),
        }),
        body: {
          content: Object.fromEntries(
            MEDIA_TYPES.map((type) => [type, { schema: { type: 'string', format: 'binary' } }]),
          ),
        },
        response: { 200: DatasetSchema, 201: DatasetSchema },
        'x-problems': [400, 408, 412, 415, 422, 501, 507],
      },
    },
    async (request, reply) => {
      const uploads = uploadsOf(context)
      const format = formatOf(request)
      const owner = callerOf(request).id
      const { raw } = request
      exceptFromTimeout(raw)
      const isPacked = (raw.headers['content-encoding'] ?? 'identity') !== 'identity'
      const length = raw.headers['content-length']
      const { upload, isNew } = await uploads.put(owner, {
        id: request.params.id,
        format,
        length: length === undefined || isPacked ? undefined : Number(length),
        digest: digestOf(request),
        onlyCreate: raw.headers['if-none-match'] === '*',
        chunks: chunksOf(request, context),
      })
      tell(reply, upload)
      if (isNew) reply.header('Location', `/v1/datasets/${upload.id}`)
      return reply.code(isNew ? 201 : 200).send(shown(upload, context))
    },
  )
}

/** @throws Problem `no-evaluations` */
function uploadsOf({ uploads, config }: RouteContext): Uploads {
  if (uploads !== undefined) return uploads
  const [setting, why] =
    config.datasets === ''
      ? ['LOSSD_DATASETS', 'it has no']
      : config.uploadBytes === 0
        ? ['LOSSD_UPLOAD_BYTES', 'it has 0 as']
        : ['LOSSD_STORE', 'it has no']
  throw new Problem('no-evaluations', `this service takes no datasets: ${why} ${setting}`)
}

/** @throws Problem `unsupported-media-type`, `invalid-value` */
function formatOf({ query, headers }: FastifyRequest<ById>): FormatDefinition {
  const names = [...FORMATS.keys()].join(', ')
  if (query.format !== undefined) {
    const format = FORMATS.get(String(query.format))
    if (format !== undefined) return format
    throw problemAt(
      'invalid-value',
      '/format',
      `must be one of ${names}, got ${JSON.stringify(String(query.format).slice(0, 80))}`,
    )
  }
  const format = formatOfMediaType(headers['content-type'] ?? '')
  if (format !== undefined) return format
  throw new Problem(
    'unsupported-media-type',
    `say what the body is: ?format= with one of ${names}, or a Content-Type of ${MEDIA_TYPES.join(', ')}`,
    { headers: { Accept: MEDIA_TYPES.join(', ') } },
  )
}

/** `Content-Digest` (RFC 9530) with SHA-256; others are left alone. */
function digestOf({ headers }: FastifyRequest): string | undefined {
  const given = headers['content-digest']
  if (given === undefined) return undefined
  const found = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):/.exec(String(given))
  if (found !== null) return Buffer.from(found[1], 'base64').toString('hex')
  throw new Problem('invalid-value', 'Content-Digest must have sha-256=:...: with 32 bytes in base64')
}

/**
 * The body as it arrives. Who sends nothing for a while, or takes too long, is told so.
 *
 * @throws Problem `request-timeout`, or the error of the connection
 */
async function* chunksOf(
  request: FastifyRequest,
  { config }: RouteContext,
): NewUpload['chunks'] & AsyncGenerator<Uint8Array> {
  const { raw } = request
  const source = unpacked(raw)
  // A response can still be sent if this ends before the body does.
  const chunks = (source as Readable).iterator({ destroyOnReturn: false }) as AsyncIterator<Uint8Array>
  const end = performance.now() + config.uploadTimeoutMs
  let arrived = 0
  try {
    for (;;) {
      const ms = Math.min(config.bodyTimeoutMs, end - performance.now())
      const { done, value } = await inTime(chunks.next(), ms)
      if (done) return
      arrived += value.length
      yield value
    }
  } catch (error) {
    throw source === raw ? error : unpackingProblem(raw, error as Error)
  } finally {
    // What fails has arrived, too.
    chargeBytes(request, arrived)
    if (source !== raw) raw.unpipe(source as never)
  }
}

function inTime<T>(chunk: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Problem('request-timeout', 'the upload did not arrive in time')),
      Math.max(0, ms),
    )
    chunk.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

function tell(reply: FastifyReply, { digest }: Upload) {
  reply.header('ETag', `"${digest}"`)
}

function shown({ id, format, bytes, digest, created }: Upload, { config }: RouteContext) {
  return {
    id,
    format,
    bytes,
    digest: `sha256:${digest}`,
    created: new Date(created).toISOString(),
    expires: new Date(created + config.uploadExpiryMs).toISOString(),
  }
}
