/** Evaluations on a service: uploads, jobs and their events, for the command line. */
import { createHash } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import type { Evaluation } from '../evaluation/result.ts'
import type { DataFile } from './database.ts'
import { EvaluationFailed } from './failure.ts'
import type { JobFailure, JobSource } from './jobs.ts'
import { ProgressBar, type Screen } from './progress-bar.ts'
import type { EvaluationRequest } from './request.ts'

export interface ServiceOptions extends Screen {
  readonly apiKey?: string | undefined
  /** When it is aborted, the job is cancelled. */
  readonly signal?: AbortSignal
  /** Before events that stopped are asked for again. */
  readonly firstWaitMs?: number
}

const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 8000
/** In a row, without progress. */
const MOST_TRIES = 5
/** What a service, or a proxy before it, says while it starts or stops. */
const BUSY = [502, 503, 504]

class Unreachable extends EvaluationFailed {}

/** A job as the service tells it. */
interface ShownJob {
  readonly id: string
  readonly state: string
  readonly result?: Evaluation
  readonly error?: JobFailure
}

export class Service {
  readonly #url: string
  readonly #options: ServiceOptions
  readonly #bar: ProgressBar

  /** @throws TypeError for something that is no address */
  constructor(url: string, options: ServiceOptions) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
      throw new TypeError(`--url must begin with http:// or https://, got "${url}"`)
    this.#url = url.replace(/\/+$/, '')
    this.#options = options
    this.#bar = new ProgressBar(options)
  }

  /**
   * Sends a file, unless the service has it. Its id is its content.
   *
   * @returns the id
   */
  async upload(file: DataFile): Promise<string> {
    const digest = await digestOf(file)
    const id = `sha256-${digest.toString('hex')}`
    const known = await this.#send('HEAD', `/v1/datasets/${id}`, {}, [404])
    if (known.ok) return id
    const total = statSync(file.path).size
    let bytes = 0
    const body = createReadStream(file.path)
    body.on('data', (chunk) => {
      bytes += chunk.length
      this.#bar.show({ rows: bytes, total }, 'bytes')
    })
    const headers = {
      'content-type': 'application/octet-stream',
      'content-length': String(total),
      'content-digest': `sha-256=:${digest.toString('base64')}:`,
      // If somebody else has sent it in the meantime, it is there.
      'if-none-match': '*',
    }
    await this.#send(
      'PUT',
      `/v1/datasets/${id}?format=${file.format}`,
      { headers, body: Readable.toWeb(body) as never },
      [412],
    )
    this.#bar.clear()
    return id
  }

  /** @throws EvaluationFailed with what the service says */
  async evaluate({ onBad, road: _, ...request }: EvaluationRequest, source: JobSource): Promise<Evaluation> {
    const headers = { 'content-type': 'application/json' }
    const asked = { ...request, source, ...(onBad === undefined ? {} : { on_bad: onBad }) }
    const response = await this.#send('POST', '/v1/evaluations', { headers, body: JSON.stringify(asked) })
    const { id } = (await response.json()) as ShownJob
    try {
      return answerOf(await this.#follow(id))
    } catch (error) {
      if (this.#options.signal?.aborted) await this.#cancel(id)
      throw error
    } finally {
      this.#bar.clear()
    }
  }

  /** Reads events until one is the last. Events that stop without it begin anew, a little later each time. */
  async #follow(id: string): Promise<ShownJob> {
    const { firstWaitMs = FIRST_WAIT_MS } = this.#options
    let [tries, most, why] = [0, 0, '']
    for (;;) {
      const begin = performance.now()
      try {
        const { last, rows, ended } = await this.#events(id)
        if (last !== undefined) return last
        why = ended
        if (rows > most) tries = 0
        most = Math.max(most, rows)
      } catch (error) {
        why = this.#lost(error)
      }
      // A proxy may end what takes long: that is no failure.
      if (performance.now() - begin >= LONGEST_WAIT_MS) tries = 0
      if (tries++ === MOST_TRIES)
        throw new EvaluationFailed('service', `${this.#url}: the evaluation ${id} cannot be followed: ${why}`)
      await this.#wait(Math.min(LONGEST_WAIT_MS, firstWaitMs * 2 ** (tries - 1)))
    }
  }

  /** The last event, if it came; otherwise how far the evaluation was, and how the events ended. */
  async #events(id: string): Promise<{ last?: ShownJob; rows: number; ended: string }> {
    const response = await this.#send('GET', `/v1/evaluations/${id}/events`, {}, BUSY)
    let most = 0
    if (!response.ok) {
      await response.body?.cancel()
      return { rows: most, ended: `${response.status} ${response.statusText}`.trim() }
    }
    try {
      for await (const { event, data } of eventsIn(response)) {
        if (event !== 'progress') return { last: JSON.parse(data) as ShownJob, rows: most, ended: '' }
        const { rows, total } = JSON.parse(data) as { rows: number; total: number | null }
        most = Math.max(most, rows)
        this.#bar.show({ rows, total: total ?? undefined })
      }
    } catch (error) {
      return { rows: most, ended: this.#lost(error) }
    }
    return { rows: most, ended: 'its events end early' }
  }

  /** Why the connection is lost. Other errors are thrown. */
  #lost(error: unknown): string {
    this.#options.signal?.throwIfAborted()
    if (error instanceof Unreachable) return error.message
    // What `fetch` throws if a body ends early.
    if (error instanceof TypeError) return (error.cause as Error | undefined)?.message ?? error.message
    throw error
  }

  async #wait(ms: number) {
    const { signal } = this.#options
    await setTimeout(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {})
    signal?.throwIfAborted()
  }

  async #cancel(id: string) {
    await fetch(`${this.#url}/v1/evaluations/${id}`, { method: 'DELETE', headers: this.#key }).catch(() => {})
  }

  /** @param allowed statuses that are no failures */
  async #send(
    method: string,
    path: string,
    init: RequestInit = {},
    allowed: readonly number[] = [],
  ): Promise<Response> {
    const { signal } = this.#options
    const headers = { ...this.#key, ...(init.headers as Record<string, string>) }
    const more = {
      method,
      headers,
      ...(signal === undefined ? {} : { signal }),
      ...(init.body ? { duplex: 'half' } : {}),
    }
    let response: Response
    try {
      response = await fetch(`${this.#url}${path}`, { ...init, ...more } as RequestInit)
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      const { cause } = error as Error & { readonly cause?: Error }
      throw new Unreachable(
        'service',
        `${this.#url} cannot be reached: ${cause?.message ?? (error as Error).message}`,
      )
    }
    if (response.ok || allowed.includes(response.status)) return response
    const problem = (await response.json().catch(() => ({}))) as { detail?: string; title?: string }
    throw new EvaluationFailed(
      'service',
      `${this.#url}: ${response.status}: ${problem.detail ?? problem.title ?? response.statusText}`,
    )
  }

  get #key(): Record<string, string> {
    const { apiKey } = this.#options
    return apiKey === undefined || apiKey === '' ? {} : { authorization: `Bearer ${apiKey}` }
  }
}

function answerOf({ state, result, error }: ShownJob): Evaluation {
  if (result !== undefined) return result
  throw new EvaluationFailed('service', error?.detail ?? `the evaluation is ${state}`)
}

async function digestOf({ path }: DataFile): Promise<Buffer> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest()
}

interface ServerEvent {
  readonly event: string
  readonly data: string
}

async function* eventsIn({ body }: Response): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true })
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      yield eventOf(text.slice(0, end))
      text = text.slice(end + 2)
    }
  }
}

function eventOf(block: string): ServerEvent {
  const lines = new Map(
    block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  )
  return { event: lines.get('event') ?? 'message', data: lines.get('data') ?? '' }
}
