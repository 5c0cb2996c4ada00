/**
 * A loss as a WebAssembly module that computes it anywhere: GET /v1/losses/{name}/kernel.wasm, the same for a registered
 * loss, and POST /v1/losses:kernel for one that is sent with the request. docs/kernel-abi.md has the interface.
 */
import { createHash } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Analyzer, AnalyzerBusy, Unanswerable } from '../analyzer/analyzer.ts'
import type { KernelResult, KernelTask } from '../analyzer/tasks.ts'
import { Problem } from '../errors.ts'
import type { ResolvedLoss } from '../losses/define.ts'
import { LruCache } from '../lru.ts'
import { FEATURES } from '../portable/contract.ts'
import { registeredName } from '../registry/name.ts'
import { deprecationOf, findServable } from '../registry/retirement.ts'
import { INLINE_LOSS } from '../schemas/definition.ts'
import { resolveLoss } from '../schemas/find-loss.ts'
import { type KernelAsk, kernelRequest, kernelUnavailable } from '../schemas/kernel-request.ts'
import { CATALOG_NAME, RegisteredAddress } from '../schemas/openapi.ts'
import { inlineSource } from '../schemas/source-request.ts'
import { callerOf } from './authorize.ts'
import type { RouteContext, Routes } from './context.ts'
import { documentOf } from './definition-body.ts'

const MEDIA_TYPE = 'application/wasm'
/** Modules that are kept (LRU), and their bytes. */
const KEPT = { entries: 256, weight: 8 * 1024 * 1024 } as const

const options = {
  inputs: Type.Optional(
    Type.String({
      description:
        'The inputs with their dtypes and axes, or sizes in place of axes; by default those that the loss requires, in float32.',
      examples: ['predictions:float32[rows,classes];targets:int32[rows]'],
    }),
  ),
  gradients: Type.Optional(
    Type.String({
      description: 'Inputs whose gradients it computes, with commas between them; all by default.',
    }),
  ),
  hessian: Type.Optional(
    Type.Literal('diagonal', { description: 'Whether it also computes second derivatives.' }),
  ),
  layout: Type.Optional(
    Type.Union([Type.Literal('row'), Type.Literal('class_major')], {
      description: 'class_major: tensors with rows and classes have the classes first.',
    }),
  ),
  features: Type.Optional(
    Type.Union(
      FEATURES.map((name) => Type.Literal(name)),
      { description: 'What the runtime supports; simd by default.' },
    ),
  ),
}
const Query = Type.Object({
  ...options,
  params: Type.Optional(
    Type.String({
      description:
        'Parameters, as a JSON object. Words, booleans and integers are fixed in the kernel; other numbers can be changed at run time.',
      examples: ['{"delta":2}'],
    }),
  ),
})
const Body = Type.Object(
  {
    ...INLINE_LOSS,
    ...options,
    params: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { additionalProperties: false },
)
const Module = {
  200: {
    description: 'A WebAssembly module. Its custom section `lossd` has a manifest as JSON.',
    content: { [MEDIA_TYPE]: { schema: Type.String({ format: 'binary' }) } },
  },
  304: { description: 'The module that the client has is the current one.', type: 'null' },
}

const tags = ['kernels']

type Ask = { Querystring: KernelAsk }

const routes: Routes = (app, context) => {
  const { catalog } = context
  const write = createKernelWriter(context)

  const ofCatalog = {
    tags,
    operationId: 'lossKernel',
    summary: 'A loss as a WebAssembly module: value and gradient in any language, without the service',
    params: Type.Object({
      name: CATALOG_NAME,
    }),
    querystring: Query,
    response: Module,
    'x-problems': [404, 409, 414, 422],
  }
  app.get<Ask & { Params: { name: string } }>(
    '/v1/losses/:name/kernel.wasm',
    { schema: ofCatalog },
    async (request, reply) => {
      const resolved = resolveLoss(catalog, request.params.name)
      return send(request, reply, await write(resolved, request.query), 'no-cache')
    },
  )

  const ofRegistered = {
    tags,
    operationId: 'registeredLossKernel',
    summary: 'A registered loss as a WebAssembly module',
    params: RegisteredAddress,
    querystring: Query,
    response: Module,
    'x-problems': [404, 409, 410, 414, 422],
  }
  app.get<Ask & { Params: { namespace: string; name: string } }>(
    '/v1/losses/:namespace/:name/kernel.wasm',
    { schema: ofRegistered },
    async (request, reply) => {
      const { params, query } = request
      const { resolved, retired } = await findServable(context.seenBy(request), params)
      if (retired !== null) reply.header('Deprecation', deprecationOf(retired))
      const isPinned = registeredName(params.namespace, params.name).version !== undefined
      const caching = isPinned ? `${sharingOf(request, context)}, ${FOR_EVER}` : 'no-cache'
      return send(request, reply, await write(resolved, query), caching)
    },
  )

  const inline = {
    tags,
    operationId: 'inlineKernel',
    summary: 'A loss that is sent with the request as a WebAssembly module',
    body: { content: { 'application/json': { schema: Body } } },
    response: Module,
    'x-problems': [404, 409],
  }
  // Two colons in a route are one colon in the path.
  app.post('/v1/losses::kernel', { schema: inline }, async (request, reply) => {
    const { resolved, rest } = inlineSource(documentOf(request.body as Uint8Array | undefined))
    return send(request, reply, await write(resolved, rest), 'no-cache')
  })
}

export default routes

/** A version of a registered loss never changes. */
const FOR_EVER = 'max-age=31536000, immutable'

/** A cache that several people share may keep only what everyone who reaches it may see. */
function sharingOf(request: FastifyRequest, { config }: RouteContext): 'public' | 'private' {
  return callerOf(request).id === null && config.tlsClientCa === '' ? 'public' : 'private'
}

type KernelWriter = (resolved: ResolvedLoss, ask: KernelAsk) => Promise<Kernel>

interface Kernel {
  readonly bytes: Uint8Array
  readonly etag: string
}

/** Modules are written on the thread for proofs, because some take a tenth of a second, and kept. */
function createKernelWriter({ analyzer, plans }: RouteContext): KernelWriter {
  const kept = new LruCache<string, Kernel>(KEPT)
  return async (resolved, ask) => {
    const { key, loss, features, about } = kernelRequest(resolved, ask, plans)
    const whole = `${key}|${JSON.stringify(about)}`
    const known = kept.get(whole)
    if (known !== undefined) return known
    const bytes = bytesOf(resolved, await answered(analyzer, { kind: 'kernel', loss, features, about }))
    const etag = `"${createHash('sha256').update(bytes).digest('hex')}"`
    return kept.set(whole, { bytes, etag }, bytes.length)
  }
}

async function answered(analyzer: Analyzer, task: KernelTask): Promise<KernelResult> {
  try {
    return await analyzer.ask(task)
  } catch (error) {
    if (error instanceof Unanswerable) return { unavailable: 'it took too long to write' }
    throw error instanceof AnalyzerBusy ? new Problem('overloaded', error.message) : error
  }
}

function bytesOf({ loss }: ResolvedLoss, result: KernelResult): Uint8Array {
  if ('unavailable' in result) throw kernelUnavailable(loss, result.unavailable)
  return result.bytes
}

function send({ headers }: FastifyRequest, reply: FastifyReply, { bytes, etag }: Kernel, caching: string) {
  reply.header('ETag', etag).header('Cache-Control', caching)
  if (headers['if-none-match'] === etag) return reply.code(304).send()
  return reply.type(MEDIA_TYPE).send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
}
