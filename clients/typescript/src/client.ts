/** A client of one service. */
import { DeadlineExceeded, KernelRejected, ProblemError, problemOf, ServiceUnreachable } from './errors.ts'
import { type Decoded, decode, encode } from './safetensors.ts'
import { asTensor, type Tensor, type Tensors } from './tensor.ts'

const SAFETENSORS = 'application/x-safetensors'

/** The version of this package, which is that of the service it was published with. */
export const VERSION = '0.1.0'

/** Where kernels are kept: bytes by a text. */
export interface KernelStore {
  get(question: string): Promise<Uint8Array<ArrayBuffer> | undefined>
  set(question: string, module: Uint8Array<ArrayBuffer>): Promise<void>
}

interface CatalogPage {
  readonly losses: readonly { readonly name: string }[]
  /** The name after which the next page begins, if there is one. */
  readonly next?: string
}

export interface ClientOptions {
  readonly apiKey?: string
  /** Milliseconds for each call, with all of its attempts. Default: 30,000. */
  readonly timeout?: number
  /** How often a request is repeated that the service refuses for the moment. Default: 4. */
  readonly retries?: number
  /** Keeps kernels beyond this process; `lossd-client/node` has one for files. */
  readonly store?: KernelStore
  /** The W3C trace context that requests belong to. */
  readonly traceparent?: string | (() => string | undefined)
  /** Is called for each attempt that is repeated. Default: `console.warn`. */
  readonly log?: (message: string) => void
  readonly fetch?: typeof fetch
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  readonly timeout?: number | undefined
}

/** A loss by its name, or a formula or definition that is sent with the request. */
export type LossRef = string | Readonly<Record<string, unknown>>

/**
 * Requests to a service.
 *
 * @example
 * const client = new Client('http://localhost:8080')
 */
export class Client {
  readonly url: string
  readonly #options: ClientOptions
  readonly #modules = new Map<string, Promise<WebAssembly.Module>>()

  constructor(url = 'http://localhost:8080', options: ClientOptions = {}) {
    this.url = url.replace(/\/$/, '')
    this.#options = options
  }

  /** Computes a loss in the service. */
  async evaluate(
    loss: LossRef,
    tensors: Tensors,
    options: Readonly<Record<string, unknown>> = {},
    call: CallOptions = {},
  ): Promise<Decoded> {
    const named = new Map<string, Tensor>(
      Object.entries(tensors).map(([name, value]) => [name, asTensor(name, value)]),
    )
    const path = typeof loss === 'string' ? pathOf(loss) : '/v1/losses:evaluate'
    const body = encode(named, typeof loss === 'string' ? options : { ...options, ...loss })
    const headers = { 'content-type': SAFETENSORS, accept: SAFETENSORS }
    const response = await this.request(path, { method: 'POST', headers, body }, call)
    return decode(await response.arrayBuffer())
  }

  /** All losses of the catalog, or the registered ones of a namespace. */
  async catalog(namespace?: string): Promise<readonly { readonly name: string }[]> {
    const query = new URLSearchParams(namespace === undefined ? {} : { namespace })
    const found: { readonly name: string }[] = []
    for (;;) {
      const text = String(query)
      const page = (await this.#json(`/v1/losses${text && `?${text}`}`)) as unknown as CatalogPage
      found.push(...page.losses)
      if (page.next === undefined) return found
      query.set('after', page.next)
    }
  }

  /** One loss: formula, inputs, parameters, references, examples. */
  describe(name: string): Promise<Record<string, unknown>> {
    return this.#json(pathOf(name))
  }

  /** Keeps a loss of your own under `namespace/name`. */
  register(definition: object): Promise<Record<string, unknown>> {
    return this.#json('/v1/losses', definition)
  }

  /** What can be proved of a loss. */
  analyze(question: object): Promise<Record<string, unknown>> {
    return this.#json('/v1/losses:analyze', question)
  }

  /** Checks the gradient of a loss at given inputs, in four ways. */
  check(loss: LossRef, body: object): Promise<Record<string, unknown>> {
    return typeof loss === 'string'
      ? this.#json(`${pathOf(loss)}:check`, body)
      : this.#json('/v1/losses:check', { ...body, ...loss })
  }

  /** Which loss to choose, and why. */
  guide(question: Readonly<Record<string, string>> = {}): Promise<Record<string, unknown>> {
    return this.#json(`/v1/guide?${new URLSearchParams(question)}`)
  }

  async #json(path: string, body?: object): Promise<Record<string, unknown>> {
    const init =
      body === undefined
        ? { headers: { accept: 'application/json' } }
        : {
            method: 'POST',
            headers: { accept: 'application/json', 'content-type': 'application/json' },
            body: JSON.stringify(body),
          }
    return (await (await this.request(path, init)).json()) as Record<string, unknown>
  }

  /**
   * One request. What the service refuses for the moment is repeated until it succeeds or the deadline passes.
   *
   * @throws ProblemError, DeadlineExceeded, ServiceUnreachable
   */
  async request(path: string, init: RequestInit = {}, call: CallOptions = {}): Promise<Response> {
    const { retries = 4 } = this.#options
    const allowed = call.timeout ?? this.#options.timeout ?? 30_000
    const deadline = performance.now() + allowed
    for (let attempt = 0; ; attempt++) {
      try {
        const response = await this.#once(path, init, call, deadline, allowed)
        if (response.ok || response.status === 304) return response
        throw await problemOf(response)
      } catch (error) {
        const isPassing = error instanceof ServiceUnreachable || isRefused(error)
        if (!isPassing || attempt >= retries || !(await this.#wait(attempt, error, deadline))) throw error
      }
    }
  }

  async #once(
    path: string,
    init: RequestInit,
    { signal }: CallOptions,
    deadline: number,
    allowed: number,
  ): Promise<Response> {
    const left = Math.max(1, Math.floor(deadline - performance.now()))
    const timer = AbortSignal.timeout(left)
    const { fetch: send = fetch, apiKey, traceparent } = this.#options
    const trace = typeof traceparent === 'function' ? traceparent() : traceparent
    const headers = {
      ...(init.headers as Record<string, string>),
      'x-request-timeout-ms': String(left),
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      ...(trace === undefined ? {} : { traceparent: trace }),
    }
    try {
      const either = signal === undefined ? timer : AbortSignal.any([signal, timer])
      return await send(this.url + path, { ...init, headers, signal: either })
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      if (timer.aborted)
        throw new DeadlineExceeded('deadline-exceeded', `no response within ${allowed} ms`, {
          status: 504,
          retryable: true,
        })
      const { message, cause } = error as Error
      const why = cause instanceof Error ? cause.message : message
      throw new ServiceUnreachable(`${this.url} cannot be reached: ${why}`, { cause: error })
    }
  }

  /** Waits before the next attempt, unless the deadline comes first. */
  async #wait(attempt: number, error: unknown, deadline: number): Promise<boolean> {
    const least = error instanceof ProblemError ? (error.retryAfter ?? 0) * 1000 : 0
    // Full jitter, so that clients which were refused together do not come back together.
    const pause = least + Math.random() * Math.min(2000, 50 * 2 ** attempt)
    if (performance.now() + pause >= deadline) return false
    const log = this.#options.log ?? console.warn
    log(
      `lossd: ${(error as Error).message}; attempt ${attempt + 2} follows in ${(pause / 1000).toFixed(2)} s`,
    )
    await new Promise((resolve) => setTimeout(resolve, pause))
    return true
  }

  // Kernels

  /**
   * The module of a portable kernel: from memory, from the store, or from the service.
   *
   * @param question what it is for. Equal texts get the same kernel
   * @throws KernelUnavailable, KernelRejected
   */
  kernelModule(
    loss: LossRef,
    question: string,
    options: Readonly<Record<string, unknown>>,
  ): Promise<WebAssembly.Module> {
    const known = this.#modules.get(question)
    if (known !== undefined) return known
    const made = this.#findModule(loss, question, options)
    made.catch(() => this.#modules.delete(question))
    this.#modules.set(question, made)
    return made
  }

  async #findModule(loss: LossRef, question: string, options: Readonly<Record<string, unknown>>) {
    const { store } = this.#options
    const kept = await store?.get(question)
    if (kept !== undefined) return WebAssembly.compile(kept)
    const bytes = await this.#fetchModule(loss, options)
    const module = await WebAssembly.compile(bytes)
    await store?.set(question, bytes)
    return module
  }

  async #fetchModule(loss: LossRef, options: Readonly<Record<string, unknown>>) {
    const response = await (typeof loss === 'string'
      ? this.request(`${pathOf(loss)}/kernel.wasm?${queryOf(options)}`)
      : this.request('/v1/losses:kernel', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ ...loss, ...options }),
        }))
    const bytes = new Uint8Array(await response.arrayBuffer())
    const etag = response.headers.get('etag')?.replaceAll(/W\/|"/g, '')
    return verified(bytes, etag ?? '')
  }
}

/** @throws KernelRejected if the bytes have another hash */
export async function verified(
  bytes: Uint8Array<ArrayBuffer>,
  sha256: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  const found = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  if (found === sha256) return bytes
  throw new KernelRejected(`the kernel has the hash ${found}, expected ${sha256}`)
}

function isRefused(error: unknown): boolean {
  return error instanceof ProblemError && (error.status === 429 || error.status === 503)
}

function pathOf(name: string): string {
  return `/v1/losses/${name.split('/').map(encodeURIComponent).join('/').replaceAll('%40', '@')}`
}

function queryOf(options: Readonly<Record<string, unknown>>): URLSearchParams {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return new URLSearchParams(
    entries.map(([name, value]) => [name, typeof value === 'object' ? JSON.stringify(value) : String(value)]),
  )
}
