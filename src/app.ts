/**
 * The application (composition root): creates the objects that hold state (engine, batcher, metrics ...) and passes
 * them to the routes. It never listens and never touches the process; server.ts does.
 */
import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import type { IncomingMessage, Server } from 'node:http'
import { Server as SecureServer } from 'node:https'
import cors from '@fastify/cors'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { Access, type AccessOptions } from './access/access.ts'
import { type AccessLog, type Audit, createAudit } from './access/audit.ts'
import { Certificates } from './access/certificates.ts'
import { createAnalyzer } from './analyzer/analyzer.ts'
import { createBatcher } from './batching/batcher.ts'
import { createEventLoopYield } from './batching/event-loop-yield.ts'
import { LEVELS, LoadLevel } from './batching/load-level.ts'
import { type Config, ConfigError } from './config.ts'
import { Connections } from './connections.ts'
import { type EngineOptions, openEngine } from './engines/index.ts'
import type { Uploads } from './evaluator/uploads.ts'
import { handleClientError, hardenHttp, sendProblem, toProblem } from './http.ts'
import type { Catalog } from './losses/catalog.ts'
import { loadCatalog } from './losses/load-catalog.ts'
import { createProgramSource, lossNameOfKey } from './losses/program.ts'
import { createMetrics } from './metrics.ts'
import type { Peers } from './peers.ts'
import { Registry } from './registry/registry.ts'
import { ScopedRegistry } from './registry/scoped-registry.ts'
import { pageOptions } from './routes/api-page.ts'
import { authorizeRequests, callerOf, originOf } from './routes/authorize.ts'
import { codingFor, codings, pack, unpackedBytes } from './routes/content-encoding.ts'
import type { RouteContext } from './routes/context.ts'
import { registerRoutes } from './routes/index.ts'
import { bodyLimitOf, mediaTypes, varies } from './routes/negotiate.ts'
import { BodyPool } from './routes/request-body.ts'
import { ResponseCoalescer, whenOver } from './routes/response-coalescer.ts'
import { warmUp } from './routes/warm-up.ts'
import { COMPONENTS } from './schemas/openapi.ts'
import { finishDocument } from './schemas/openapi-document.ts'
import { ProblemSchema } from './schemas/problem.ts'
import { createRequestPlanSource } from './schemas/request-plan.ts'
import type { LossStore } from './store/contract.ts'
import { openStore } from './store/index.ts'
import { formatOf, formats } from './wire/index.ts'

/** Size of the memory that request bodies share. When it is in use, further bodies get memory of their own. */
const BODY_BYTES = 64 * 1024 * 1024

/** The description of the symbol under which Fastify keeps its additional servers. */
const BINDINGS = 'fastify.serverBindings'

export interface AppOptions {
  readonly log?: FastifyBaseLogger
  /** Called for each program that is made while their cache is at least half full. */
  readonly onCrowdedPrograms?: () => void
  /** The device that all processes share, if there is one. */
  readonly sharedDevice?: EngineOptions['shared']
  /** The other processes that serve the same port. Absent if there are none. */
  readonly link?: Peers & { meterOf: NonNullable<AccessOptions['meterOf']> }
}

/** A built application, and what the process needs to reload it and to shut it down gracefully. */
export interface App {
  readonly fastify: FastifyInstance
  readonly context: RouteContext
  /** Pattern -> methods. */
  readonly routes: ReadonlyMap<string, ReadonlySet<string>>
  /** Whether everyone who reaches the port may do everything: there are neither keys, tokens nor client certificates. */
  readonly isOpen: boolean
  /** Whether there are keys or certificates to reload. */
  readonly canReload: boolean
  /** Reads keys and certificates again. What cannot be read stays as it is. */
  reload(): Promise<void>
  /** Compiles the code that the first formula would otherwise wait for: about 100 ms on the event loop. */
  warmUp(): void
  /** Turns readiness off. Requests are still served. */
  beginClosing(): void
  /**
   * Stops accepting connections, sends the last response on each open connection, and resolves when all have ended.
   */
  drain(): Promise<void>
}

/**
 * Builds the application and opens its engine.
 *
 * @throws Error if the engine that the configuration names cannot be opened
 * @example
 * const { fastify } = await buildApp(loadConfig({}))
 * await fastify.listen({ port: 8080 })
 */
export async function buildApp(config: Config, options: AppOptions = {}): Promise<App> {
  const certificates = await Certificates.open(config, options.log ?? NO_LOG)
  const fastify = createFastify(config, certificates)
  const log = options.log ?? fastify.log
  const made = await createContext(config, log, options)
  const { context, access } = made
  const { connections } = context
  await allowOrigins(fastify, config)
  const limitOf = (type: string) => bodyLimitOf(formatOf(type), config)
  const routes = hardenHttp(fastify, { mediaTypes: mediaTypes(), codings, limitOf, log, connections })
  authorizeRequests(fastify, access)
  acceptFormats(fastify, config)
  watchConnections(fastify, connections, config)
  packDocuments(fastify, config)
  countUnread(fastify, context.responses)
  closeStalled(fastify, context, log)
  closeInOrder(fastify, made)
  if (certificates !== undefined) renewCertificates(fastify, certificates)
  await describeApi(fastify, context.catalog, access)
  await registerRoutes(fastify, context)
  context.evaluations?.start()
  return {
    fastify,
    context,
    routes,
    isOpen: access.isOpen && config.tlsClientCa === '',
    canReload: access.canReload || certificates !== undefined,
    reload: async () => {
      await Promise.all([access.reload(), certificates?.reload()])
    },
    warmUp: () => warmUp(context),
    beginClosing: () => connections.beginClosing(),
    drain: () => connections.drain(config.shutdownGraceMs),
  }
}

/** The objects with state, and those of them that routes do not see. */
interface Made {
  readonly context: RouteContext
  readonly access: Access
  readonly registry: Registry
}

async function createContext(
  config: Config,
  log: FastifyBaseLogger,
  { onCrowdedPrograms, link, sharedDevice }: AppOptions,
): Promise<Made> {
  const store = openStore(config.store, { maxLosses: config.maxLosses, log })
  const audit = createAudit(auditLogOf(log))
  // First, because it may refuse to start.
  const meterOf = link?.meterOf.bind(link)
  const access = await Access.open({ settings: config, store, log, audit, meterOf })
  const metrics = createMetrics(link)
  const engine = await openEngine({
    engine: config.engine,
    threads: config.threads,
    memoryBytes: config.computeMemory,
    shared: sharedDevice,
    log: (message, details) => log.info(details ?? {}, message),
  })
  metrics.watch(engine, lossNameOfKey)
  const responses = new ResponseCoalescer(config.outboundBytes)
  const load = new LoadLevel()
  const turns = createEventLoopYield({
    before: responses.empty,
    onWaiting: (count) => load.queued('pieces', count),
  })
  const batcher = createBatcher({ engine, events: metrics.events, limits: config, turns, load })
  metrics.watchLoad(() => LEVELS.indexOf(load.level))
  const programs = createProgramSource(onCrowdedPrograms)
  const plans = createRequestPlanSource(programs, config)
  const catalog = await loadCatalog()
  const bodies = new BodyPool(BODY_BYTES)
  const connections = new Connections()
  const registry = new Registry(store, programs, log)
  const context = {
    config,
    catalog,
    programs,
    plans,
    seenBy: viewOf(registry, audit),
    storeState: () => registry.storeState(),
    ...(await openEvaluations(config, store, log)),
    analyzer: createAnalyzer(),
    engine,
    batcher,
    metrics,
    bodies,
    responses,
    connections,
    peers: link,
  }
  return { context, access, registry }
}

/** @throws ConfigError if the folder is not there */
async function openEvaluations(
  config: Config,
  store: LossStore | undefined,
  log: FastifyBaseLogger,
): Promise<Pick<RouteContext, 'evaluations' | 'uploads'>> {
  const { datasets: folder, evaluationThreads: threads } = config
  if (folder === '' || store === undefined) return { evaluations: undefined, uploads: undefined }
  const stats = statSync(folder, { throwIfNoEntry: false })
  if (!stats?.isDirectory()) throw new ConfigError(`LOSSD_DATASETS must be a folder, got "${folder}"`)
  const { Jobs } = await import('./evaluator/jobs.ts')
  const uploads = await openUploads(config)
  return { evaluations: new Jobs({ store, folder, threads, log, uploads }), uploads }
}

async function openUploads({
  datasets,
  uploadBytes,
  uploadTotalBytes,
  uploadExpiryMs,
  uploadTimeoutMs,
}: Config): Promise<Uploads | undefined> {
  if (uploadBytes === 0) return undefined
  const { Uploads } = await import('./evaluator/uploads.ts')
  return new Uploads(datasets, {
    bytes: uploadBytes,
    totalBytes: uploadTotalBytes,
    expiryMs: uploadExpiryMs,
    timeoutMs: uploadTimeoutMs,
  })
}

function viewOf(registry: Registry, audit: Audit): RouteContext['seenBy'] {
  return (request) =>
    new ScopedRegistry({ registry, caller: callerOf(request), audit, origin: () => originOf(request) })
}

const NO_LOG: AccessLog = { info: () => {}, warn: () => {}, error: () => {} }

/** Who changed what is logged whatever the minimum severity is, unless nothing is logged. */
function auditLogOf(log: FastifyBaseLogger): AccessLog {
  return 'child' in log && log.level !== 'silent' ? log.child({}, { level: 'info' }) : log
}

function createFastify(config: Config, certificates: Certificates | undefined): FastifyInstance {
  const http = {
    headersTimeout: config.headersTimeoutMs,
    requestTimeout: config.bodyTimeoutMs,
    // Node responds to a missing Host header with an empty response. http.ts responds with a problem document.
    requireHostHeader: false,
    connectionsCheckingInterval: Math.min(500, config.headersTimeoutMs),
  }
  const app = Fastify({
    ...(certificates === undefined
      ? { http }
      : { https: { ...http, ...secureOptions(config, certificates) } }),
    // Fastify's logger would listen for the end of every response, although nothing is logged then. http.ts logs
    // failures.
    logger: false,
    bodyLimit: Math.max(config.jsonBodyLimit, config.binaryBodyLimit),
    // With Fastify's requestTimeout alone, a stalled body hangs: if Node's headersTimeout is larger, the two act
    // swapped.
    requestTimeout: config.bodyTimeoutMs,
    keepAliveTimeout: config.keepAliveTimeoutMs,
    genReqId: requestIds(),
    // During shutdown, requests on open connections still get a response.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 100 },
    frameworkErrors: (error, request, reply) => sendProblem(request, reply, toProblem(error)),
    clientErrorHandler: handleClientError,
    // Both servers have the same interface for everything that is done with them here.
  } as FastifyServerOptions) as FastifyInstance
  // Validation happens once, in schemas/check.ts. These schemas are only for the documentation.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  return app
}

function secureOptions({ headersTimeoutMs, tlsClientCa }: Config, { files }: Certificates) {
  return {
    ...files,
    requestCert: tlsClientCa !== '',
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2' as const,
    // A client that opens a connection and says nothing is closed as one that sends no headers.
    handshakeTimeout: headersTimeoutMs,
  }
}

/** New connections use the latest certificate. Open ones keep theirs. */
function renewCertificates(app: FastifyInstance, certificates: Certificates) {
  certificates.watch((files) => {
    for (const server of serversOf(app)) if (server instanceof SecureServer) server.setSecureContext(files)
  })
  app.addHook('onClose', async () => certificates.close())
}

/**
 * The client's `X-Request-Id` if it is a short plain word. Otherwise a unique id from a random start and a counter,
 * because random bytes for every request would cost more than all its other headers.
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

/** CORS. Registered before all other hooks, so that a page of another origin can read error responses too. */
async function allowOrigins(app: FastifyInstance, { corsOrigins }: Config) {
  if (corsOrigins === '') return
  await app.register(cors, {
    origin: corsOrigins === '*' ? '*' : corsOrigins.split(',').map((origin) => origin.trim()),
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
    exposedHeaders: [
      'Allow',
      'Deprecation',
      'ETag',
      'Location',
      'RateLimit',
      'RateLimit-Policy',
      'Retry-After',
      'Server-Timing',
      'WWW-Authenticate',
      'X-Request-Id',
    ],
    // The maximum that Chromium accepts. Without it, a trainer would send a preflight for every step.
    maxAge: 7200,
    // Otherwise it would reject an OPTIONS request that is not a browser's preflight with its own error format.
    strictPreflight: false,
  })
}

/**
 * Parsers for bodies that are read only to be discarded, so that the connection of a rejected request stays usable.
 * Exchanges read their own bodies.
 */
function acceptFormats(app: FastifyInstance, config: Config) {
  app.removeAllContentTypeParsers()
  for (const format of formats) {
    const bodyLimit = bodyLimitOf(format, config)
    const options = { parseAs: 'buffer', bodyLimit } as const
    app.addContentTypeParser([...format.mediaTypes], options, ({ headers }, body: Buffer, done) => {
      if (body.length === 0 || (headers['content-encoding'] ?? 'identity') === 'identity')
        return done(null, body)
      unpackedBytes(headers, body, bodyLimit).then((bytes) => done(null, bytes), done)
    })
  }
}

function watchConnections(app: FastifyInstance, connections: Connections, { maxConnections }: Config) {
  connections.watch(app.server)
  app.addHook('onListen', async () => {
    for (const server of serversOf(app)) {
      connections.watch(server)
      server.maxConnections = maxConnections
    }
  })
}

/** Fastify listens with a second server if the host has two addresses, and does not expose it. */
function serversOf(app: FastifyInstance): Server[] {
  const bindings = Object.getOwnPropertySymbols(app).find((symbol) => symbol.description === BINDINGS)
  const others = bindings === undefined ? [] : (app as unknown as Record<symbol, Server[]>)[bindings]
  return [app.server, ...others]
}

/** Compresses JSON documents. Exchanges compress their own responses. */
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

/**
 * Responses of at least this size are counted. Smaller ones fit into the socket buffer that the system keeps per
 * connection.
 */
const COUNTED_BYTES = 16 * 1024

/**
 * Backpressure for documents, which are large and generated anew for every request. Exchanges count their own
 * responses.
 */
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
    whenOver(raw, reply.raw, () => responses.count(-bytes))
    done(null, payload)
  })
}

function closeStalled(app: FastifyInstance, { config, connections }: RouteContext, log: FastifyBaseLogger) {
  const stop = connections.closeStalled(config.writeTimeoutMs, ({ remoteAddress }) => {
    log.info(
      { from: remoteAddress, ms: config.writeTimeoutMs },
      'closed the connection of a client that stopped reading',
    )
  })
  app.addHook('onClose', async () => stop())
}

/** No accepted request is lost: the queue is drained before the engine closes. */
function closeInOrder(
  app: FastifyInstance,
  {
    access,
    registry,
    context: { batcher, engine, metrics, connections, analyzer, evaluations, uploads },
  }: Made,
) {
  app.addHook('onSend', (request, reply, payload, done) => {
    if (connections.isLast(request.raw)) reply.header('Connection', 'close')
    done(null, payload)
  })
  app.addHook('onClose', async () => {
    access.close()
    await batcher.drain()
    await evaluations?.close()
    uploads?.close()
    await analyzer.close()
    await engine.close()
    await registry.close()
    metrics.close()
  })
}

async function describeApi(app: FastifyInstance, { losses }: Catalog, { isOpen }: Access) {
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
    transformObject: (made) =>
      finishDocument('openapiObject' in made ? made.openapiObject : made, losses, !isOpen),
  })
  await app.register(swaggerUi, pageOptions())
}
