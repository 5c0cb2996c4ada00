/**
 * What all routes that take and answer tensors share: which formats, until when, for whom, and what is told about it.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import type { JobTiming } from '../batching/job.ts'
import { Problem } from '../errors.ts'
import type { CheckContext } from '../schemas/check.ts'
import type { Answer, Decoded, Format } from '../wire/define.ts'
import { formatOf, formats, negotiate } from '../wire/index.ts'
import type { RouteContext } from './context.ts'

/** A request whose body has been read. */
export interface Received {
  readonly decoded: Decoded
  /** What checking it takes beside it. */
  readonly check: CheckContext
  /** When it began, by `performance.now()`. */
  readonly started: number
}

/** A route that takes a body of tensors. */
export interface Exchange {
  readonly path: string
  /** What metrics call it. */
  readonly name: string
  readonly schema: FastifySchema
  /** Answers, or throws a Problem. */
  readonly handle: (received: Received, reply: FastifyReply) => FastifyReply | Promise<FastifyReply>
}

/** Registers the route; what cannot be answered is refused before its body is read. */
export function registerExchange(
  app: FastifyInstance,
  context: RouteContext,
  { path, name, schema, handle }: Exchange,
) {
  app.post(path, {
    schema,
    onRequest: (request, reply, done) => {
      reportWhenSent(request, reply, name, context)
      try {
        reply.formats = formatsOf(request)
        reply.deadlineMs = deadlineOf(request, context)
      } catch (error) {
        return done(error as Error)
      }
      done()
    },
    handler: (request, reply) => {
      const run = () => handle(receive(request, reply, context), reply)
      const turn = context.batcher.turns.next(sizeOf(request.body))
      return turn === undefined ? run() : turn.then(run)
    },
  })
}

function sizeOf(body: unknown): number {
  return body instanceof Uint8Array ? body.length : 0
}

/** @throws Problem when the body cannot be decoded */
function receive(request: FastifyRequest, reply: FastifyReply, { config, outlines }: RouteContext): Received {
  const started = performance.now()
  reply.started = started
  const decoded = reply.formats!.input.decode(request.body as Uint8Array, config)
  const check = { outlines, signal: () => signalOf(reply), deadline: started + reply.deadlineMs! }
  return { decoded, check, started }
}

/** When its parts began, by `performance.now()`. */
export interface Moments {
  readonly started: number
  readonly submitted: number
  readonly computed: number
}

/** Writes the answer, and the headers that go with it. */
export function encodeAnswer(
  reply: FastifyReply,
  answer: Answer,
  timing: JobTiming,
  { started, submitted, computed }: Moments,
): Uint8Array {
  const { output } = reply.formats!
  reply.finite = answer.members.finite === true
  const body = output.encode(answer)
  const header = serverTiming(timing, submitted - started, performance.now() - computed)
  reply.header('Server-Timing', header).header('Cache-Control', 'no-store').type(output.mediaTypes[0])
  return body
}

type Formats = { readonly input: Format; readonly output: Format }

/** What was negotiated before, by both headers: clients send the same ones for ever. */
const negotiated = new Map<string, Formats>()
const MAX_NEGOTIATED = 256

/** The format of the body, and the one of the answer. */
function formatsOf({ headers }: FastifyRequest): Formats {
  const key = `${headers['content-type']}\n${headers.accept}`
  const known = negotiated.get(key)
  if (known !== undefined) return known
  const made = negotiateFormats(headers['content-type'] ?? '', headers.accept)
  if (negotiated.size < MAX_NEGOTIATED) negotiated.set(key, made)
  return made
}

function negotiateFormats(type: string, accept: string | undefined): Formats {
  const input = formatOf(type)
  if (input === undefined) {
    const options = { headers: { Accept: mediaTypes() } }
    const detail = `send one of ${mediaTypes()}, got ${type.slice(0, 80)}`
    throw new Problem('unsupported-media-type', detail, options)
  }
  const output = negotiate(accept, input)
  if (output === undefined) throw new Problem('not-acceptable', `accept one of ${mediaTypes()}`)
  return { input, output }
}

/** Every media type that is read and written. */
export function mediaTypes(): string {
  return formats.map((format) => format.mediaTypes[0]).join(', ')
}

/** Milliseconds from now. */
function deadlineOf({ headers }: FastifyRequest, { config }: RouteContext): number {
  const header = headers['x-request-timeout-ms']
  if (header === undefined) return config.deadlineMs
  if (typeof header !== 'string' || !/^[1-9]\d{0,9}$/.test(header)) {
    throw new Problem('invalid-value', 'X-Request-Timeout-Ms must be a whole number of milliseconds >= 1')
  }
  return Math.min(Number(header), config.maxDeadlineMs)
}

/**
 * Aborts when the caller hangs up. `request.signal` would fire as soon as the body is read (fastify 6725); the
 * response's `close` before it is finished is the one sign that is right.
 */
function signalOf(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  if (reply.raw.destroyed) controller.abort()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort()
  })
  return controller.signal
}

function serverTiming(
  { queueMs, computeMs, batchJobs, engine }: JobTiming,
  decodeMs: number,
  encodeMs: number,
): string {
  const decode = `decode;dur=${thousandths(decodeMs)}, queue;dur=${thousandths(queueMs)}`
  const compute = `compute;dur=${thousandths(computeMs)}, encode;dur=${thousandths(encodeMs)}`
  return `${decode}, ${compute}, batch;desc="n=${batchJobs}", engine;desc="${engine}"`
}

/** Milliseconds to the microsecond; cheaper than toFixed, and a header says no more. */
function thousandths(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

/** Counts the request once its answer has left, refusals included, or its caller has: 499, as proxies log it. */
function reportWhenSent(
  request: FastifyRequest,
  reply: FastifyReply,
  loss: string,
  { metrics }: RouteContext,
) {
  reply.raw.once('close', () => {
    const format =
      (reply.formats?.input ?? formatOf(request.headers['content-type'] ?? ''))?.name ?? 'unknown'
    const { started, finite, statusCode } = reply
    const isAnswered = reply.raw.writableFinished || statusCode >= 400
    metrics.answered({
      loss,
      format,
      status: isAnswered ? statusCode : 499,
      ...(started === undefined ? {} : { seconds: (performance.now() - started) / 1000 }),
      ...(finite === undefined ? {} : { finite }),
    })
  })
}

declare module 'fastify' {
  interface FastifyReply {
    /** The format of the body, and the one of the answer. */
    formats: Formats | undefined
    /** How long its caller waits. */
    deadlineMs: number | undefined
    /** When the whole body was there; for metrics. */
    started: number | undefined
    /** Whether the answer is finite; for metrics. */
    finite: boolean | undefined
  }
}
