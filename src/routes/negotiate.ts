/** Content negotiation: the formats of a request's body and of its response, its deadline, and the Vary header. */
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyReply } from 'fastify'
import { Problem } from '../errors.ts'
import type { Format } from '../wire/define.ts'
import { formatOf, formats, negotiate } from '../wire/index.ts'

/** The format of the body, and that of the response. */
export interface Formats {
  readonly input: Format
  readonly output: Format
}

interface Known {
  readonly type: string
  readonly accept: string | undefined
  readonly formats: Formats
}

/** Cache of earlier results: a client always sends the same headers, and there are few different ones. */
const known: Known[] = []
const MAX_KNOWN = 16

/** @throws Problem `unsupported-media-type`, `not-acceptable` */
export function formatsOf({ 'content-type': type = '', accept }: IncomingHttpHeaders): Formats {
  for (const one of known) if (one.type === type && one.accept === accept) return one.formats
  const made = negotiateFormats(type, accept)
  if (known.length < MAX_KNOWN) known.push({ type, accept, formats: made })
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

/** Maximum size of a body in a format. */
export function bodyLimitOf(
  format: Format | undefined,
  { jsonBodyLimit, binaryBodyLimit }: { readonly jsonBodyLimit: number; readonly binaryBodyLimit: number },
): number {
  return format?.bodyLimit === 'json' ? jsonBodyLimit : binaryBodyLimit
}

/** Every supported media type. */
export function mediaTypes(): string {
  return formats.map((format) => format.mediaTypes[0]).join(', ')
}

/**
 * Milliseconds from now.
 *
 * @throws Problem `invalid-value`
 */
export function deadlineOf(
  { 'x-request-timeout-ms': header }: IncomingHttpHeaders,
  { deadlineMs, maxDeadlineMs }: { readonly deadlineMs: number; readonly maxDeadlineMs: number },
): number {
  if (header === undefined) return deadlineMs
  if (typeof header !== 'string' || !/^[1-9]\d{0,9}$/.test(header)) {
    throw new Problem('invalid-value', 'X-Request-Timeout-Ms must be an integer >= 1, in milliseconds')
  }
  return Math.min(Number(header), maxDeadlineMs)
}

/** Adds a request header to Vary: tells caches that the response depends on it. */
export function varies(reply: FastifyReply, header: string) {
  const others = reply.getHeader('Vary')
  reply.header('Vary', others === undefined ? header : `${others}, ${header}`)
}
