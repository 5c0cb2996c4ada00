/**
 * HTTP's edges: every failure becomes one problem document, also those that Node and Fastify answer themselves, and
 * requests that break the rules are refused before anything is read. It knows no losses.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Cancelled } from './batching/batcher.ts'
import { PROBLEMS, Problem, type ProblemCode } from './errors.ts'
import { PROBLEM_TYPE, problemBody, problemHeaders } from './schemas/problem.ts'

/** More header lines than any client sends. */
const MAX_HEADERS = 100

/** Fastify's own error codes -> ours. */
const FRAMEWORK_CODES: Readonly<Record<string, ProblemCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload-too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported-media-type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad-request',
  FST_ERR_BAD_URL: 'bad-request',
  FST_ERR_ASYNC_CONSTRAINT: 'bad-request',
  FST_ERR_MAX_PARAM_LENGTH: 'uri-too-long',
}

/** Node's parser errors -> ours; anything else of it is a bad request. */
const PARSER_CODES: Readonly<Record<string, ProblemCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout',
  HPE_HEADER_OVERFLOW: 'headers-too-large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'payload-too-large',
}

/** Any error as a problem; what we do not know is our bug. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  const { code, statusCode, message } = error as Partial<FastifyError>
  const known = code === undefined ? undefined : FRAMEWORK_CODES[code]
  if (known !== undefined) return new Problem(known, message ?? '')
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new Problem('bad-request', message ?? '')
  return new Problem('internal', 'internal error', { cause: error })
}

/** Answers with a problem document. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
  // A body that was not read to its end would be taken for the next request.
  if (!request.raw.complete) reply.header('Connection', 'close')
  return reply
    .code(problem.status)
    .headers(problemHeaders(problem))
    .type(PROBLEM_TYPE)
    .send(JSON.stringify(problemBody(problem, request.id)))
}

/** Installs the handlers and guards on an application. */
export function hardenHttp(app: FastifyInstance, mediaTypes: () => string): void {
  app.setErrorHandler((error, request, reply) => handleError(error, request, reply))
  app.setNotFoundHandler((request, reply) => sendProblem(request, reply, notFound(routes, request)))
  const routes = collectRoutes(app)
  app.addHook('onRequest', async (request, reply) => {
    reply.header('X-Request-Id', request.id)
    traced(request)
    guard(request, mediaTypes)
  })
  app.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    continueIfSmall(app, request, response)
  })
}

function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply) {
  if (error instanceof Cancelled) {
    request.log.info('the caller has gone')
    return reply.hijack()
  }
  const problem = toProblem(error)
  if (problem.status === 500) request.log.error({ err: problem.options.cause ?? error }, 'internal error')
  else request.log.info({ code: problem.code, detail: problem.message }, 'request refused')
  return sendProblem(request, reply, problem)
}

// Guards

function guard(request: FastifyRequest, mediaTypes: () => string) {
  const { raw, headers, method } = request
  if (raw.httpVersion === '0.9') throw new Problem('bad-request', 'HTTP/0.9 is not spoken here')
  if (raw.rawHeaders.length / 2 > MAX_HEADERS) {
    throw new Problem('headers-too-large', `a request may have ${MAX_HEADERS} header lines`)
  }
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') {
    const options = { headers: { 'Accept-Encoding': 'identity' } }
    throw new Problem('unsupported-encoding', 'send the body as it is, without Content-Encoding', options)
  }
  if (method === 'POST') guardMediaType(headers['content-type'], mediaTypes)
}

/** One media type, and no charset but UTF-8: anything else could be decoded into other numbers. */
function guardMediaType(contentType: string | undefined, mediaTypes: () => string) {
  const isPlain = /^[\w.+-]+\/[\w.+-]+[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?$/i.test(contentType ?? '')
  if (isPlain) return
  const options = { headers: { Accept: mediaTypes() } }
  throw new Problem('unsupported-media-type', `Content-Type must be one of ${mediaTypes()}`, options)
}

/** W3C trace context: the id goes into the log; a malformed one is ignored, telemetry never fails a request. */
function traced(request: FastifyRequest) {
  const header = request.headers.traceparent
  const traceId =
    typeof header === 'string'
      ? /^00-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(header)?.[1]
      : undefined
  if (traceId !== undefined) request.log = request.log.child({ traceId })
}

/** `Expect: 100-continue` with a body that is too large is refused without reading it. */
function continueIfSmall(app: FastifyInstance, request: IncomingMessage, response: ServerResponse) {
  const length = Number(request.headers['content-length'] ?? 0)
  if (!(length > (app.initialConfig.bodyLimit ?? 0))) response.writeContinue()
  app.server.emit('request', request, response)
}

// What Fastify does not route

type RouteTable = ReadonlyMap<string, ReadonlySet<string>>

function collectRoutes(app: FastifyInstance): RouteTable {
  const table = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const methods = table.get(url) ?? new Set()
    for (const one of [method].flat()) methods.add(one)
    table.set(url, methods)
  })
  return table
}

function notFound(routes: RouteTable, { url, method }: FastifyRequest): Problem {
  const path = url.split('?')[0]
  const allowed = [...routes]
    .filter(([pattern]) => matches(pattern, path))
    .flatMap(([, methods]) => [...methods])
  if (allowed.length === 0) return new Problem('not-found', `nothing is at ${path.slice(0, 200)}; see /docs`)
  const list = [...new Set(allowed)].sort().join(', ')
  return new Problem('method-not-allowed', `${method} is not offered here, ${list} is`, {
    headers: { Allow: list },
  })
}

function matches(pattern: string, path: string): boolean {
  const [wanted, found] = [pattern.split('/'), path.split('/')]
  return (
    wanted.length === found.length && wanted.every((part, i) => part.startsWith(':') || part === found[i])
  )
}

// What Node does not hand to Fastify

/** Fastify's `clientErrorHandler`: bytes that are no request, or did not arrive in time. */
export function handleClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return
  const code = PARSER_CODES[error.code ?? ''] ?? 'bad-request'
  const body = JSON.stringify(problemBody(new Problem(code, PROBLEMS[code].title), ''))
  const head = [
    `HTTP/1.1 ${PROBLEMS[code].status} ${PROBLEMS[code].title}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
