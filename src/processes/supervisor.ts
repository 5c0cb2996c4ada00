/**
 * The parent of several processes that serve one port. It accepts connections and hands them over, starts workers again when they
 * crash or hang, replaces them one after the other, and ends them. It computes nothing and reads no request, so nothing that a
 * request does can take it down.
 */
import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Backoff } from '../backoff.ts'
import { WorkerProcess } from './child.ts'
import { Dispatcher } from './dispatcher.ts'
import { Gathering } from './gathering.ts'
import type { ToParent, WorkerInfo } from './messages.ts'
import { MeterHub } from './meter-hub.ts'

export interface SupervisorLog {
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}

export interface SupervisorOptions {
  readonly count: number
  /** With a GPU that is not shared, one process is enough: each would open the device, and batches would not form across processes. */
  readonly isOneForGpu: boolean
  readonly maxConnections: number
  /** Starts a worker. Its message channel must be open. */
  readonly fork: (place: number) => ChildProcess
  /** How long a worker may take to end, in ms. */
  readonly endMs: number
  readonly log: SupervisorLog
}

/** Between a crash and the next start, in ms. */
const RESTART = { first: 100, most: 10_000 } as const
/** A worker that has served this long was not restarted in vain. */
const STABLE_MS = 30_000
/** How often workers are asked whether they run, in ms. */
const PULSE_MS = 1000
/** A worker that has not answered so many times in a row hangs. A long request holds the event loop for less than a second. */
const MOST_UNANSWERED = 30

/** The workers of one place, one after the other. */
interface Place {
  worker: WorkerProcess
  readonly backoff: Backoff
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #dispatcher: Dispatcher
  readonly #gathering = new Gathering<WorkerProcess>()
  readonly #meters = new MeterHub()
  readonly #places: Place[] = []
  /** All that run, including those that are being replaced. */
  readonly #running = new Set<WorkerProcess>()
  #isClosing = false
  #reloading: Promise<void> | undefined
  #reloadsAgain = false
  #pulse: NodeJS.Timeout | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#dispatcher = new Dispatcher(options.maxConnections)
  }

  /** Workers that serve. */
  get serving(): number {
    return [...this.#running].filter(({ isServing }) => isServing).length
  }

  /**
   * Starts all workers.
   *
   * @returns what the first one says of itself
   * @throws Error if one of them cannot start
   */
  async start(): Promise<WorkerInfo> {
    const { count, isOneForGpu, log } = this.#options
    const info = await this.#occupy(0)
    if (isOneForGpu && info.isGpu && count > 1) {
      log.info({ device: info.device }, 'one process, because all of them would share one GPU')
    } else {
      await Promise.all(Array.from({ length: count - 1 }, (_, i) => this.#occupy(i + 1)))
    }
    this.#pulse = setInterval(() => this.#beat(), PULSE_MS).unref()
    return info
  }

  /** A connection that was accepted, and not read from. */
  accept(connection: Socket) {
    this.#dispatcher.accept(connection)
  }

  /**
   * Replaces one worker after the other. The old one serves until the new one can, so that there are never fewer. If a new one cannot
   * start, the old ones stay.
   */
  reload(): Promise<void> {
    if (this.#reloading !== undefined) {
      this.#reloadsAgain = true
      return this.#reloading
    }
    this.#reloading = this.#reloadAll().finally(() => {
      this.#reloading = undefined
    })
    return this.#reloading
  }

  /** Readiness turns off. */
  beginClosing() {
    for (const worker of this.#running) worker.send({ kind: 'unready' })
  }

  /**
   * Ends all workers. Nothing may be accepted any more.
   *
   * @returns whether all of them answered everything that they had accepted
   */
  async close(why: string): Promise<boolean> {
    this.#isClosing = true
    clearInterval(this.#pulse)
    // A worker that has been told to close tells its clients the same, which would then find nobody that listens.
    await Promise.race([this.#dispatcher.empty(), sleep(PULSE_MS)])
    this.#dispatcher.close()
    const ends = [...this.#running].map((worker) => this.#end(worker, why))
    return (await Promise.all(ends)).every((how) => how === 0)
  }

  /** Ends all workers at once. */
  kill() {
    this.#isClosing = true
    for (const worker of this.#running) worker.kill()
  }

  async #occupy(place: number): Promise<WorkerInfo> {
    const worker = this.#fork(place)
    this.#places[place] = { worker, backoff: new Backoff(RESTART) }
    return worker.ready
  }

  #fork(place: number): WorkerProcess {
    const worker = new WorkerProcess(place, this.#options.fork(place), {
      message: (from, message) => this.#receive(from, message),
      ended: (from, how) => this.#ended(from, how),
    })
    this.#running.add(worker)
    this.#meters.enter(worker)
    return worker
  }

  #receive(worker: WorkerProcess, message: ToParent) {
    switch (message.kind) {
      case 'ready':
        return this.#dispatcher.add(worker)
      case 'took':
        return this.#dispatcher.took(worker, message.open)
      case 'pulse':
        worker.unanswered = 0
        return this.#dispatcher.counted(worker, message.open)
      case 'leaving':
        worker.isLeaving = true
        return this.#dispatcher.retire(worker)
      case 'gather':
        return void this.#gather(worker, message.id, message.topic)
      case 'part':
        return this.#gathering.give(worker, message.id, message.part)
      case 'joined':
        return this.#meters.join(worker, message.joined)
      case 'spent':
        return this.#meters.spend(worker, message.spent)
    }
  }

  async #gather(from: WorkerProcess, id: number, topic: string) {
    const asked = [...this.#running].filter(({ isServing }) => isServing)
    // Whoever asks may be about to end, and still has a part.
    if (!asked.includes(from)) asked.push(from)
    const parts = await this.#gathering.gather(asked, (worker, question) => {
      worker.send({ kind: 'give', id: question, topic })
    })
    from.send({ kind: 'gathered', id, parts })
  }

  #ended(worker: WorkerProcess, how: number | string) {
    this.#running.delete(worker)
    this.#dispatcher.remove(worker)
    this.#gathering.leave(worker)
    this.#meters.leave(worker)
    const place = this.#places[worker.place]
    // One that was replaced, or that has never served while the service starts.
    if (this.#isClosing || place?.worker !== worker || this.#pulse === undefined) return
    void this.#restart(place, how)
  }

  async #restart(place: Place, how: number | string) {
    const { worker, backoff } = place
    const { log } = this.#options
    if (performance.now() - worker.started > STABLE_MS) backoff.reset()
    const ms = backoff.next()
    log.error({ process: worker.place + 1, pid: worker.pid, how, ms }, 'a process ended; restarting')
    await sleep(ms)
    while (!this.#isClosing && place.worker === worker) {
      const why = this.#forkInto(place)
      if (why === undefined) return
      const ms = backoff.next()
      log.error({ process: worker.place + 1, why, ms }, 'a process cannot be started; trying again')
      await sleep(ms)
    }
  }

  /**
   * Without memory or file descriptors, a process cannot even be forked. That must not end the others.
   *
   * @returns why it failed
   */
  #forkInto(place: Place): string | undefined {
    try {
      place.worker = this.#fork(place.worker.place)
      return undefined
    } catch (error) {
      return (error as Error).message
    }
  }

  async #reloadAll() {
    do {
      this.#reloadsAgain = false
      for (const place of this.#places) if (!this.#isClosing && !(await this.#replace(place))) return
    } while (this.#reloadsAgain && !this.#isClosing)
  }

  /** @returns whether the new one serves */
  async #replace(place: Place): Promise<boolean> {
    const { log } = this.#options
    let next: WorkerProcess | undefined
    try {
      next = this.#fork(place.worker.place)
      await next.ready
    } catch (error) {
      const why = (error as Error).message
      log.error({ why }, 'the reload has stopped, because a new process cannot start; the earlier ones stay')
      next?.kill()
      return false
    }
    // Not the one of before: it may have crashed and been started again.
    const before = place.worker
    place.worker = next
    await this.#end(before, 'replaced')
    log.info({ process: next.place + 1, pid: next.pid }, 'replaced a process')
    return true
  }

  /** Tells a worker to end, and waits for it. */
  async #end(worker: WorkerProcess, why: string): Promise<number | string> {
    this.#dispatcher.retire(worker)
    worker.close(why)
    const limit = setTimeout(() => worker.kill(), this.#options.endMs)
    const how = await worker.ended
    clearTimeout(limit)
    return how
  }

  #beat() {
    for (const worker of this.#running) {
      if (worker.unanswered >= MOST_UNANSWERED) {
        this.#options.log.error({ process: worker.place + 1, pid: worker.pid }, 'a process hangs; killing it')
        worker.kill()
      }
      // While it starts, it has other things to do.
      if (worker.isServing) worker.unanswered++
      worker.send({ kind: 'pulse' })
    }
  }
}
