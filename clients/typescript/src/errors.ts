/** What can go wrong, as errors with the code, the pointer and the detail of a problem document (RFC 9457). */

/** One place in a request that is wrong. */
export interface Place {
  readonly pointer: string
  readonly detail: string
  readonly line?: number
  readonly column?: number
}

/** The base of all errors of this package. */
export class LossdError extends Error {
  override readonly name: string = 'LossdError'
}

export interface ProblemOptions {
  readonly places?: readonly Place[]
  readonly status?: number
  readonly retryable?: boolean
  /** Seconds after which a retry makes sense. */
  readonly retryAfter?: number | undefined
  readonly requestId?: string | undefined
}

/** A problem that the service reports, or that a local kernel finds in the same words. */
export class ProblemError extends LossdError {
  override readonly name: string = 'ProblemError'
  /** Stable, such as `label-out-of-range`. */
  readonly code: string
  /** One sentence. */
  readonly detail: string
  readonly places: readonly Place[]
  /** JSON pointer to the first wrong place, such as `/targets/3`; empty if there is none. */
  readonly pointer: string
  readonly status: number
  /** Whether the same request may succeed later. */
  readonly retryable: boolean
  readonly retryAfter: number | undefined
  readonly requestId: string | undefined

  constructor(code: string, detail: string, options: ProblemOptions = {}) {
    super(`${code}: ${detail}`)
    this.code = code
    this.detail = detail
    this.places = options.places ?? []
    this.pointer = this.places[0]?.pointer ?? ''
    this.status = options.status ?? 422
    this.retryable = options.retryable ?? false
    this.retryAfter = options.retryAfter
    this.requestId = options.requestId
  }
}

/** An input, a parameter or an option is wrong. The same request fails again. */
export class InvalidRequest extends ProblemError {
  override readonly name = 'InvalidRequest'
}

/** No loss has this name. */
export class UnknownLoss extends ProblemError {
  override readonly name = 'UnknownLoss'
}

/** The request has no valid key, or its caller lacks a role. */
export class AccessDenied extends ProblemError {
  override readonly name = 'AccessDenied'
}

/** No portable kernel computes this loss. The service does. */
export class KernelUnavailable extends ProblemError {
  override readonly name = 'KernelUnavailable'
}

/** A quota is used up, or the queue of the service is full. */
export class TooManyRequests extends ProblemError {
  override readonly name = 'TooManyRequests'
}

/** The service could not compute it at the moment, or has a bug. */
export class ServiceFailed extends ProblemError {
  override readonly name = 'ServiceFailed'
}

/** The deadline passed before there was an answer. */
export class DeadlineExceeded extends ProblemError {
  override readonly name = 'DeadlineExceeded'
}

/** There is no connection to the service. */
export class ServiceUnreachable extends LossdError {
  override readonly name = 'ServiceUnreachable'
}

/** The bytes of a kernel are not those that their hash stands for. */
export class KernelRejected extends LossdError {
  override readonly name = 'KernelRejected'
}

/** A kernel has another version of the binary interface than this package understands. */
export class AbiMismatch extends LossdError {
  override readonly name = 'AbiMismatch'
}

type ProblemClass = new (code: string, detail: string, options?: ProblemOptions) => ProblemError

const BY_STATUS: Readonly<Record<number, ProblemClass>> = {
  401: AccessDenied,
  403: AccessDenied,
  404: UnknownLoss,
  410: UnknownLoss,
  429: TooManyRequests,
}

/** The error of the class that its status calls for. */
export function problem(code: string, detail: string, options: ProblemOptions = {}): ProblemError {
  const { status = 422 } = options
  return new (classOf(code, status))(code, detail, options)
}

function classOf(code: string, status: number): ProblemClass {
  if (code === 'kernel-unavailable') return KernelUnavailable
  if (code === 'deadline-exceeded') return DeadlineExceeded
  return BY_STATUS[status] ?? (status < 500 ? InvalidRequest : ServiceFailed)
}

/** A problem with one place. */
export function problemAt(code: string, pointer: string, detail: string): ProblemError {
  return problem(code, `${pointer}: ${detail}`, { places: [{ pointer, detail }] })
}

/** The error for a response that is none. */
export async function problemOf(response: Response): Promise<ProblemError> {
  const { status } = response
  const after = Number(response.headers.get('retry-after') ?? Number.NaN)
  const retryAfter = Number.isFinite(after) ? after : undefined
  const document = (await response.json().catch(() => undefined)) as Record<string, unknown> | undefined
  if (typeof document?.type !== 'string') {
    const detail = `the response has status ${status} and is no problem document: it is from a proxy`
    return problem('internal', detail, {
      status: Math.max(500, status),
      retryable: status >= 500,
      retryAfter,
    })
  }
  return problem(document.type.split(/[:#]/).at(-1)!, String(document.detail ?? document.title), {
    places: (document.errors ?? []) as Place[],
    status,
    retryable: document.retryable === true,
    retryAfter,
    requestId: document.requestId as string | undefined,
  })
}
