/**
 * A fault-injecting proxy: it does to clients what full queues and networks do. The first request is rejected for now,
 * and the connection of a later one is cut.
 */
import { createServer, type IncomingMessage, request as open, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

export interface RoughProxy {
  readonly url: string
  /** The mistakes of the clients so far. */
  faults(): readonly string[]
  stop(): void
}

/** The requests that are not let through, counted from 1. */
const [REFUSED, CUT] = [1, 4]
const RETRY_AFTER = 1
const REFUSAL = {
  type: 'urn:lossd:problem:overloaded',
  title: 'The queue is full',
  status: 429,
  detail: 'a proxy says so',
  errors: [],
  requestId: 'rough',
  retryable: true,
}
/** Minimum number of requests per connection, over all programs of a page. */
const KEPT = 5

export async function roughly(service: string): Promise<RoughProxy> {
  const watch = new Watch()
  const server = createServer((request, response) => void pass(watch, service, request, response))
  server.on('connection', () => watch.connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    faults: () => watch.faults(),
    stop: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function pass(watch: Watch, service: string, request: IncomingMessage, response: ServerResponse) {
  const body = await buffer(request)
  const place = request.method === 'POST' ? watch.posted(body) : undefined
  if (place === CUT) return request.socket.destroy()
  if (place === REFUSED) return refuse(response)
  const { method = 'GET', url = '/', headers } = request
  const onward = open(service + url, { method, headers }, async (answer) => {
    watch.answered(answer.statusCode!)
    response.writeHead(answer.statusCode!, answer.headers).end(await buffer(answer))
  })
  onward.on('error', () => request.socket.destroy())
  onward.end(body)
}

function refuse(response: ServerResponse) {
  const headers = {
    'Content-Type': 'application/problem+json',
    'Retry-After': RETRY_AFTER,
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Expose-Headers': 'Retry-After',
  }
  response.writeHead(REFUSAL.status, headers).end(JSON.stringify(REFUSAL))
}

/** What a client has sent, and the responses. */
class Watch {
  connections = 0
  readonly #faults: string[] = []
  #posts = 0
  #last: { readonly body: Buffer; readonly at: number } | undefined
  /** The status of the last response; 0 if the connection was cut. */
  #status = 200

  /** @returns the number of the request */
  posted(body: Buffer): number {
    this.#check(body)
    this.#last = { body, at: performance.now() }
    this.#posts++
    if (this.#posts === REFUSED) this.#status = REFUSAL.status
    if (this.#posts === CUT) this.#status = 0
    return this.#posts
  }

  answered(status: number) {
    this.#status = status
  }

  #check(body: Buffer) {
    if (this.#last === undefined) return
    const isAgain = this.#last.body.equals(body)
    const isRefused = this.#status >= 400 && this.#status !== REFUSAL.status
    if (isRefused && isAgain) this.#faults.push(`sends again what was refused with ${this.#status}`)
    if (this.#status === 0 && !isAgain) this.#faults.push('does not send again after its connection was cut')
    if (this.#status !== REFUSAL.status) return
    if (!isAgain) this.#faults.push('does not send again what was refused for now')
    if (performance.now() - this.#last.at < RETRY_AFTER * 990)
      this.#faults.push('does not wait for Retry-After')
  }

  faults(): readonly string[] {
    const isKept = this.connections * KEPT <= this.#posts
    return isKept
      ? this.#faults
      : [...this.#faults, `opens ${this.connections} connections for ${this.#posts} requests`]
  }
}
