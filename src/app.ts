/**
 * The application: makes the objects that hold state (engine, batcher, metrics), and hands them to the routes. It never
 * listens and never looks at the process; server.ts does.
 */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, Server } from 'node:http'
import cors from '@fastify/cors'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { createBatcher } from './batching/batcher.ts'
import { createEventLoopYield } from './batching/event-loop-yield.ts'
import type { Config } from './config.ts'
import { Connections } from './connections.ts'
import { openEngine } from './engines/index.ts'
import { handleClientError, hardenHttp, sendProblem, toProblem } from './http.ts'
import type { Catalog } from './losses/catalog.ts'
import { loadCatalog } from './losses/load-catalog.ts'
import { createProgramSource, lossNameOfKey } from './losses/program.ts'
import { createMetrics } from './metrics.ts'
import { Registry } from './registry/registry.ts'
import { pageOptions } from './routes/api-page.ts'
import { codingFor, codings, pack } from './routes/content-encoding.ts'
import type { RouteContext } from './routes/context.ts'
import { registerRoutes } from './routes/index.ts'
import { bodyLimitOf, mediaTypes, varies } from './routes/negotiate.ts'
import { BodyPool } from './routes/request-body.ts'
import { ResponseCoalescer, whenGone } from './routes/response-coalescer.ts'
import { COMPONENTS } from './schemas/openapi.ts'
import { finishDocument } from './schemas/openapi-document.ts'
import { ProblemSchema } from './schemas/problem.ts'
import { createRequestPlanSource } from './schemas/request-plan.ts'
import { openStore } from './store/index.ts'
import { formatOf, formats } from './wire/index.ts'

/** Memory that bodies share; who comes when it is lent out gets memory of its own. */
const BODY_BYTES = 64 * 1024 * 1024

/** What Fastify calls its servers beside the first. */
const BINDINGS = 'fastify.serverBindings'

export interface AppOptions {
  readonly log?: FastifyBaseLogger
}

/** A built application, and what the process needs to take it down gently. */
export interface App {
  readonly fastify: FastifyInstance
  readonly context: RouteContext
  /** Turns readiness off; requests are still served. */
  beginClosing(): void
  /** Accepts no new connection, answers on those that are open, each for the last time, and resolves when all have ended. */
  drain(): Promise<void>
}

/**
 * Builds the application and opens its engine.
 *
 * @throws Error when the engine that the configuration names cannot be opened
 * @example
 * const { fastify } = await buildApp(loadConfig({}))
 * await fastify.listen({ port: 8080 })
 */
export async function buildApp(config: Config, options: AppOptions = {}): Promise<App> {
  const fastify = createFastify(config)
  const log = options.log ?? fastify.log
  const context = await createContext(config, log)
  const { connections } = context
  await allowOrigins(fastify, config)
  const limitOf = (type: string) => bodyLimitOf(formatOf(type), config)
  hardenHttp(fastify, { mediaTypes: mediaTypes(), codings, limitOf, log, connections })
  acceptFormats(fastify, config)
  watchConnections(fastify, connections)
  packDocuments(fastify, config)
  countUnread(fastify, context.responses)
  closeStalled(fastify, context, log)
  closeInOrder(fastify, context)
  await describeApi(fastify, context.catalog)
  await registerRoutes(fastify, context)
  return {
    fastify,
    context,
    beginClosing: () => connections.beginClosing(),
    drain: () => connections.drain(config.shutdownGraceMs),
  }
}

async function createContext(config: Config, log: FastifyBaseLogger): Promise<RouteContext> {
  const metrics = createMetrics()
  const engine = await openEngine({
    engine: config.engine,
    threads: config.threads,
    memoryBytes: config.computeMemory,
    log: (message, details) => log.info(details ?? {}, message),
  })
  metrics.watch(engine, lossNameOfKey)
  const responses = new ResponseCoalescer(config.outboundBytes)
  const turns = createEventLoopYield(responses.empty)
  const batcher = createBatcher({ engine, events: metrics.events, limits: config, turns })
  const plans = createRequestPlanSource(createProgramSource(), config)
  const catalog = await loadCatalog()
  const bodies = new BodyPool(BODY_BYTES)
  const connections = new Connections()
  return {
    config,
    catalog,
    plans,
    registry: new Registry(openStore(config.store, { maxLosses: config.maxLosses, log })),
    engine,
    batcher,
    metrics,
    bodies,
    responses,
    connections,
  }
}

function createFastify(config: Config): FastifyInstance {
  const app = Fastify({
    // It would listen for the end of every response although nothing is logged then; http.ts logs what fails.
    logger: false,
    bodyLimit: Math.max(config.jsonBodyLimit, config.binaryBodyLimit),
    // Fastify's requestTimeout alone lets a stalled body hang: with Node's headersTimeout above it the two act swapped.
    requestTimeout: config.bodyTimeoutMs,
    keepAliveTimeout: config.keepAliveTimeoutMs,
    http: {
      headersTimeout: config.headersTimeoutMs,
      requestTimeout: config.bodyTimeoutMs,
      // Node's own answer to a missing Host is an empty one; http.ts refuses it with a problem.
      requireHostHeader: false,
      connectionsCheckingInterval: Math.min(500, config.headersTimeoutMs),
    },
    genReqId: requestIds(),
    // Requests on connections that are still open are answered until the last one is done.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 100 },
    frameworkErrors: (error, request, reply) => sendProblem(request, reply, toProblem(error)),
    clientErrorHandler: handleClientError,
  })
  // Validation happens once, in schemas/check.ts; these schemas are for the documentation.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  return app
}

/**
 * The caller's `X-Request-Id` where it is a plain short word, else one that no other process and no other request has: a
 * random start and a count, because random bytes for each request would cost more than the rest of its headers.
 */
function requestIds(): (request: IncomingMessage) => string {
  const start = randomBytes(6).toString('base64url')
  let count = 0
  return ({ headers }) => {
    const given = headers['x-request-id']
    if (typeof given === 'string' && /^[\x21-\x7e]{1,128}$/.test(given)) return given
    return `${start}-${(count++).toString(36)}`
  }
}

/** Before all other hooks, so that a page of another origin may read refusals, too. */
async function allowOrigins(app: FastifyInstance, { corsOrigins }: Config) {
  if (corsOrigins === '') return
  await app.register(cors, {
    origin: corsOrigins === '*' ? '*' : corsOrigins.split(',').map((origin) => origin.trim()),
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    exposedHeaders: [
      'Allow',
      'Deprecation',
      'ETag',
      'Location',
      'Retry-After',
      'Server-Timing',
      'X-Request-Id',
    ],
    // Chromium's longest: a trainer asks again for each step otherwise.
    maxAge: 7200,
    // It would refuse an OPTIONS that is none of a browser's in words of its own.
    strictPreflight: false,
  })
}

/** What is read to be thrown away, so that a refused request's connection lives on: exchanges read their own bodies. */
function acceptFormats(app: FastifyInstance, config: Config) {
  app.removeAllContentTypeParsers()
  for (const format of formats) {
    const options = { parseAs: 'buffer', bodyLimit: bodyLimitOf(format, config) } as const
    app.addContentTypeParser([...format.mediaTypes], options, (_, body, done) => done(null, body))
  }
}

/** Fastify listens with a second server where the host has two addresses, and tells nobody. */
function watchConnections(app: FastifyInstance, connections: Connections) {
  connections.watch(app.server)
  app.addHook('onListen', async () => {
    const bindings = Object.getOwnPropertySymbols(app).find((symbol) => symbol.description === BINDINGS)
    const servers = bindings === undefined ? [] : (app as unknown as Record<symbol, Server[]>)[bindings]
    for (const server of servers) connections.watch(server)
  })
}

/** Exchanges pack their own answers. */
function packDocuments(app: FastifyInstance, { compressBytes }: Config) {
  app.addHook('onSend', async ({ headers }, reply, payload) => {
    if (typeof payload !== 'string' || payload.length < compressBytes) return payload
    if (!/^application\/([\w.-]+\+)?json\b/.test(String(reply.getHeader('content-type')))) return payload
    varies(reply, 'Accept-Encoding')
    const coding = codingFor(headers['accept-encoding'] as string | undefined)
    if (coding === undefined) return payload
    reply.header('Content-Encoding', coding)
    return pack(coding, [Buffer.from(payload)])
  })
}

/** Answers of so many bytes are counted; smaller ones fit into what the system keeps for each connection. */
const COUNTED_BYTES = 16 * 1024

/** Exchanges count their own answers; this counts the documents, which are large and made anew for each request. */
function countUnread(app: FastifyInstance, responses: ResponseCoalescer) {
  app.addHook('onSend', ({ raw }, reply, payload, done) => {
    const bytes = typeof payload === 'string' || payload instanceof Uint8Array ? payload.length : 0
    if (bytes < COUNTED_BYTES) return done(null, payload)
    try {
      responses.admit()
    } catch (error) {
      return done(error as Error)
    }
    responses.count(bytes)
    let isOver = false
    const end = () => {
      if (!isOver) responses.count(-bytes)
      isOver = true
    }
    reply.raw.on('close', end)
    if (reply.raw.socket === null) whenGone(raw.socket, end)
    done(null, payload)
  })
}

function closeStalled(app: FastifyInstance, { config, connections }: RouteContext, log: FastifyBaseLogger) {
  const stop = connections.closeStalled(config.writeTimeoutMs, ({ remoteAddress }) => {
    log.info({ from: remoteAddress, ms: config.writeTimeoutMs }, 'a reader takes nothing of its answer')
  })
  app.addHook('onClose', async () => stop())
}

/** No accepted request is lost: the queue empties before the engine closes. */
function closeInOrder(
  app: FastifyInstance,
  { batcher, engine, metrics, connections, registry }: RouteContext,
) {
  app.addHook('onSend', (request, reply, payload, done) => {
    if (connections.isLast(request.raw)) reply.header('Connection', 'close')
    done(null, payload)
  })
  app.addHook('onClose', async () => {
    await batcher.drain()
    await engine.close()
    await registry.close()
    metrics.close()
  })
}

async function describeApi(app: FastifyInstance, { losses }: Catalog) {
  for (const schema of [ProblemSchema, ...COMPONENTS]) app.addSchema(schema)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'lossd',
        version: '0.1.0',
        description: 'Loss functions with exact gradients over HTTP.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => String(json.$id ?? `schema${i}`) },
    transformObject: (made) => finishDocument('openapiObject' in made ? made.openapiObject : made, losses),
  })
  await app.register(swaggerUi, pageOptions())
}
