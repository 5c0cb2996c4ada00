/**
 * The request/response cycle that all tensor routes share: one exchange per request, from its headers to the last byte
 * of its response. Failures are passed to Fastify, which responds with a problem document.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import { Cancelled } from '../batching/batcher.ts'
import { LARGE_BYTES } from '../batching/event-loop-yield.ts'
import type { Sender } from '../batching/fair-queue.ts'
import type { Announced, JobResult, JobTiming } from '../batching/job.ts'
import { Problem } from '../errors.ts'
import type { CheckContext } from '../schemas/check.ts'
import type { Answer, Chunks, Decoded } from '../wire/define.ts'
import { decodeBody, formatOf } from '../wire/index.ts'
import { allocate, releaseChunks, retainedBytes } from '../wire/response-slab.ts'
import { chargeBytes, chargeElements, quotaHeaders } from './authorize.ts'
import { codingFor, pack } from './content-encoding.ts'
import type { RouteContext } from './context.ts'
import { bodyLimitOf, deadlineOf, type Formats, formatsOf } from './negotiate.ts'
import { type Body, type Receiver, receiveBody } from './request-body.ts'
import { type PendingWrite, whenOver } from './response-coalescer.ts'

/** A request whose body has been read. */
export interface Received {
  readonly request: FastifyRequest
  readonly decoded: Decoded
  /** The context that its validation needs. */
  readonly check: CheckContext
  /**
   * Encodes the response and its timings.
   *
   * @param submitted when its validation ended, by `performance.now()`
   * @param computed when its result was available
   * @param hold keeps the result's arrays valid, if the response uses them and they belong to the engine
   */
  write(
    answer: Answer,
    timing: JobTiming,
    moments: { readonly submitted: number; readonly computed: number },
    hold?: JobResult['hold'],
  ): EncodedResponse
}

/** A response that is ready to be sent. */
export interface EncodedResponse {
  readonly parts: Chunks
  readonly serverTiming: string
  /** `performance.now()` */
  readonly ready: number
  /** Must be called when the parts have been sent, or when nobody will read them. */
  readonly release: (() => void) | undefined
  /** Additional headers: name, value, name, value. */
  readonly headers?: readonly string[]
}

/** A route that accepts a body of tensors. */
export interface ExchangeRoute {
  readonly path: string
  readonly schema: FastifySchema
  /** Selects the target of a request by its path, before its body is read. Throws a Problem. */
  readonly target: (request: FastifyRequest) => LossHandler
}

/** What computes a response: one loss, one composition ... */
export interface LossHandler {
  /** Its name in the metrics. */
  readonly name: string
  /** Computes the response, or throws a Problem. */
  readonly handle: (received: Received) => EncodedResponse | Promise<EncodedResponse>
}

/**
 * Registers the route. Requests that cannot be served are rejected before their body is read. An exchange begins in
 * Fastify's first hook and writes to the connection itself, because the steps of Fastify in between (a parser's async
 * resource, validation, payload hooks) cost as much as a small loss.
 */
export function registerExchange(app: FastifyInstance, context: RouteContext, route: ExchangeRoute) {
  app.post(route.path, {
    schema: route.schema,
    onRequest: (request, reply, done) => new Exchange(context, route, request, reply, done).begin(),
    handler: () => {
      throw new Error('an exchange responds before its handler is called')
    },
  })
}

/** Whoever is not asked who they are. */
const ANYBODY = {}

/** In addition to large pieces of work, the event loop does everything else. */
const TURN_MARGIN = 1.5

const NOTHING: Decoded = { tensors: new Map(), options: new Map() }

/** One request to such a route. */
class Exchange implements Received, Receiver, PendingWrite, Sender {
  readonly #context: RouteContext
  readonly #route: ExchangeRoute
  readonly request: FastifyRequest
  readonly #reply: FastifyReply
  readonly #response: ServerResponse
  readonly #handOver: (error: Error) => void
  #target: LossHandler | undefined
  #formats: Formats | undefined
  #deadlineMs = 0
  #announced: Announced | undefined
  /** When its body was begun to be read. */
  #started: number | undefined
  /** When a large body had arrived, which then waits for its turn. */
  #arrived: number | undefined
  /** When a large body began to arrive. */
  #began: number | undefined
  #finite: boolean | undefined
  #isOver = false
  #abort: AbortController | undefined
  #encoded: EncodedResponse | undefined
  /** The content coding of the response. */
  #coding: string | undefined
  /** Bytes of the response that the client has not read yet. */
  #unread = 0
  decoded!: Decoded

  constructor(
    context: RouteContext,
    route: ExchangeRoute,
    request: FastifyRequest,
    reply: FastifyReply,
    handOver: (error: Error) => void,
  ) {
    this.#context = context
    this.#route = route
    this.request = request
    this.#reply = reply
    this.#response = reply.raw
    this.#handOver = handOver
  }

  begin() {
    const { raw } = this.request
    const { config, bodies, responses } = this.#context
    whenOver(raw, this.#response, () => this.#end())
    try {
      responses.admit()
      this.#target = this.#route.target(this.request)
      this.#formats = formatsOf(raw.headers)
      this.#deadlineMs = deadlineOf(raw.headers, config)
      const limit = bodyLimitOf(this.#formats.input, config)
      this.#admit(Number(raw.headers['content-length'] ?? Number.NaN))
      this.#reply.welcome(limit)
      receiveBody(raw, limit, bodies, this)
    } catch (error) {
      this.fail(error as Error)
    }
  }

  /** Passes the failed request to Fastify, which does not know when it began. */
  fail(error: Error) {
    if (this.#started !== undefined) {
      this.#reply.header('Server-Timing', `total;dur=${thousandths(performance.now() - this.#started)}`)
    }
    this.#handOver(error)
  }

  get check(): CheckContext {
    const deadline = (this.#arrived ?? this.#started!) + this.#deadlineMs
    const { plans } = this.#context
    return { plans, sender: this, announced: this.#announced, signal: () => this.#signal(), deadline }
  }

  /** Whose turn it is: that of its caller and, among the requests of the same one, that of its connection. */
  get caller(): object {
    return this.request.caller?.lane ?? ANYBODY
  }

  get connection(): object {
    return this.request.raw.socket
  }

  get isKnown(): boolean {
    return (this.request.caller?.id ?? null) !== null
  }

  write(
    answer: Answer,
    timing: JobTiming,
    { submitted, computed }: { readonly submitted: number; readonly computed: number },
    hold?: JobResult['hold'],
  ): EncodedResponse {
    // Backpressure is checked again, because requests that were admitted at the same time can produce many
    // responses.
    this.#context.responses.admit()
    this.#finite = answer.members.finite === true
    const { parts, release } = this.#held(this.#formats!.output.encode(answer), hold)
    const decodeMs = submitted - this.#started!
    const ready = performance.now()
    const serverTiming = serverTimingOf(timing, decodeMs, ready - computed)
    return { parts, serverTiming, ready, release }
  }

  /** Megabytes must be written before the engine's memory is used again, or be copied. */
  #held(parts: Chunks, hold: JobResult['hold']): Pick<EncodedResponse, 'parts' | 'release'> {
    if (parts.length === 1 || hold === undefined) return { parts, release: undefined }
    // A response that is queued behind another one on its connection would not notice that the connection is
    // closed.
    const release = this.#response.socket === null ? undefined : hold()
    return release === undefined ? { parts: [joined(parts)], release } : { parts, release }
  }

  /** Rejects the rest of a large body for the same reason as a new request: too many responses are unread. */
  goOn() {
    this.#context.responses.admit()
  }

  /** Refuses a body of this size, if it is known, whose request would be late. */
  #admit(bytes: number) {
    if (bytes >= LARGE_BYTES) this.#admitLarge()
    if (Number.isNaN(bytes)) return
    this.#announced = { kind: `${this.#target!.name} ${this.#formats!.input.name}`, bytes }
    const deadline = performance.now() + this.#deadlineMs
    this.#context.batcher.admit({ announced: this.#announced, sender: this, deadline })
  }

  /** Refuses a large body that would not get its turn on the event loop before its deadline. */
  #admitLarge() {
    this.#began = performance.now()
    const waitMs = TURN_MARGIN * this.#context.batcher.turns.backlogMs
    const lateMs = waitMs - this.#deadlineMs
    if (lateMs > 0) throw this.#context.batcher.overloaded(lateMs)
  }

  arrived(bytes: number) {
    chargeBytes(this.request, bytes)
  }

  /** A large body waits for its turn on the event loop. */
  take(body: Body) {
    const { bytes } = body
    if (bytes.length < LARGE_BYTES) return this.#answer(bytes, body)
    this.#arrived = performance.now()
    const piece = { bytes: bytes.length, kind: this.#formats!.input.name, sender: this, since: this.#began }
    void this.#context.batcher.turns.run(piece, () => this.#answerLate(bytes, body))
  }

  /** Nothing is computed for a client that has gone, or that does not wait any more. */
  #answerLate(bytes: Uint8Array, body: Body) {
    const isLate = performance.now() > this.#arrived! + this.#deadlineMs
    if (!this.#isOver && !isLate) return this.#answer(bytes, body)
    body.leave(true)
    this.fail(
      this.#isOver
        ? new Cancelled('the client disconnected')
        : new Problem('deadline-exceeded', 'the deadline passed before the request was read'),
    )
  }

  #answer(bytes: Uint8Array, body: Body) {
    this.#started = performance.now()
    try {
      this.decoded = decodeBody(this.#formats!.input, bytes, this.#context.config)
      chargeElements(this.request, this.decoded)
      const encoded = this.#target!.handle(this)
      if (encoded instanceof Promise) void this.#finishLater(encoded, body)
      else this.#finish(encoded, body)
    } catch (error) {
      body.leave(true)
      this.fail(error as Error)
    }
  }

  async #finishLater(encoded: Promise<EncodedResponse>, body: Body) {
    try {
      this.#finish(await encoded, body)
    } catch (error) {
      // A launch whose client has gone may still be reading the body.
      body.leave(false)
      this.fail(error as Error)
    }
  }

  #finish(encoded: EncodedResponse, body: Body) {
    body.leave(true)
    this.#reply.hijack()
    // A slow client should keep only its response in memory, not its request.
    this.decoded = NOTHING
    this.#encoded = encoded
    const coding = this.#codingOf(encoded.parts)
    if (coding === undefined) this.#send()
    else void this.#sendPacked(coding)
  }

  /** Compresses a response if it is large enough and the client accepts it. */
  #codingOf(parts: Chunks): string | undefined {
    if (!this.#formats!.output.compresses || lengthOf(parts) < this.#context.config.compressBytes) return
    return codingFor(this.request.raw.headers['accept-encoding'] as string | undefined)
  }

  async #sendPacked(coding: string) {
    const packed = await pack(coding, this.#encoded!.parts).catch(() => undefined)
    // The client may have disconnected in the meantime.
    if (this.#encoded === undefined) return
    if (packed === undefined) return this.#send()
    const { serverTiming, headers = [] } = this.#encoded
    this.#leave()
    this.#coding = coding
    this.#encoded = { parts: [packed], serverTiming, ready: performance.now(), release: undefined, headers }
    this.#send()
  }

  #send() {
    const encoded = this.#encoded!
    if (this.#isOver) return this.#leave()
    this.#unread = retainedBytes(encoded.parts)
    this.#context.responses.count(this.#unread)
    this.#context.responses.add(this, encoded.ready)
  }

  depart() {
    if (this.#isOver) return
    const { parts, serverTiming } = this.#encoded!
    this.#response.writeHead(200, this.#headers(parts, serverTiming))
    const last = parts.length - 1
    for (let i = 0; i < last; i++) this.#response.write(parts[i])
    this.#response.end(parts[last])
  }

  /** Name, value, name, value: Node writes a list as it is. */
  #headers(parts: Chunks, serverTiming: string): string[] {
    const headers = [
      'Content-Type',
      this.#formats!.output.mediaTypes[0],
      'Content-Length',
      String(lengthOf(parts)),
      'Cache-Control',
      'no-store',
      'Server-Timing',
      serverTiming,
      'X-Request-Id',
      this.request.id,
    ]
    if (this.#encoded!.headers !== undefined) headers.push(...this.#encoded!.headers)
    if (this.request.caller?.meter !== undefined) headers.push(...quotaHeaders(this.request))
    if (this.#coding !== undefined) headers.push('Content-Encoding', this.#coding, 'Vary', 'Accept-Encoding')
    if (this.#context.connections.isLast(this.request.raw)) headers.push('Connection', 'close')
    // Earlier hooks set headers only for CORS.
    if (this.#context.config.corsOrigins !== '') headers.push(...listOf(this.#reply.getHeaders()))
    return headers
  }

  /**
   * Aborts when the client disconnects. `request.signal` would fire as soon as the body is read (fastify 6725). The
   * only correct sign is that the response closes before it is finished.
   */
  #signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#isOver) this.#abort.abort()
    return this.#abort.signal
  }

  /** The response is closed: it has been sent, possibly as an error, or the client has disconnected. */
  #end() {
    this.#isOver = true
    this.decoded = NOTHING
    this.#leave()
    if (!this.#hasLeft) this.#abort?.abort()
    this.#report()
  }

  get #hasLeft(): boolean {
    return this.#response.writableFinished && !this.#context.connections.wasCut(this.request.raw)
  }

  /** Releases the response, if there is one, because nobody reads it any more. */
  #leave() {
    if (this.#encoded === undefined) return
    const { parts, release } = this.#encoded
    release?.()
    releaseChunks(parts)
    this.#context.responses.count(-this.#unread)
    this.#unread = 0
    // An idle connection keeps a reference to its last request, and so to this exchange.
    this.#encoded = undefined
  }

  /** A client that disconnected is reported as 499, as proxies log it. */
  #report() {
    const format = this.#formats?.input ?? formatOf(this.request.headers['content-type'] ?? '')
    const { statusCode } = this.#response
    this.#context.metrics.answered({
      loss: this.#target?.name ?? 'unknown',
      format: format?.name ?? 'unknown',
      status: this.#hasLeft || statusCode >= 400 ? statusCode : 499,
      seconds: this.#started === undefined ? undefined : (performance.now() - this.#started) / 1000,
      finite: this.#finite,
    })
  }
}

function listOf(headers: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(headers).flatMap(([name, value]) => [name, String(value)])
}

/** All parts in one array. */
function joined(parts: Chunks): Uint8Array {
  const length = lengthOf(parts)
  const { bytes, start } = allocate(length)
  let at = start
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes.subarray(start, at)
}

function lengthOf(parts: Chunks): number {
  let length = 0
  for (const part of parts) length += part.length
  return length
}

function serverTimingOf(
  { queueMs, computeMs, batchJobs, engine }: JobTiming,
  decodeMs: number,
  encodeMs: number,
): string {
  const decode = `decode;dur=${thousandths(decodeMs)}, queue;dur=${thousandths(queueMs)}`
  const compute = `compute;dur=${thousandths(computeMs)}, encode;dur=${thousandths(encodeMs)}`
  return `${decode}, ${compute}, batch;desc="n=${batchJobs}", engine;desc="${engine}"`
}

/** Milliseconds with three decimals. Cheaper than toFixed, and precise enough for a header. */
function thousandths(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
