/**
 * Evaluations as jobs: kept in the store, done one after the other on threads of their own, and gone on with by whoever is
 * left when a process dies.
 */
import { createHash, randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import type { Worker } from 'node:worker_threads'
import { spawn } from '../engines/spawn-worker-thread.ts'
import { cut, Problem } from '../errors.ts'
import { type ClaimedJob, type JobStore, StoreDown, type StoredJob } from '../store/contract.ts'
import type { DataFile } from './database.ts'
import { findDatasets } from './datasets.ts'
import type { Progress } from './evaluate.ts'
import { EvaluationFailed, errorOf } from './failure.ts'
import type { ThreadMessage, ThreadTask } from './job-thread.ts'
import type { EvaluationRequest } from './request.ts'
import type { Costs } from './road.ts'
import { type Uploads, unknownDataset } from './uploads.ts'

/** Files below the folder of the datasets, or datasets that the owner of the job has uploaded. */
export type JobSource = { readonly path: string } | { readonly dataset: string | readonly string[] }

/** What a job is asked to do. */
export interface JobRequest extends EvaluationRequest {
  readonly source: JobSource
}

/** As the store keeps it. */
interface KeptRequest extends JobRequest {
  /** Of what the owner said. Jobs of earlier versions have none. */
  readonly fingerprint?: string
}

/** Why a job failed. */
export interface JobFailure {
  /** A code of a problem, a reason of an evaluation, or `internal`. */
  readonly code: string
  readonly detail: string
}

export interface JobsOptions {
  readonly store: JobStore
  /** The folder with the datasets. */
  readonly folder: string
  readonly threads: number
  readonly log: {
    error(details: object, message: string): void
    info(details: object, message: string): void
  }
  /** What callers have uploaded. */
  readonly uploads?: Uploads | undefined
  /** How long nobody else takes a job whose worker is not heard of, in ms. Default: 10 s. */
  readonly leaseMs?: number
  /** How often checkpoints are made at most, in ms. Default: 3 s. */
  readonly checkpointMs?: number
}

/** How often a job is reported to the store, and how often jobs of other processes are looked for. */
const REPORT_MS = 500
const LOOK_MS = 2000
const LEASE_MS = 10_000
const CHECKPOINT_MS = 3000
/** Counts up where sums of rows mean something else than before: jobs then begin anew. */
const CHECKPOINT_FORM = 2

export class Jobs {
  readonly #options: JobsOptions
  readonly #worker = randomUUID()
  #closed = false
  #running: AbortController | undefined
  #wake: () => void = () => {}
  #done: Promise<void> | undefined

  constructor(options: JobsOptions) {
    this.#options = options
  }

  /** Begins to work on jobs. */
  start(): void {
    this.#done ??= this.#work()
  }

  /**
   * @param owner who asks
   * @param said the request as the owner said it: a name in it may mean another loss by the time that it is sent again
   * @throws Problem `idempotency-key-reused` if the owner has used the key for another request
   */
  async add(
    request: JobRequest,
    owner: string | null,
    idempotencyKey: string | null,
    said: object = request,
  ): Promise<{ readonly job: StoredJob; readonly isNew: boolean }> {
    const kept: KeptRequest = { ...request, fingerprint: fingerprintOf(said) }
    const added = await this.#options.store.addJob({
      id: randomUUID(),
      owner,
      request: JSON.stringify(kept),
      idempotencyKey,
    })
    if (!added.isNew) checkIsSame(added.job, kept)
    this.#wake()
    return added
  }

  /** @throws Problem if there are no such files */
  async filesOf(source: JobSource, owner: string | null): Promise<DataFile[]> {
    if ('path' in source) return findDatasets(this.#options.folder, source.path)
    const ids = [source.dataset].flat()
    const { uploads } = this.#options
    if (uploads === undefined) throw unknownDataset(ids[0])
    return Promise.all(ids.map((id) => uploads.fileOf(owner, id)))
  }

  find(id: string): Promise<StoredJob | undefined> {
    return this.#options.store.findJob(id)
  }

  /** The worker learns of it with its next report. */
  cancel(id: string): Promise<boolean> {
    return this.#options.store.cancelJob(id)
  }

  /** Stops working. The job that is not done is left to others, with its checkpoint. */
  async close(): Promise<void> {
    this.#closed = true
    this.#running?.abort(new Closing())
    this.#wake()
    await this.#done
  }

  async #work() {
    while (!this.#closed) {
      const job = await this.#claim()
      if (job !== undefined) await this.#do(job)
      else await this.#pause()
    }
  }

  async #claim(): Promise<ClaimedJob | undefined> {
    try {
      return await this.#options.store.claimJob(this.#lease())
    } catch (error) {
      if (!(error instanceof StoreDown)) this.#options.log.error({ err: error }, 'a job could not be taken')
      return undefined
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, LOOK_MS)
      timer.unref()
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #lease(leaseMs = this.#options.leaseMs ?? LEASE_MS) {
    const now = Date.now()
    return { worker: this.#worker, now, until: now + leaseMs }
  }

  async #do(job: ClaimedJob) {
    const running = new AbortController()
    this.#running = running
    const reporter = new Reporter(job, running, (progress, leaseMs) =>
      this.#options.store.keepJob(job.id, this.#lease(leaseMs), progress),
    )
    try {
      const result = await this.#evaluate(job, reporter, running.signal)
      await reporter.stop()
      await this.#options.store.endJob(job.id, this.#worker, { state: 'done', ...result })
    } catch (error) {
      await reporter.stop()
      await this.#fail(job, reporter, error).catch(() => {})
    } finally {
      this.#running = undefined
    }
  }

  async #fail(job: ClaimedJob, reporter: Reporter, error: unknown) {
    // Without a store, the job is taken again when its lease ends.
    if (error instanceof Lost || error instanceof StoreDown) return
    if (error instanceof Closing) return void (await reporter.report(0))
    const failure = jobFailureOf(error)
    if (failure.code === 'internal') this.#options.log.error({ err: error, job: job.id }, 'a job failed')
    await this.#options.store.endJob(job.id, this.#worker, {
      state: 'failed',
      error: JSON.stringify(failure),
    })
  }

  /** On a thread of its own. */
  async #evaluate(job: ClaimedJob, reporter: Reporter, signal: AbortSignal): Promise<Done> {
    const { threads, checkpointMs = CHECKPOINT_MS } = this.#options
    const request = JSON.parse(job.request) as JobRequest
    const files = await this.filesOf(request.source, job.owner)
    const identity = identityOf(files)
    const { checkpoint } = job
    const stopped = new Int32Array(new SharedArrayBuffer(4))
    const task: ThreadTask = { request, files, identity, checkpoint, threads, checkpointMs, stopped }
    const thread = spawn(new URL('./job-thread', import.meta.url), task)
    const exited = new Promise((resolve) => thread.once('exit', resolve))
    try {
      const onMeasured = (costs: Costs) =>
        this.#options.log.info({ job: job.id, ns_per_row: costs }, 'the road of a job was measured')
      return await doneBy(thread, reporter, signal, onMeasured)
    } finally {
      Atomics.store(stopped, 0, 1)
      thread.postMessage('stop')
      await exited
    }
  }
}

interface Done {
  /** As JSON. */
  readonly result: string
  readonly rows: number
}

function doneBy(
  thread: Worker,
  reporter: Reporter,
  signal: AbortSignal,
  onMeasured: (costs: Costs) => void,
): Promise<Done> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    thread.on('error', reject)
    thread.on('exit', () => reject(new Error('the thread of an evaluation has ended')))
    thread.on('message', (message: ThreadMessage) => {
      if ('measured' in message) onMeasured(message.measured)
      if ('progress' in message) reporter.tell(message.progress)
      else if ('checkpoint' in message) reporter.offer(message.checkpoint)
      else if ('failed' in message) reject(errorOf(message.failed))
      else resolve(message)
    })
  })
}

/** The service shuts down. */
class Closing extends Error {}
/** The job is no longer this worker's. */
class Lost extends Error {}

type Keep = (
  progress: { rows: number; total: number | null; checkpoint?: string | undefined },
  leaseMs?: number,
) => Promise<boolean>

/** Reports a job to the store now and then, one report after the other. */
class Reporter {
  readonly #running: AbortController
  readonly #keep: Keep
  readonly #timer: NodeJS.Timeout
  #progress: { rows: number; total: number | null }
  #offered: string | undefined
  #last: Promise<unknown> = Promise.resolve()
  #isBusy = false

  constructor({ rows, total }: ClaimedJob, running: AbortController, keep: Keep) {
    this.#progress = { rows, total }
    this.#running = running
    this.#keep = keep
    this.#timer = setInterval(() => this.#reportUnlessBusy(), REPORT_MS)
  }

  tell({ rows, total }: Progress): void {
    this.#progress = { rows, total: total ?? null }
  }

  /** The latest checkpoint, which goes with the next report. */
  offer(checkpoint: string): void {
    this.#offered = checkpoint
  }

  async report(leaseMs?: number): Promise<void> {
    const checkpoint = this.#offered
    this.#offered = undefined
    if (!(await this.#keep({ ...this.#progress, checkpoint }, leaseMs))) this.#running.abort(new Lost())
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#last
  }

  #reportUnlessBusy() {
    if (this.#isBusy) return
    this.#isBusy = true
    // While the store is down, the work goes on: whether the job is still ours is decided at its end.
    this.#last = this.report()
      .catch(() => {})
      .finally(() => {
        this.#isBusy = false
      })
  }
}

function checkIsSame({ request, idempotencyKey }: StoredJob, { fingerprint }: KeptRequest) {
  const known = (JSON.parse(request) as KeptRequest).fingerprint
  if (known === undefined || known === fingerprint) return
  const key = JSON.stringify(cut(idempotencyKey ?? ''))
  throw new Problem(
    'idempotency-key-reused',
    `the Idempotency-Key ${key} was used for another evaluation; a new evaluation needs a new key`,
  )
}

/** The same for equal JSON, in whatever order its members are. */
function fingerprintOf(said: object): string {
  const text = JSON.stringify(said, (_, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )
  return createHash('sha256').update(text).digest('hex')
}

function jobFailureOf(error: unknown): JobFailure {
  if (error instanceof Problem) return { code: error.code, detail: error.message }
  if (error instanceof EvaluationFailed) return { code: error.reason, detail: error.message }
  return { code: 'internal', detail: 'the evaluation failed; the log of the service says why' }
}

/** Files that have changed are other files: then everything begins anew. */
function identityOf(files: readonly DataFile[]): string {
  const all = files.map(({ name, path }) => {
    const stats = statSync(path, { throwIfNoEntry: false })
    if (stats === undefined)
      throw new EvaluationFailed('unreadable-data', `${name}: there is no such file any more`)
    const { size, mtimeMs } = stats
    return [name, size, mtimeMs]
  })
  return JSON.stringify([CHECKPOINT_FORM, ...all])
}
