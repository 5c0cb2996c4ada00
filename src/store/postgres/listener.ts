/**
 * Subscribes to the changes of other replicas (LISTEN/NOTIFY) on a connection of its own. A heartbeat checks it, because
 * a connection that has died silently looks like one on which nothing happens.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { Backoff } from '../../backoff.ts'
import type { Change } from '../contract.ts'
import { within } from '../deadline.ts'

export const CHANNEL = 'lossd_changes'

/** How often the connection is checked, in ms. */
const HEARTBEAT_MS = 2000
/** How long the server may take to respond, in ms. */
const ANSWER_MS = 3000
/** Exponential backoff: the delay before it connects again doubles with each failure. */
const RETRY_MS = { first: 50, most: 5000 }

export interface ListenerOptions {
  readonly config: pg.ClientConfig
  /** Marks the messages of this process, which it ignores. */
  readonly origin: () => string
  /** Another process made a change, or may have made one while the connection was down. */
  readonly heard: (change: Change) => void
}

/** A message as it is sent on the channel. */
export function encodeChange(origin: string, change: Change): string {
  return `${origin} ${change === 'all' ? 'all' : `${change.namespace}/${change.name}`}`
}

function decodeChange(text: string): Change {
  const [namespace, name] = text.split('/')
  return name === undefined ? 'all' : { namespace: namespace!, name }
}

export class Listener {
  readonly #options: ListenerOptions
  readonly #closing = new AbortController()
  /** Aborted when the connection is lost. */
  #session = new AbortController()
  #hears = false
  readonly #backoff = new Backoff(RETRY_MS)
  #running: Promise<void> | undefined

  constructor(options: ListenerOptions) {
    this.#options = options
  }

  get hears(): boolean {
    return this.#hears
  }

  /** Starts listening. Further calls have no effect. */
  start(): void {
    this.#running ??= this.#run()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#session.abort()
    await this.#running
  }

  async #run() {
    const { signal } = this.#closing
    while (!signal.aborted) {
      await this.#listen().catch(() => {})
      if (this.#hears) this.#turn(false)
      await sleep(this.#backoff.next(), undefined, { signal }).catch(() => {})
    }
  }

  /** Settles when the connection is lost. */
  async #listen() {
    const client = new pg.Client({ ...this.#options.config, query_timeout: ANSWER_MS })
    const session = new AbortController()
    this.#session = session
    const lost = new Promise<void>((resolve) => session.signal.addEventListener('abort', () => resolve()))
    client.on('error', () => session.abort())
    client.on('end', () => session.abort())
    try {
      await Promise.race([lost, this.#keep(client, session.signal)])
    } finally {
      session.abort()
      void client.end().catch(() => {})
    }
  }

  /** Connects, and rejects when the connection stops responding. */
  async #keep(client: pg.Client, signal: AbortSignal) {
    await client.connect()
    await this.#subscribe(client)
    signal.throwIfAborted()
    this.#backoff.reset()
    this.#turn(true)
    for (;;) {
      await sleep(HEARTBEAT_MS, undefined, { signal })
      await client.query('select 1')
    }
  }

  /** Sends itself a message and waits for it, because some poolers do not deliver notifications. */
  async #subscribe(client: pg.Client) {
    const hello = `${randomUUID()} hello`
    const arrived = new Promise<void>((resolve) => {
      client.on('notification', ({ payload = '' }) => {
        if (payload === hello) resolve()
        else this.#receive(payload)
      })
    })
    await client.query(`listen ${CHANNEL}`)
    await client.query('select pg_notify($1, $2)', [CHANNEL, hello])
    await within(ANSWER_MS, arrived)
  }

  #receive(payload: string) {
    const [origin, change] = payload.split(' ')
    if (change === undefined || change === 'hello' || origin === this.#options.origin()) return
    this.#options.heard(decodeChange(change))
  }

  #turn(hears: boolean) {
    this.#hears = hears
    // Whatever was cached while the connection was down may be out of date.
    this.#options.heard('all')
  }
}
