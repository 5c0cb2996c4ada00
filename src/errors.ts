/**
 * Every way a request can fail, in one table: stable code -> HTTP status, title, and whether a retry can help. This
 * is the only place that knows HTTP status codes. The wire form is an RFC 9457 problem document
 * (schemas/problem.ts).
 */

interface ProblemKind {
  readonly status: number
  readonly title: string
  readonly retryable: boolean
  /** If another specification has defined its type: that URI. */
  readonly type?: string
}

const kind = (status: number, title: string, retryable = false): ProblemKind => ({ status, title, retryable })

/** As draft-ietf-httpapi-ratelimit-headers defines it, so that clients that know the draft know it. */
const QUOTA_EXCEEDED = 'https://iana.org/assignments/http-problem-types#quota-exceeded'

/** Code -> status and title. To add a way to fail, add a row here and nothing else. */
export const PROBLEMS = {
  moved: kind(308, 'The resource is at another path'),
  'bad-request': kind(400, 'The request is not valid HTTP'),
  'malformed-json': kind(400, 'The body is not valid JSON'),
  'malformed-safetensors': kind(400, 'The body is not a valid safetensors file'),
  unauthenticated: kind(401, 'The request has no valid credentials'),
  forbidden: kind(403, 'The caller lacks a role'),
  'not-found': kind(404, 'No route has this path'),
  'unknown-loss': kind(404, 'No loss has this name'),
  'unknown-target': kind(404, 'No target or dialect has this name'),
  'method-not-allowed': kind(405, 'This method is not allowed here'),
  'not-acceptable': kind(406, 'None of the accepted media types can be produced'),
  'request-timeout': kind(408, 'The request did not arrive in time', true),
  'cannot-write': kind(409, 'The target has no words for this loss'),
  'kernel-unavailable': kind(409, 'No portable kernel computes this loss'),
  gone: kind(410, 'This loss is retired'),
  'precondition-failed': kind(412, 'The precondition is not met'),
  'payload-too-large': kind(413, 'The body is too large'),
  'uri-too-long': kind(414, 'The URL is too long'),
  'unsupported-media-type': kind(415, 'This media type is not supported'),
  'unsupported-encoding': kind(415, 'This content encoding is not supported'),
  'expectation-failed': kind(417, 'The expectation cannot be met'),
  'headers-too-large': kind(431, 'The request headers are too large'),
  'unknown-name': kind(422, 'A name is unknown'),
  'missing-input': kind(422, 'An input is missing'),
  'invalid-value': kind(422, 'A value is invalid'),
  'param-invalid': kind(422, 'A parameter is invalid'),
  'shape-mismatch': kind(422, 'The shapes do not match'),
  'shape-overflow': kind(422, 'The shape is too large'),
  'dtype-unsupported': kind(422, 'This dtype is not supported here'),
  'label-out-of-range': kind(422, 'A label is out of range'),
  'non-finite-input': kind(422, 'An input is not finite'),
  'non-finite-result': kind(422, 'The result is not finite'),
  'empty-batch': kind(422, 'The mean of an empty batch is undefined'),
  'idempotency-key-reused': kind(422, 'The idempotency key belongs to another request'),
  'example-fails': kind(422, 'An example in the definition fails'),
  'formula-invalid': kind(422, 'The formula is invalid'),
  'too-expensive': kind(422, 'The request costs more than the limit'),
  'too-many-losses': kind(429, 'The namespace is full'),
  'quota-exceeded': { ...kind(429, 'A quota of the caller is used up', true), type: QUOTA_EXCEEDED },
  overloaded: kind(429, 'The queue is full', true),
  internal: kind(500, 'Internal error'),
  'unsupported-transfer': kind(501, 'This transfer coding is not supported'),
  'no-evaluations': kind(501, 'Files are not evaluated here'),
  'unknown-evaluation': kind(404, 'No evaluation has this id'),
  'unknown-dataset': kind(404, 'No dataset has this id'),
  'not-kept': kind(501, 'Losses cannot be registered here'),
  'store-down': kind(503, 'The store of registered losses is unavailable', true),
  'identity-down': kind(503, 'Tokens cannot be verified at the moment', true),
  'not-ready': kind(503, 'The service is not ready', true),
  draining: kind(503, 'The service is shutting down', true),
  'engine-lost': kind(503, 'The engine was lost and is being restarted', true),
  'out-of-memory': kind(503, 'There is not enough memory at the moment', true),
  'answers-unread': kind(503, 'Too many responses are waiting to be read', true),
  'deadline-exceeded': kind(504, 'The deadline has passed', true),
  'storage-full': kind(507, 'There is no room for this dataset'),
} as const satisfies Record<string, ProblemKind>

export type ProblemCode = keyof typeof PROBLEMS

/** The code for bodies that a wire format cannot parse. A format that has no row above needs none. */
export type MalformedCode = `malformed-${string}`
const MALFORMED = kind(400, 'The body is not valid in its format')

/** Status, title and whether a retry can help. */
export function problemKindOf(code: ProblemCode | MalformedCode): ProblemKind {
  return Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code as ProblemCode] : MALFORMED
}

/** The `type` of a problem document. */
export function problemTypeOf(code: ProblemCode | MalformedCode): string {
  return problemKindOf(code).type ?? `urn:lossd:problem:${code}`
}

/** One place in the request that is wrong. */
export interface ProblemDetail {
  /** RFC 6901 JSON pointer into the body; for safetensors, into the equivalent JSON body. */
  readonly pointer: string
  readonly detail: string
  /** Position in a formula; line and column count from 1. */
  readonly line?: number
  readonly column?: number
}

export interface ProblemOptions {
  readonly errors?: readonly ProblemDetail[]
  /** Seconds after which a retry makes sense, sent as `Retry-After`. */
  readonly retryAfter?: number
  /** The quotas that are used up. */
  readonly violatedPolicies?: readonly string[]
  /** Additional response headers (`Allow`, `Accept` ...). */
  readonly headers?: Readonly<Record<string, string>>
  readonly cause?: unknown
}

/**
 * A failure that the client can understand and fix. Anything else that is thrown is a bug in lossd and becomes a
 * plain 500.
 *
 * @example
 * throw new Problem('param-invalid', 'delta must be > 0, got -1', blameAt('/params/delta', 'must be > 0, got -1'))
 */
export class Problem extends Error {
  readonly code: ProblemCode | MalformedCode
  readonly options: ProblemOptions

  constructor(code: ProblemCode | MalformedCode, detail: string, options: ProblemOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'Problem'
    this.code = code
    this.options =
      options.errors === undefined ? options : { ...options, errors: options.errors.map(cutPlace) }
  }

  get status(): number {
    return problemKindOf(this.code).status
  }
}

/** Options that report one place in the request. */
export function errorAtPointer(pointer: string, detail: string): ProblemOptions {
  return { errors: [{ pointer, detail }] }
}

/** A problem with one place in the request. The detail appears at the pointer and in the summary. */
export function problemAt(code: Problem['code'], pointer: string, detail: string): Problem {
  return new Problem(code, placed(pointer, detail), errorAtPointer(pointer, detail))
}

/** A problem that blames several places: the first is in the summary, the others are counted. */
export function problemAtAll(code: Problem['code'], errors: readonly ProblemDetail[]): Problem {
  const [{ pointer, detail }, ...others] = errors
  const more = others.length === 0 ? '' : `; and ${others.length} more`
  return new Problem(code, `${placed(pointer, detail)}${more}`, { errors })
}

/** The empty pointer is the whole request, which needs no name. */
function placed(pointer: string, detail: string): string {
  return pointer === '' ? detail : `${cutPointer(pointer)}: ${detail}`
}

/** How much of a text from the request a message repeats at most. */
const MAX_REPEATED = 200

/**
 * A text from the request, shortened for a message: a client that sent a megabyte knows the rest.
 *
 * @example
 * cut('delta') // 'delta'
 */
export function cut(text: string): string {
  return text.length > MAX_REPEATED ? `${text.slice(0, MAX_REPEATED)}...` : text
}

function cutPlace(place: ProblemDetail): ProblemDetail {
  return { ...place, pointer: cutPointer(place.pointer) }
}

/** Each name in a pointer may come from the client. */
function cutPointer(pointer: string): string {
  return pointer.length > MAX_REPEATED ? pointer.split('/').map(cut).join('/') : pointer
}

/**
 * A count with its noun, in English.
 *
 * @param things the plural
 * @example
 * many(1, 'classes') // '1 class'
 * many(2, 'elements') // '2 elements'
 */
export function pluralize(count: number, things: string): string {
  return `${count} ${count === 1 ? things.replace(/(?<=ss|x)es$|(?<!s)s$/, '') : things}`
}

/** The pointer to an element, for messages: `/targets/2/0`. */
export function pointerTo(name: string, shape: readonly number[], element: number): string {
  const places: number[] = []
  let rest = element
  for (const size of [...shape].reverse()) {
    places.unshift(rest % size)
    rest = Math.floor(rest / size)
  }
  return ['', name, ...places].join('/')
}

/** A name as a token of a JSON pointer (RFC 6901). */
export function pointerToken(name: string): string {
  return name.slice(0, 80).replaceAll('~', '~0').replaceAll('/', '~1')
}
