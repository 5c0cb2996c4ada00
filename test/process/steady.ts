/** Clients that ask one question after the other, each with an answer of its own, until they are told to stop. */
import { readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { Agent as SecureAgent } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { post } from './http.ts'

export interface SteadyOptions {
  readonly url: string
  readonly clients: number
  readonly headers?: Readonly<Record<string, string>>
}

const CA = readFileSync(new URL('../support/certificates/ca.pem', import.meta.url))

/**
 * Half of the clients keep their connection, the others open one for each request; a third pause between requests.
 *
 * @example
 * const steady = new Steady({ url, clients: 100 })
 * await steady.warm()
 * await steady.stop()
 * steady.faults // []
 */
export class Steady {
  answered = 0
  /** Answers that belong to another request, or are wrong in another way. */
  wrong = 0
  readonly faults: string[] = []
  #isOver = false
  readonly #clients: Promise<void>[]

  constructor({ url, clients, headers = {} }: SteadyOptions) {
    this.#clients = Array.from({ length: clients }, (_, place) =>
      this.#work(new URL('/v1/losses/huber', url), place, headers),
    )
  }

  /** Resolves when so many requests have been answered. */
  async warm(count = 1000) {
    for (let i = 0; this.answered < count; i++) {
      if (i > 600) throw new Error(`only ${this.answered} requests were answered: ${this.faults.slice(0, 3)}`)
      await sleep(50)
    }
  }

  async stop() {
    this.#isOver = true
    await Promise.all(this.#clients)
  }

  async #work(url: URL, place: number, headers: Readonly<Record<string, string>>) {
    const isKept = place % 2 === 0
    const options = { keepAlive: isKept, maxSockets: 1 }
    const agent = url.protocol === 'https:' ? new SecureAgent({ ...options, ca: CA }) : new Agent(options)
    for (let i = 0; !this.#isOver; i++) {
      await this.#ask(url, agent, headers, ((place * 7919 + i) % 1000) / 1000)
      if (place % 3 === 0) await sleep(Math.random() * 30)
    }
    agent.destroy()
  }

  async #ask(url: URL, agent: Agent, headers: Readonly<Record<string, string>>, x: number) {
    try {
      const { status, text } = await post(url, `{"predictions":[${x}],"targets":[0]}`, headers, agent)
      if (status !== 200) this.faults.push(`status ${status}: ${text.slice(0, 200)}`)
      else if (Math.abs(JSON.parse(text).loss - (x * x) / 2) > 1e-6) this.wrong++
      else this.answered++
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      this.faults.push(code ?? message)
      await sleep(10)
    }
  }
}
