/** The other side: opens an engine and serves requests, as many concurrently as the engine computes concurrently. */
import { type Batch, type BatchResult, DeviceLost, type Engine } from '../contract.ts'
import type { Reply, Request, SentBatch, SentResult } from './messages.ts'

/** How the other side receives and sends messages. */
export interface Port {
  /** @param sent is called when the reply's arrays are no longer needed */
  say(reply: Reply, sent?: () => void): void
  onRequest(listener: (request: Request) => void): void
  close(): void
}

/** How often and for how long a lost device is checked. Some devices come back only in a new process. */
const LOOK_MS = 50
const PATIENCE_MS = 10_000

/** Opens the engine, reports that, and serves requests until it is told to close. */
export async function serve(port: Port, open: () => Promise<Engine>): Promise<void> {
  try {
    const engine = await open()
    new Server(port, engine).listen()
    port.say({ type: 'opened', info: engine.info, width: engine.width ?? 1 })
  } catch (error) {
    port.say({ type: 'refused', reason: error instanceof Error ? error.message : String(error) })
    port.close()
  }
}

class Server {
  readonly #port: Port
  readonly #engine: Engine
  readonly #programs = new Map<string, Batch['program']>()
  /**
   * Batches in order. Most engines run one at a time, because two batches on the same tfjs instance would mix their
   * tensors.
   */
  readonly #waiting: (() => Promise<void>)[] = []
  #running = 0

  constructor(port: Port, engine: Engine) {
    this.#port = port
    this.#engine = engine
  }

  listen() {
    this.#port.onRequest((request) => this.#take(request))
  }

  #take(request: Request) {
    if (request.type === 'forget') return this.#programs.clear()
    const work = this.#workOf(request)
    this.#waiting.push(work)
    this.#pump()
  }

  #workOf(request: Exclude<Request, { type: 'forget' }>): () => Promise<void> {
    if (request.type === 'close') return () => this.#close()
    if (request.type !== 'run') return () => this.#answer(request)
    // The program cache follows the order of the requests, however long they wait.
    const batch = this.#complete(request.batch)
    return () => this.#run(request.id, batch)
  }

  #pump() {
    while (this.#running < (this.#engine.width ?? 1) && this.#waiting.length > 0) {
      this.#running++
      void this.#waiting.shift()!().then(() => {
        this.#running--
        this.#pump()
      })
    }
  }

  async #run(id: number, batch: Batch): Promise<void> {
    try {
      const { release, ...result } = await this.#engine.run(batch)
      this.#port.say({ type: 'result', id, result: result satisfies SentResult }, release)
    } catch (error) {
      this.#fail(id, error)
    }
  }

  async #answer({ type, id }: Extract<Request, { type: 'stats' | 'describe' }>): Promise<void> {
    try {
      if (type === 'stats') this.#port.say({ type: 'stats', id, stats: await this.#engine.stats() })
      else this.#port.say({ type: 'details', id, details: (await this.#engine.describe?.()) ?? {} })
    } catch (error) {
      this.#fail(id, error)
    }
  }

  #fail(id: number, thrown: unknown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown))
    // The state is sent first, so that no further batches are sent to a device that is lost.
    if (error instanceof DeviceLost) this.#watch()
    const { name, message, stack } = error
    this.#port.say({ type: 'failed', id, name, message, stack })
  }

  #watch() {
    if (this.#engine.isReady) return
    this.#port.say({ type: 'state', isReady: false })
    const lost = performance.now()
    const timer = setInterval(() => {
      if (this.#engine.isReady) this.#port.say({ type: 'state', isReady: true })
      else if (performance.now() - lost > PATIENCE_MS) this.#port.close()
      else return
      clearInterval(timer)
    }, LOOK_MS)
    timer.unref()
  }

  async #close(): Promise<void> {
    await this.#engine.close()
    this.#port.close()
  }

  #complete(batch: SentBatch): Batch {
    if (batch.program !== undefined) this.#programs.set(batch.programKey, batch.program)
    return { ...batch, program: this.#programs.get(batch.programKey)! }
  }
}

/** All arrays of a result, without duplicates. */
export function arraysOf({ values, denominators = values, gradients }: SentResult): BatchResult['values'][] {
  return [...new Set([values, denominators, ...Object.values(gradients)])]
}
