/**
 * Asks every request who sends it, before its body is read, and holds it to the quotas of its caller. Only routes that say
 * `config: { access: 'public' }` are open to all, so a new route is closed by default.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Access } from '../access/access.ts'
import type { Origin } from '../access/audit.ts'
import { type Caller, NOBODY } from '../access/caller.ts'
import type { Decoded } from '../wire/define.ts'
import { whenOver } from './response-coalescer.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Null on routes that are open to all. */
    caller: Caller | null
  }
  interface FastifyContextConfig {
    /** Open to all, whatever keys there are. */
    readonly access?: 'public'
  }
}

/** The config of a route that is open to all: it shows nothing that belongs to somebody. */
export const PUBLIC = { access: 'public' } as const

/** The routes of the plugin that shows the API documentation. */
const PAGES = /^\/docs(\/|$)/

type Done = (error?: Error) => void
type Guard = (request: FastifyRequest, reply: FastifyReply, done: Done) => void

/** Must be called before any route is registered. */
export function authorizeRequests(app: FastifyInstance, access: Access): void {
  app.decorateRequest('caller', null)
  const guard: Guard = (request, reply, done) => {
    try {
      const found = access.identify(request.raw.headers, request.raw.socket)
      if (found instanceof Promise) found.then((caller) => admitLate(request, reply, caller, done), done)
      else admit(request, reply, found, done)
    } catch (error) {
      done(error as Error)
    }
  }
  // A hook of the route, so that routes that are open to all and paths that do not exist have none.
  app.addHook('onRoute', (route) => {
    if (route.config?.access === 'public' || PAGES.test(route.url)) {
      if (!access.isOpen) route.schema = { ...route.schema, security: [] }
      return
    }
    const hooks = [route.onRequest ?? []].flat()
    // The route for HEAD is made from that for GET.
    if (!hooks.includes(guard)) route.onRequest = [guard, ...hooks]
  })
  if (access.isOpen) return
  app.addHook('onSend', tell)
  app.addHook('preHandler', chargeBody)
}

/** The caller of a request. */
export function callerOf({ caller }: FastifyRequest): Caller {
  return caller ?? NOBODY
}

export function originOf({ id, raw }: FastifyRequest): Origin {
  return { reqId: id, from: raw.socket.remoteAddress }
}

/** The client may have disconnected while its token was verified. Then nobody would tell the meter that the request is over. */
function admitLate(request: FastifyRequest, reply: FastifyReply, caller: Caller, done: Done) {
  if (request.raw.socket.destroyed) reply.hijack()
  else admit(request, reply, caller, done)
}

function admit(request: FastifyRequest, reply: FastifyReply, caller: Caller, done: Done) {
  request.caller = caller
  const { meter } = caller
  if (meter === undefined) return done()
  try {
    meter.enter(Number(request.raw.headers['content-length'] ?? 0))
  } catch (error) {
    return done(error as Error)
  }
  if (meter.countsOpen) whenOver(request.raw, reply.raw, () => meter.leave())
  done()
}

/** Bodies without a length, which was charged when the request arrived. */
function chargeBody(request: FastifyRequest, _reply: FastifyReply, done: Done) {
  if (request.body instanceof Uint8Array) chargeBytes(request, request.body.length)
  done()
}

/** Charges a body that has been read, unless its length was known before. */
export function chargeBytes({ caller, raw }: FastifyRequest, bytes: number) {
  if (caller?.meter !== undefined && raw.headers['content-length'] === undefined)
    caller.meter.charge('bytes', bytes)
}

/** Charges what a body asks to be computed, before anything is widened. */
export function chargeElements({ caller }: FastifyRequest, { tensors }: Decoded) {
  if (caller?.meter === undefined) return
  let elements = 0
  for (const { data } of tensors.values()) elements += data.length
  caller.meter.charge('elements', elements)
}

/** The quotas of a caller, as response headers: name, value, name, value. */
export function quotaHeaders({ caller }: FastifyRequest): string[] {
  const meter = caller?.meter
  return meter === undefined ? [] : ['RateLimit-Policy', meter.policy, 'RateLimit', meter.remaining()]
}

/** What one caller gets, no cache may give to another. */
function tell(
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
  done: (e: null, p: unknown) => void,
) {
  if (request.caller !== null && !reply.hasHeader('Cache-Control')) reply.header('Cache-Control', 'no-store')
  const headers = quotaHeaders(request)
  for (let i = 0; i < headers.length; i += 2) reply.header(headers[i], headers[i + 1])
  done(null, payload)
}
