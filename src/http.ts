/**
 * HTTP error handling: turns every failure into one problem document, including those that Node and Fastify would
 * report themselves, and rejects invalid requests before their body is read. It knows nothing about losses.
 */
import { randomBytes } from 'node:crypto'
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { FastifyBaseLogger, FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Cancelled } from './batching/batcher.ts'
import type { Connections } from './connections.ts'
import { cut, PROBLEMS, Problem, type ProblemCode } from './errors.ts'
import { freeMemory } from './free-memory.ts'
import { RejectionLog } from './rejection-log.ts'
import { PROBLEM_MEDIA_TYPE, problemBody, problemHeaders } from './schemas/problem.ts'

/** More header lines than any client sends. */
const MAX_HEADERS = 100

/** How long the rest of a rejected body is read: without receiving a byte, and in total. */
const LINGER_MS = { idle: 1000, longest: 5000 } as const
/** Up to this size, reading the rest of a rejected body costs less than another connection would, on both sides. */
const DISCARDED_BYTES = 2 ** 20

/** What this file needs to know about the formats, and where it logs failures. */
export interface EdgeOptions {
  readonly mediaTypes: string
  /** Supported content codings. */
  readonly codings: readonly string[]
  /** Maximum body size for a Content-Type, in bytes. */
  readonly limitOf: (contentType: string) => number
  readonly log: FastifyBaseLogger
  readonly connections: Pick<Connections, 'arrived'>
}

/** Sockets on which an error response was written while the body was still arriving. Nothing may follow it. */
const refused = new WeakSet<Socket>()

/** Sockets with a body that may take longer than others. Their routes have limits of their own. */
const excepted = new WeakSet<Socket>()

/**
 * Excepts a request from the time that bodies have. Node has one limit for all routes, and tells of each request that is
 * over it only once.
 */
export function exceptFromTimeout(request: IncomingMessage): void {
  const { socket } = request
  excepted.add(socket)
  request.once('close', () => excepted.delete(socket))
}

/** Fastify's error codes -> ours. */
const FRAMEWORK_CODES: Readonly<Record<string, ProblemCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload-too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported-media-type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad-request',
  FST_ERR_BAD_URL: 'bad-request',
  FST_ERR_ASYNC_CONSTRAINT: 'bad-request',
  FST_ERR_MAX_PARAM_LENGTH: 'uri-too-long',
}

/** Errors of Node's HTTP parser -> ours. All others are bad requests. */
const PARSER_CODES: Readonly<Record<string, ProblemCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout',
  HPE_HEADER_OVERFLOW: 'headers-too-large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'payload-too-large',
}

/** Any error as a problem. An unknown error is a bug in lossd. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  const { code, statusCode, message } = error as Partial<FastifyError>
  const known = code === undefined ? undefined : FRAMEWORK_CODES[code]
  if (known !== undefined) return new Problem(known, cut(message ?? ''))
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new Problem('bad-request', cut(message ?? ''))
  return new Problem('internal', 'internal error', { cause: error })
}

/** Responds with a problem document. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
  const body = Buffer.from(JSON.stringify(problemBody(problem, request.id)))
  reply
    .code(problem.status)
    .headers({ ...problemHeaders(problem), 'X-Request-Id': request.id, 'Content-Length': body.length })
    .type(PROBLEM_MEDIA_TYPE)
  if (request.raw.complete) return reply.send(body)
  refused.add(request.raw.socket)
  if (isDiscarded(request.raw)) {
    discardRest(request.raw)
    return reply.send(body)
  }
  // The rest of an unread body would be taken for the next request.
  return reply.header('Connection', 'close').send(Readable.from(lingering(body, request.raw)))
}

function discardRest(request: IncomingMessage) {
  // A decompressor would still read what is freed.
  request.unpipe()
  request
    .once('end', () => refused.delete(request.socket))
    .on('data', freeMemory)
    .resume()
}

/**
 * Whether the rest of its body is read, so that the connection can be used again. A client that waits for `100 Continue` may not
 * send a body at all.
 */
function isDiscarded({ headers }: IncomingMessage): boolean {
  return headers.expect === undefined && Number(headers['content-length']) <= DISCARDED_BYTES
}

/**
 * Python's and other clients do not read a response before they have sent their whole body. If the socket closes
 * while they send, they report a broken pipe and never see the problem. So the rest is read and discarded for a
 * while (lingering close).
 */
async function* lingering(body: Buffer, request: IncomingMessage) {
  yield body
  if (!request.complete) await restOf(request)
}

function restOf(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    const idle = setTimeout(finish, LINGER_MS.idle)
    const longest = setTimeout(finish, LINGER_MS.longest)
    function finish() {
      clearTimeout(idle)
      clearTimeout(longest)
      resolve()
    }
    request.on('data', () => idle.refresh())
    request.once('end', finish).once('close', finish)
    request.resume()
  })
}

/**
 * Installs the error handlers and guards on an application.
 *
 * @returns all routes that are registered afterwards
 */
export function hardenHttp(app: FastifyInstance, options: EdgeOptions): RouteTable {
  const rejections = new RejectionLog(options.log)
  app.setErrorHandler((error, request, reply) => handleError(error, request, reply, options.log, rejections))
  app.setNotFoundHandler((request, reply) => sendProblem(request, reply, notFound(routes, request)))
  const routes = collectRoutes(app)
  // A callback instead of a promise: a promise per request would cost more than the checks.
  const checkMediaType = mediaTypeGuard(options.mediaTypes)
  app.addHook('onRequest', (request, _reply, done) => {
    options.connections.arrived(request.raw)
    try {
      guard(request, options)
      if (endsWithSlash(request.raw.url!)) forgiveSlash(routes, request.raw.url!)
      // Otherwise Fastify would ask for a Content-Type before it reports that the method is not allowed here.
      if (request.is404 && request.headers['content-type'] === undefined) throw notFound(routes, request)
      if (!request.is404 && mayEndInVerb(request)) refuseOtherMethods(routes, request)
      if (request.method === 'POST' && !request.is404) checkMediaType(request.raw.headers['content-type'])
    } catch (error) {
      return done(error as Error)
    }
    done()
  })
  app.addHook('onSend', (request, reply, payload, done) => {
    reply.header('X-Request-Id', request.id)
    if (!reply.hasHeader('Server-Timing'))
      reply.header('Server-Timing', `total;dur=${Math.round(reply.elapsedTime * 1000) / 1000}`)
    done(null, payload)
  })
  continueLate(app, options)
  return routes
}

function handleError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: FastifyBaseLogger,
  rejections: RejectionLog,
) {
  const who = { reqId: request.id, ...traceOf(request.headers.traceparent) }
  if (error instanceof Cancelled || hasGone(request.raw)) {
    log.info(who, 'the client disconnected')
    return reply.hijack()
  }
  const problem = toProblem(error)
  if (problem.status === 500) log.error({ ...who, err: problem.options.cause ?? error }, 'internal error')
  else rejections.note(problem, who)
  return sendProblem(request, reply, problem)
}

/** The client has aborted its request. */
function hasGone({ errored }: IncomingMessage): boolean {
  return (errored as (Error & { code?: string }) | null)?.code === 'ECONNRESET'
}

// Guards

function guard({ raw }: FastifyRequest, { codings }: EdgeOptions) {
  const { headers } = raw
  if (raw.httpVersion === '0.9') throw new Problem('bad-request', 'HTTP/0.9 is not supported')
  if (raw.rawHeaders.length / 2 > MAX_HEADERS) {
    throw new Problem('headers-too-large', `a request may have at most ${MAX_HEADERS} header lines`)
  }
  if (raw.httpVersion === '1.1' && headers.host === undefined)
    throw new Problem('bad-request', 'a request must have a Host header', {
      headers: { Connection: 'close' },
    })
  if (raw.httpVersion === '1.1' && headers.expect !== undefined && !wantsContinue(raw))
    throw new Problem('expectation-failed', 'the only supported expectation is 100-continue')
  if (headers['transfer-encoding'] !== undefined && !/^\s*chunked\s*$/i.test(headers['transfer-encoding']))
    throw new Problem('unsupported-transfer', 'the only supported transfer coding is chunked')
  const encoding = headers['content-encoding']?.toLowerCase()
  if (encoding !== undefined && encoding !== 'identity' && !isOne(encoding, codings)) {
    const options = { headers: { 'Accept-Encoding': codings.join(', ') } }
    throw new Problem(
      'unsupported-encoding',
      `Content-Encoding must be one of ${codings.join(', ')}`,
      options,
    )
  }
}

/** `x-gzip` is the old name of gzip (RFC 9110, 8.4.1.3). */
function isOne(encoding: string, codings: readonly string[]): boolean {
  return codings.includes(encoding === 'x-gzip' ? 'gzip' : encoding)
}

/** One media type, and no charset except UTF-8: anything else could be decoded into different numbers. */
function mediaTypeGuard(mediaTypes: string): (contentType: string | undefined) => void {
  let last: string | undefined
  return (contentType) => {
    if (contentType !== undefined && contentType === last) return
    const isPlain = /^[\w.+-]+\/[\w.+-]+[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?$/i.test(contentType ?? '')
    if (!isPlain) {
      const options = { headers: { Accept: mediaTypes } }
      throw new Problem('unsupported-media-type', `Content-Type must be one of ${mediaTypes}`, options)
    }
    last = contentType
  }
}

/**
 * W3C trace context: the trace id is logged. A malformed one is ignored, because telemetry must never fail a
 * request.
 */
function traceOf(header: string | string[] | undefined): { traceId?: string } {
  const traceId =
    typeof header === 'string'
      ? /^00-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(header)?.[1]
      : undefined
  return traceId === undefined ? {} : { traceId }
}

function wantsContinue({ headers }: IncomingMessage): boolean {
  return /(?:^|\W)100-continue(?:$|\W)/i.test(headers.expect ?? '')
}

/**
 * Sends `100 Continue` only when nothing can reject the request any more without reading its body, including its
 * length.
 */
function continueLate(app: FastifyInstance, { limitOf }: EdgeOptions) {
  const pass = (request: IncomingMessage, response: ServerResponse) =>
    app.server.emit('request', request, response)
  app.server.on('checkContinue', pass)
  app.server.on('checkExpectation', pass)
  app.decorateReply('welcome', function (limit: number) {
    const { raw } = this.request
    if (Number(raw.headers['content-length'] ?? 0) > limit)
      throw new Problem('payload-too-large', `a body may have at most ${limit} bytes`)
    if (raw.headers.expect !== undefined && raw.httpVersion === '1.1' && wantsContinue(raw))
      this.raw.writeContinue()
  })
  app.addHook('preParsing', (request, reply, _payload, done) => {
    try {
      const { bodyLimit } = request.routeOptions.config
      reply.welcome(bodyLimit ?? limitOf(request.headers['content-type'] ?? ''))
    } catch (error) {
      return done(error as Error)
    }
    done()
  })
}

// What Fastify does not route

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Bytes of a body, if the route has a limit of its own. */
    readonly bodyLimit?: number
  }
  interface FastifyReply {
    /**
     * Must be called before a body is read. Sends `100 Continue` if the client waits for it.
     *
     * @throws Problem `payload-too-large`
     */
    welcome(limit: number): void
  }
}

type RouteTable = ReadonlyMap<string, ReadonlySet<string>>

function endsWithSlash(url: string): boolean {
  const query = url.indexOf('?')
  return url.charCodeAt((query < 0 ? url.length : query) - 1) === SLASH
}

const SLASH = 0x2f

/**
 * Redirects trailing slashes.
 *
 * @throws Problem `moved` if the path is a route only without its trailing slashes
 */
function forgiveSlash(routes: RouteTable, url: string) {
  const [path, ...query] = url.split('?')
  const plain = path.replace(/\/+$/, '')
  if (routes.has(path) || !isRoute(routes, plain)) return
  const place = [plain, ...query].join('?')
  throw new Problem('moved', `it is at ${cut(place)}`, { headers: { Location: place } })
}

function isRoute(routes: RouteTable, path: string): boolean {
  return [...routes.keys()].some((pattern) => matches(pattern, path))
}

function collectRoutes(app: FastifyInstance): RouteTable {
  const table = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    // Two colons in a pattern are one colon in the path.
    const pattern = url.replaceAll('::', ':')
    const methods = table.get(pattern) ?? new Set()
    for (const one of [method].flat()) methods.add(one)
    table.set(pattern, methods)
  })
  return table
}

function notFound(routes: RouteTable, { url, method }: FastifyRequest): Problem {
  const path = pathOf(url)
  const allowed = methodsAt(routes, path)
  if (allowed.length === 0) return new Problem('not-found', `no route has the path ${cut(path)}; see /docs`)
  const list = [...new Set(allowed)].sort().join(', ')
  return new Problem('method-not-allowed', `${method} is not allowed here; use ${list}`, {
    headers: { Allow: list },
  })
}

/**
 * A verb in the last part of a path (`huber:check`) is none of a name, but Fastify routes its other methods as if it were.
 *
 * @throws Problem `method-not-allowed`
 */
function refuseOtherMethods(routes: RouteTable, request: FastifyRequest) {
  const path = pathOf(request.url)
  const isVerb = [...routes.keys()].some((pattern) => VERB.test(pattern) && matches(pattern, path))
  if (isVerb && !methodsAt(routes, path).includes(request.method)) throw notFound(routes, request)
}

/** Cheap, for every request. The routes of verbs have them in their own patterns, as two colons. */
function mayEndInVerb({ raw, routeOptions }: FastifyRequest): boolean {
  return raw.url!.includes(':') && !routeOptions.url!.includes('::')
}

/** The end of a pattern with a verb behind a parameter. */
const VERB = /\):\w+$/

/** A path with a verb also fits a pattern whose parameter would take the verb. */
function methodsAt(routes: RouteTable, path: string): string[] {
  const fitting = [...routes].filter(([pattern]) => matches(pattern, path))
  const verbs = fitting.filter(([pattern]) => VERB.test(pattern))
  return (verbs.length > 0 ? verbs : fitting).flatMap(([, methods]) => [...methods])
}

function pathOf(url: string): string {
  return url.split('?')[0]
}

function matches(pattern: string, path: string): boolean {
  let expression = expressions.get(pattern)
  if (expression === undefined) {
    expression = expressionOf(pattern)
    expressions.set(pattern, expression)
  }
  return expression.test(path)
}

/** Patterns that were read. There are only as many as routes. */
const expressions = new Map<string, RegExp>()

/** A parameter is a whole part of a path, or, with an expression in parentheses, what that describes. */
function expressionOf(pattern: string): RegExp {
  const pieces = pattern.split(/(?<=\/)(:\w+(?:\([^)]*\))?)/)
  const sources = pieces.map((piece, i) => (i % 2 === 1 ? parameterIn(piece) : escaped(piece)))
  return new RegExp(`^${sources.join('')}$`)
}

function parameterIn(piece: string): string {
  return /\(\^?([^)]*)\)/.exec(piece)?.[1] ?? '[^/]*'
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

// What Node does not pass to Fastify

/** Whether a response on this connection has begun, and more of it will be written. Node keeps the current one on the socket. */
function isAnswering({ _httpMessage: current }: Socket & { _httpMessage?: ServerResponse | null }): boolean {
  return current?.headersSent === true && !current.writableEnded
}

/** Fastify's `clientErrorHandler`: for bytes that are not a request, or that did not arrive in time. */
export function handleClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && excepted.has(socket)) return
  // Before TLS is established, nothing that is written would be understood.
  if (/^ERR_(SSL|TLS)_/.test(error.code ?? '')) {
    socket.destroy()
    return
  }
  if (refused.has(socket)) {
    socket.destroySoon()
    return
  }
  // Within a response, another one would be taken for a part of it.
  if (isAnswering(socket)) {
    socket.destroy()
    return
  }
  const code = PARSER_CODES[error.code ?? ''] ?? 'bad-request'
  const { status, title } = PROBLEMS[code]
  // No request was parsed that could have an id.
  const id = randomBytes(9).toString('base64url')
  const body = JSON.stringify(problemBody(new Problem(code, title), id))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `X-Request-Id: ${id}`,
    `Content-Type: ${PROBLEM_MEDIA_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
