/**
 * The side of a worker: takes connections from the parent, reports what its callers use up, and gathers what the other workers
 * know. It knows nothing about requests.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { Meter, readQuotas } from '../access/quotas.ts'
import { LruCache } from '../lru.ts'
import type { Peers } from '../peers.ts'
import type { Elsewhere, Left, ToParent, ToWorker, WorkerInfo } from './messages.ts'

/** The channel to the parent, and what the process does when the parent asks. */
export interface WorkerOptions {
  readonly send: (message: ToParent) => void
  /** Readiness turns off. */
  readonly onUnready: () => void
  readonly onClose: (why: string) => void
}

/** How long a report may wait for others, in ms. */
const REPORT_MS = 50
/** As many callers as `access/` keeps. */
const KEPT = { entries: 10_000 } as const

export class WorkerLink implements Peers {
  readonly #options: WorkerOptions
  readonly #topics = new Map<string, () => unknown>()
  readonly #gathering = new Map<number, (parts: readonly unknown[]) => void>()
  readonly #meters = new LruCache<string, Meter>(KEPT)
  /** Meters with something to report. */
  readonly #spent = new Map<Meter, string>()
  /** Meters that do not know yet what is left. */
  readonly #unsure = new Set<Meter>()
  #questions = 0
  #server: Server | undefined
  #open = () => 0

  constructor(options: WorkerOptions) {
    this.#options = options
  }

  /** This process will end, and takes no more connections. */
  leave() {
    this.#options.send({ kind: 'leaving' })
  }

  provide(topic: string, part: () => unknown) {
    this.#topics.set(topic, part)
  }

  gather(topic: string): Promise<readonly unknown[]> {
    const id = this.#questions++
    return new Promise((resolve) => {
      this.#gathering.set(id, resolve)
      this.#options.send({ kind: 'gather', id, topic })
    })
  }

  /**
   * Serves the connections that the parent hands over.
   *
   * @param open the number of open connections
   */
  serve(server: Server, open: () => number, info: WorkerInfo) {
    // Node checks the timeouts of its connections only while it listens.
    server.emit('listening')
    this.#server = server
    this.#open = open
    this.#options.send({ kind: 'ready', info })
  }

  /** The meter of a caller, which reports what it uses up. One that no process has met yet begins with all of its quotas. */
  meterOf(key: string, quotas: readonly string[]): Meter {
    const known = this.#meters.get(key)
    if (known !== undefined) return known
    const meter = this.#newMeter(key, quotas)
    this.#unsure.add(meter)
    this.#options.send({ kind: 'joined', joined: { key, quotas } })
    return meter
  }

  /** @param connection comes with a message of the kind `connection` */
  receive(message: ToWorker, connection: Socket | undefined) {
    switch (message.kind) {
      case 'connection':
        return this.#take(connection)
      case 'pulse':
        return this.#options.send({ kind: 'pulse', open: this.#open() })
      case 'unready':
        return this.#options.onUnready()
      case 'close':
        return this.#options.onClose(message.why)
      case 'give':
        return void this.#give(message.id, message.topic)
      case 'gathered':
        this.#gathering.get(message.id)?.(message.parts)
        this.#gathering.delete(message.id)
        return
      case 'left':
        for (const one of message.left) this.#know(one)
        return
      case 'elsewhere':
        for (const one of message.elsewhere) this.#learn(one)
    }
  }

  #take(connection: Socket | undefined) {
    // It was reset on the way.
    if (connection !== undefined) {
      // As Node's HTTP server accepts them.
      connection.allowHalfOpen = true
      this.#server?.emit('connection', connection)
    }
    this.#options.send({ kind: 'took', open: this.#open() })
  }

  async #give(id: number, topic: string) {
    const give = async () => this.#topics.get(topic)?.()
    this.#options.send({ kind: 'part', id, part: await give().catch(() => undefined) })
  }

  #note(key: string, meter: Meter) {
    if (this.#spent.size === 0) setTimeout(() => this.#report(), REPORT_MS).unref()
    this.#spent.set(meter, key)
  }

  #report() {
    const sure = [...this.#spent].filter(([meter]) => !this.#unsure.has(meter))
    this.#spent.clear()
    if (sure.length === 0) return
    this.#options.send({
      kind: 'spent',
      spent: sure.map(([meter, key]) => ({ key, ...meter.report() })),
    })
  }

  #newMeter(key: string, quotas: readonly string[]): Meter {
    const meter = new Meter(readQuotas(quotas))
    meter.share(() => this.#note(key, meter))
    return this.#meters.set(key, meter)
  }

  #know({ key, quotas, left, elsewhere }: Left) {
    const meter = this.#meters.get(key) ?? this.#newMeter(key, quotas)
    meter.restore(left, elsewhere)
    this.#unsure.delete(meter)
    // What it has charged in the meantime.
    this.#note(key, meter)
  }

  #learn({ key, charges, elsewhere }: Elsewhere) {
    this.#meters.get(key)?.learn(charges, elsewhere)
  }
}
