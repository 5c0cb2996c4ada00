/** Clients that know every answer, and note what becomes of every request. */
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** What becomes of a request. */
export type Fate =
  /** With the right numbers. */
  | 'answered'
  /** By a problem document that says that a retry can help, or by a connection that was never accepted. */
  | 'refused'
  /** The connection broke before the answer was complete. */
  | 'cut'
  /** Neither answered nor ended in time. */
  | 'lost'
  /** Numbers that belong to another request, or that are wrong in another way. */
  | 'wrong'

export interface Outcome {
  readonly fate: Fate
  /** `performance.now()` */
  readonly sent: number
  readonly ms: number
  /** What it was, unless it was answered. */
  readonly why?: string
}

export interface ClientOptions {
  readonly url: string
  readonly clients: number
  /** Numbers in a request. Half of the requests have one. */
  readonly elements: number
  /** How long a client waits for an answer, in ms. */
  readonly patienceMs: number
}

export class Clients {
  readonly outcomes: Outcome[] = []
  #isOver = false
  readonly #options: ClientOptions
  readonly #running: Promise<void>[]

  constructor(options: ClientOptions) {
    this.#options = options
    this.#running = Array.from({ length: options.clients }, (_, place) => this.#work(place))
  }

  async stop() {
    this.#isOver = true
    await Promise.all(this.#running)
  }

  count(fate: Fate): number {
    return this.outcomes.filter((one) => one.fate === fate).length
  }

  /** Resolves when so many more have been answered. */
  async answers(count: number, limitMs = 60_000) {
    const goal = this.count('answered') + count
    for (const end = performance.now() + limitMs; this.count('answered') < goal; ) {
      if (performance.now() > end) throw new Error(`only ${this.count('answered')} of ${goal} were answered`)
      await sleep(20)
    }
  }

  async #work(place: number) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let i = 0; !this.#isOver; i++) {
      const elements = i % 2 === 0 ? 1 : this.#options.elements
      const outcome = await this.#ask(agent, ((place * 7919 + i * 31) % 1000) / 1000, elements)
      this.outcomes.push(outcome)
      // Whoever is refused waits before the next try.
      if (outcome.fate !== 'answered') await sleep(20 + 30 * Math.random())
    }
    agent.destroy()
  }

  /** The mean of x² and its gradient 2x/n, so every number of the answer is known. */
  async #ask(agent: Agent, x: number, elements: number): Promise<Outcome> {
    const sent = performance.now()
    const note = (fate: Fate, why?: string): Outcome => ({
      fate,
      sent,
      ms: performance.now() - sent,
      ...(why === undefined ? {} : { why }),
    })
    const numbers = (value: number) => `[${Array(elements).fill(value).join()}]`
    const body = `{"predictions":${numbers(x)},"targets":${numbers(0)},"gradients":["predictions"]}`
    try {
      const { status, text } = await post(
        `${this.#options.url}/v1/losses/mse`,
        agent,
        body,
        this.#options.patienceMs,
      )
      if (status === 200)
        return isRight(text, x, elements) ? note('answered') : note('wrong', text.slice(0, 100))
      const { retryable = false, type = '' } = JSON.parse(text)
      return retryable ? note('refused', type) : note('wrong', `${status} ${text.slice(0, 200)}`)
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException
      if (code === 'LATE') return note('lost', 'no answer and no end')
      return note(code === 'ECONNREFUSED' ? 'refused' : 'cut', code || message)
    }
  }
}

function isRight(text: string, x: number, elements: number): boolean {
  const { loss, gradients } = JSON.parse(text)
  const { predictions } = gradients
  const isClose = (found: number, expected: number) => Math.abs(found - expected) < 1e-6
  return (
    isClose(loss, x * x) &&
    predictions.length === elements &&
    predictions.every((found: number) => isClose(found, (2 * x) / elements))
  )
}

/** @throws Error with the code LATE if nothing happens in time */
export function post(
  url: string,
  agent: Agent | false,
  body: string | Buffer,
  patienceMs: number,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; text: string; retryAfter: number }> {
  return new Promise((resolve, reject) => {
    const length = Buffer.byteLength(body)
    const options = {
      method: 'POST',
      agent,
      headers: { 'content-type': 'application/json', 'content-length': length, ...headers },
    }
    const sent = request(url, options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      response.on('end', () => {
        clearTimeout(limit)
        resolve({ status: response.statusCode!, text, retryAfter: Number(response.headers['retry-after']) })
      })
      response.on('error', fail)
    })
    const fail = (error: Error) => {
      clearTimeout(limit)
      reject(error)
    }
    const limit = setTimeout(() => {
      reject(Object.assign(new Error('late'), { code: 'LATE' }))
      sent.destroy()
    }, patienceMs)
    sent.on('error', fail)
    sent.end(body)
  })
}
