/**
 * Dynamic micro-batching: decides when jobs run. A job that the engine can compute almost instantly never waits; the
 * others are queued and share launches.
 */
import { type BatchResult, type Engine, EngineLost, OutOfMemory } from '../engines/contract.ts'
import { Problem, pluralize } from '../errors.ts'
import { elementsOf, layoutOf } from '../language/ir.ts'
import { Admission, type Refusal } from './admission.ts'
import { assemble, split } from './assemble.ts'
import { CostModel } from './cost-model.ts'
import { createEventLoopYield, type EventLoopYield } from './event-loop-yield.ts'
import type { BatcherEvents } from './events.ts'
import type { Job, JobResult, JobSlice } from './job.ts'
import { type Level, LoadLevel } from './load-level.ts'
import { type Depth, JobQueue } from './queue.ts'

export interface BatcherLimits {
  readonly queueJobs: number
  readonly queueElements: number
  readonly queueBytes: number
  readonly batchElements: number
  readonly batchBytes: number
  /** How long a job may wait for others although the engine is free; 0: not at all. */
  readonly maxDelayMs: number
}

export interface BatcherOptions {
  readonly engine: Engine
  readonly events: BatcherEvents
  readonly limits: BatcherLimits
  /** Default: an instance of its own. */
  readonly turns?: EventLoopYield
  /** Default: an instance of its own. */
  readonly load?: LoadLevel
}

export interface Batcher {
  /**
   * The result of a job that can be computed almost instantly; undefined for any other job. Its arrays are valid
   * until the next call.
   */
  now(job: Job): JobResult | undefined
  /**
   * Computes a job, passes its result to `read`, and returns what `read` returns. The arrays of the result may be
   * the engine's own memory: they are valid only while `read` runs.
   *
   * @throws Problem (rejects) `overloaded`, `draining`, `deadline-exceeded`, `engine-lost`; `Cancelled` when the
   * job's signal aborts; whatever `read` throws
   */
  submit(job: Job): Promise<JobResult>
  submit<T>(job: Job, read: (result: JobResult) => T): Promise<T>
  /**
   * Lets a request through that may be answered in time, by what others that looked the same have cost. Reading and decoding a body
   * only to refuse it would take the time in which another could be answered.
   *
   * @throws Problem `overloaded`
   */
  admit(request: Pick<Job, 'announced' | 'sender' | 'deadline'>): void
  /** For other large pieces of work on the event loop. */
  readonly turns: EventLoopYield
  depth(): Depth
  /** How loaded the service is. */
  readonly level: Level
  /**
   * The refusal of a request that would be late.
   *
   * @param lateMs by how much
   */
  overloaded(lateMs: number): Problem
  /** Rejects new jobs from now on, and resolves when nothing is queued or running any more. */
  drain(): Promise<void>
}

/** The client has disconnected; nobody handles this rejection. */
export class Cancelled extends Error {
  override readonly name = 'Cancelled'
}

/** How many batches the engine gets at once by default: one that runs, and one that is ready to follow it. */
const AHEAD = 2

/**
 * There is no batching timer. When the engine is free, whatever is queued runs; while it runs, new jobs collect into
 * the next batch. One batch is handed over in advance, so that the engine is never idle. Nobody waits for ever: a full
 * queue rejects requests at once (load shedding), deadlines also apply in the queue, and jobs of disconnected clients
 * are dropped.
 */
export function createBatcher(options: BatcherOptions): Batcher {
  return new EventDrivenBatcher(options)
}

/** Before its body is read, a request takes no room. */
const NO_SIZE = { elements: 0, bytes: 0 } as const

interface Waiting {
  readonly job: Job
  /** Milliseconds of the engine. */
  readonly cost: number
  readonly since: number
  /** Both settle the job once; later calls do nothing. */
  readonly deliver: (result: JobResult) => void
  readonly reject: (error: Error) => void
}

class EventDrivenBatcher implements Batcher {
  readonly #engine: Engine
  readonly #events: BatcherEvents
  readonly #limits: BatcherLimits
  readonly #queue: JobQueue<Waiting>
  readonly turns: EventLoopYield
  #running = 0
  #scheduled = false
  #draining = false
  #drained: (() => void)[] = []
  readonly #costs: CostModel
  readonly #admission: Admission
  readonly #load: LoadLevel
  /** Whether a deadline has passed in the queue since it was empty: it stands too long. */
  #stands = false
  /** When it was searched last for jobs that would be late. */
  #searched = Number.NEGATIVE_INFINITY
  /** The cost of what runs. */
  #runningCost = 0

  constructor(options: BatcherOptions) {
    const { engine, events, limits, turns = createEventLoopYield(), load = new LoadLevel() } = options
    this.#engine = engine
    this.#costs = new CostModel(engine.width ?? AHEAD)
    this.#admission = new Admission(this.#costs)
    this.#load = load
    this.#events = events
    this.#limits = limits
    this.turns = turns
    this.#queue = new JobQueue({
      jobs: limits.queueJobs,
      elements: limits.queueElements,
      bytes: limits.queueBytes,
    })
  }

  async submit<T = JobResult>(
    job: Job,
    read: (result: JobResult) => T = (result) => result as T,
  ): Promise<T> {
    if (this.#draining)
      throw this.#shed('draining', new Problem('draining', 'no new requests are accepted', { retryAfter: 1 }))
    if (job.values === 0) return read(emptyResult(job))
    const result = this.now(job)
    if (result !== undefined) return read(result)
    const cost = this.#costs.costOf(job)
    const refusal = this.#refusal(job, cost)
    if (refusal !== undefined) throw refusal
    return new Promise((resolve, reject) => {
      const deliver = (found: JobResult) => {
        try {
          resolve(read(found))
        } catch (error) {
          reject(error)
        }
      }
      this.#enqueue(job, cost, deliver, reject)
    })
  }

  now(job: Job): JobResult | undefined {
    if (this.#draining || job.values === 0) return undefined
    const started = performance.now()
    const result = this.#engine.runNow?.(assemble([job]))
    if (result === undefined) return undefined
    const { values, denominators, gradients, scale, computeMs, engine } = result
    this.#events.ran({ loss: job.loss, engine, jobs: 1, elements: job.elements, computeMs, queueMs: NO_WAIT })
    const queueMs = Math.max(0, performance.now() - started - computeMs)
    const timing = { queueMs, computeMs, batchJobs: 1, engine }
    return { values, denominators, gradients, scale, timing, hold: CANNOT }
  }

  depth(): Depth {
    return this.#queue.depth
  }

  drain(): Promise<void> {
    this.#draining = true
    return new Promise((resolve) => {
      this.#drained.push(resolve)
      this.#checkDrained()
    })
  }

  get level(): Level {
    return this.#load.level
  }

  admit({ announced, sender, deadline }: Pick<Job, 'announced' | 'sender' | 'deadline'>) {
    if (this.#queue.depth.jobs === 0) return
    const cost = announced && this.#costs.expected(announced)
    if (cost === undefined) return
    const refusal = this.#verdict({ ...NO_SIZE, sender, deadline }, cost)
    if (refusal !== undefined) throw refusal
  }

  #refusal(job: Job, cost: number): Error | undefined {
    if (job.announced !== undefined) this.#costs.learn(job.announced, cost)
    if (job.signal?.().aborted) return this.#shed('cancelled', new Cancelled('the client disconnected'))
    return this.#verdict(job, cost)
  }

  /** Whether there is no room for a job, or it would be late. */
  #verdict(job: Pick<Job, 'elements' | 'bytes' | 'sender' | 'deadline'>, cost: number): Problem | undefined {
    if (this.#queue.isFullFor(job)) return this.#refuse(this.#admission.full(cost, this.#costOfAll()))
    const before =
      this.#queue.depth.jobs === 0 ? 0 : this.#queue.costBefore(cost, job.sender) + this.#runningCost
    const refusal = this.#admission.judge(job, cost, before)
    return refusal && this.#refuse(refusal, LATE)
  }

  #refuse({ retryAfter }: Refusal, why = ''): Problem {
    const { jobs, elements } = this.#queue.depth
    const waiting = `${pluralize(jobs, 'requests')} with ${pluralize(elements, 'elements')}`
    const detail = `${why}${waiting} ${jobs === 1 ? 'is' : 'are'} already queued`
    this.#load.refused()
    return this.#shed('overloaded', new Problem('overloaded', detail, { retryAfter }))
  }

  overloaded(lateMs: number): Problem {
    this.#load.refused()
    const detail = `the answer would come after the deadline: ${pluralize(this.turns.waiting, 'large requests')} wait before it`
    return this.#shed(
      'overloaded',
      new Problem('overloaded', detail, { retryAfter: this.#admission.later(lateMs) }),
    )
  }

  #costOfAll(): number {
    return this.#queue.cost + this.#runningCost
  }

  #enqueue(job: Job, cost: number, deliver: (result: JobResult) => void, reject: (error: Error) => void) {
    let settled = false
    const once = (settle: () => void) => {
      if (settled) return
      settled = true
      release()
      settle()
    }
    const release = this.#watch(job, (reason, error) => {
      if (this.#queue.remove(waiting)) {
        this.#countQueued()
        if (reason === 'deadline') this.#stands = true
      }
      waiting.reject(this.#shed(reason, error))
    })
    const waiting: Waiting = {
      job,
      cost,
      since: performance.now(),
      deliver: (result) => once(() => deliver(result)),
      reject: (error) => once(() => reject(error)),
    }
    this.#queue.add(waiting)
    this.#countQueued()
    this.#schedule()
  }

  /**
   * The queue stands so long that deadlines pass in it (CoDel). Those that would be late in any case are refused now, because otherwise
   * each would be computed just too late, and nobody would be answered in time.
   */
  #refuseLate() {
    const now = performance.now()
    if (!this.#costs.isSure || now - this.#searched < SEARCH_MS) return
    this.#searched = now
    let before = this.#runningCost
    for (const waiting of [...this.#queue]) {
      const refusal = this.#admission.judge(waiting.job, waiting.cost, before, NO_SAFETY)
      if (refusal === undefined) before += waiting.cost
      else if (this.#queue.remove(waiting)) waiting.reject(this.#refuse(refusal, LATE))
    }
    this.#countQueued()
  }

  #countQueued() {
    const { depth } = this.#queue
    this.#events.queued(depth)
    this.#load.queued('jobs', depth.jobs)
    if (depth.jobs === 0) this.#stands = false
  }

  /**
   * Gives up on a job, queued or running, when its client disconnects or its deadline passes.
   *
   * @returns a function that stops watching
   */
  #watch(job: Job, giveUp: (reason: 'cancelled' | 'deadline', error: Error) => void): () => void {
    const leave = () => giveUp('cancelled', new Cancelled('the client disconnected'))
    const expire = () =>
      giveUp('deadline', new Problem('deadline-exceeded', 'the deadline passed before the result was ready'))
    const timer =
      // From version 22 on, Node warns about negative delays.
      job.deadline === undefined
        ? undefined
        : setTimeout(expire, Math.max(0, job.deadline - performance.now()))
    const signal = job.signal?.()
    signal?.addEventListener('abort', leave, { once: true })
    return () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', leave)
    }
  }

  /** Not immediately, so that requests that arrive in the same event loop iteration share a launch. */
  #schedule() {
    if (this.#scheduled) return
    this.#scheduled = true
    const pump = () => {
      this.#scheduled = false
      this.#pump()
    }
    const isEnough = this.#queue.depth.elements >= this.#limits.batchElements
    if (this.#limits.maxDelayMs > 0 && !isEnough) setTimeout(pump, this.#limits.maxDelayMs)
    else setImmediate(pump)
  }

  #pump() {
    const { batchElements, batchBytes } = this.#limits
    while (this.#running < (this.#engine.width ?? AHEAD)) {
      const budget = { elements: batchElements, bytes: batchBytes }
      if (this.#stands) this.#refuseLate()
      // As long as nothing is known about how long those before them take, the newest have the best chance to be in time.
      const taken = this.#queue.take(budget, this.#stands && !this.#costs.isSure)
      if (taken.length === 0) break
      this.#countQueued()
      void this.#launch(taken)
    }
    this.#checkDrained()
  }

  async #launch(batch: readonly Waiting[]) {
    const cost = batch.reduce((sum, waiting) => sum + waiting.cost, 0)
    this.#running++
    this.#runningCost += cost
    await this.#run(batch)
    this.#running--
    this.#runningCost -= cost
    this.#costs.completed(cost, this.#queue.depth.jobs > 0)
    this.#pump()
  }

  /** A failing job never harms the others: if a shared launch fails, each of its jobs is launched alone. */
  async #run(batch: readonly Waiting[]): Promise<void> {
    const started = performance.now()
    const bytes = batch.reduce((total, { job }) => total + job.bytes, 0)
    try {
      // Copying the inputs and reading the results are separate pieces of work on the event loop.
      const { sender } = batch[0].job
      const piece = (kind: string) => ({ bytes, kind, sender })
      const result = await this.turns.run(piece('launch'), () =>
        this.#engine.run(assemble(batch.map(({ job }) => job) as [Job, ...Job[]])),
      )
      await this.turns.run(piece('deliver'), () => this.#deliver(batch, result, started))
    } catch (error) {
      if (error instanceof EngineLost) return this.#lose(batch)
      if (error instanceof OutOfMemory && batch.length === 1) return batch[0].reject(this.#noMemory(error))
      if (batch.length === 1) return batch[0].reject(error as Error)
      for (const waiting of batch) await this.#run([waiting])
    }
  }

  #deliver(batch: readonly Waiting[], result: BatchResult, started: number) {
    const shares = split(
      batch.map(({ job }) => job),
      result,
    )
    const { hold, release } = holding(result)
    batch.forEach((waiting, place) => {
      const timing = timingOf(waiting, batch.length, result, started)
      waiting.deliver({ ...shares[place], timing, ...(hold === undefined ? {} : { hold }) })
    })
    release()
    this.#report(batch, result, started)
  }

  #noMemory({ message }: OutOfMemory): Problem {
    const { retryAfter } = this.#admission.full(0, this.#costOfAll())
    return this.#shed('memory', new Problem('out-of-memory', message, { retryAfter }))
  }

  #report(batch: readonly Waiting[], { engine, computeMs }: BatchResult, started: number) {
    const elements = batch.reduce((total, { job }) => total + job.elements, 0)
    this.#costs.ran(
      batch.map(({ job }) => job),
      computeMs,
    )
    const queueMs = batch.map(({ since }) => started - since)
    this.#events.ran({ loss: batch[0].job.loss, engine, jobs: batch.length, elements, computeMs, queueMs })
  }

  #lose(batch: readonly Waiting[]) {
    for (const { reject } of batch) {
      const problem = new Problem('engine-lost', 'the engine was lost while it computed this request', {
        retryAfter: 1,
      })
      reject(this.#shed('engine-lost', problem))
    }
  }

  #shed<E extends Error>(reason: Parameters<BatcherEvents['shed']>[0], error: E): E {
    this.#events.shed(reason)
    return error
  }

  #checkDrained() {
    if (!this.#draining || this.#running > 0 || this.#queue.depth.jobs > 0) return
    for (const resolve of this.#drained.splice(0)) resolve()
  }
}

/** How often the queue is searched for jobs that would be late, at most, in ms. */
const SEARCH_MS = 50

/** What was accepted stays, unless it is certainly late. */
const NO_SAFETY = 1

const LATE = 'the answer would come after the deadline: '

const NO_WAIT = [0]

/** The arrays of an immediate result are valid until the next call and cannot be kept longer. */
const CANNOT = () => undefined

/** Reference counting: the last reader of a result releases its memory. */
function holding({ keep, release }: BatchResult): { hold: JobResult['hold']; release: () => void } {
  if (release === undefined) return { hold: undefined, release: () => {} }
  let readers = 1
  const leave = () => {
    readers--
    if (readers === 0) release()
  }
  const hold = () => {
    if (keep?.() !== true) return undefined
    readers++
    return leave
  }
  return { hold, release: leave }
}

function timingOf(
  { since }: Waiting,
  batchJobs: number,
  { computeMs, engine }: BatchResult,
  started: number,
) {
  return { queueMs: started - since, computeMs, batchJobs, engine }
}

/** The result of a job without rows: no values, and empty gradients. */
function emptyResult(job: Job): JobResult {
  const Floats = job.precision === 'float64' ? Float64Array : Float32Array
  // An input that all rows share has a gradient of zeros.
  const gradients = Object.keys(job.program.gradients).map((name) => {
    return [name, new Floats(elementsOf(layoutOf(job.program, name), job.sizes))] as const
  })
  const empty: JobSlice = { values: new Floats(0), gradients: Object.fromEntries(gradients) }
  return { ...empty, timing: { queueMs: 0, computeMs: 0, batchJobs: 0, engine: 'none' } }
}
