/**
 * Evaluations as jobs: kept in the store, done one after the other on threads of their own, and gone on with by whoever is
 * left when a process dies.
 */
import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { deserialize, serialize } from 'node:v8'
import { deflateSync, inflateSync } from 'node:zlib'
import { Problem } from '../errors.ts'
import type { Evaluation } from '../evaluation/result.ts'
import type { Catalog } from '../losses/catalog.ts'
import { type ClaimedJob, type JobStore, StoreDown, type StoredJob } from '../store/contract.ts'
import type { DataFile } from './database.ts'
import { findDatasets } from './datasets.ts'
import { type Checkpoint, evaluate, type Progress } from './evaluate.ts'
import { EvaluationFailed } from './failure.ts'
import type { EvaluationRequest } from './request.ts'

/** What a job is asked to do. */
export interface JobRequest extends EvaluationRequest {
  readonly source: { readonly path: string }
}

/** Why a job failed. */
export interface JobFailure {
  /** A code of a problem, a reason of an evaluation, or `internal`. */
  readonly code: string
  readonly detail: string
}

export interface JobsOptions {
  readonly store: JobStore
  readonly catalog: Catalog
  /** The folder with the datasets. */
  readonly folder: string
  readonly threads: number
  readonly log: { error(details: object, message: string): void }
  /** How long nobody else takes a job whose worker is not heard of, in ms. Default: 10 s. */
  readonly leaseMs?: number
}

/** How often a job is reported to the store, and how often jobs of other processes are looked for. */
const REPORT_MS = 500
const LOOK_MS = 2000
const LEASE_MS = 10_000

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

  /** @param owner who asks */
  async add(
    request: JobRequest,
    owner: string | null,
    idempotencyKey: string | null,
  ): Promise<{ readonly job: StoredJob; readonly isNew: boolean }> {
    const id = randomUUID()
    const added = await this.#options.store.addJob({
      id,
      owner,
      request: JSON.stringify(request),
      idempotencyKey,
    })
    this.#wake()
    return added
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
      const end = { state: 'done', rows: result.rows, result: JSON.stringify(result) } as const
      await this.#options.store.endJob(job.id, this.#worker, end)
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
    const failure = failureOf(error)
    if (failure.code === 'internal') this.#options.log.error({ err: error, job: job.id }, 'a job failed')
    await this.#options.store.endJob(job.id, this.#worker, {
      state: 'failed',
      error: JSON.stringify(failure),
    })
  }

  #evaluate(job: ClaimedJob, reporter: Reporter, signal: AbortSignal): Promise<Evaluation> {
    const { catalog, folder, threads } = this.#options
    const request = JSON.parse(job.request) as JobRequest
    const files = findDatasets(folder, request.source.path)
    const identity = identityOf(files)
    const known = job.checkpoint === null ? undefined : decoded(job.checkpoint)
    return evaluate(request, files, {
      catalog,
      threads,
      isService: true,
      signal,
      resume: known?.identity === identity ? known.checkpoint : undefined,
      onProgress: (progress) => reporter.tell(progress),
      onCheckpoint: (checkpoint) => reporter.offer(() => encoded({ identity, checkpoint: checkpoint() })),
    })
  }
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
  #offered: (() => string) | undefined
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

  /** The latest checkpoint, which is only made if it is stored. */
  offer(checkpoint: () => string): void {
    this.#offered = checkpoint
  }

  async report(leaseMs?: number): Promise<void> {
    const checkpoint = this.#offered?.()
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

function failureOf(error: unknown): JobFailure {
  if (error instanceof Problem) return { code: error.code, detail: error.message }
  if (error instanceof EvaluationFailed) return { code: error.reason, detail: error.message }
  return { code: 'internal', detail: 'the evaluation failed; the log of the service says why' }
}

interface Kept {
  /** Of the files that it is about. */
  readonly identity: string
  readonly checkpoint: Checkpoint
}

/** Files that have changed are other files: then everything begins anew. */
function identityOf(files: readonly DataFile[]): string {
  const all = files.map(({ name, path }) => {
    const { size, mtimeMs } = statSync(path)
    return [name, size, mtimeMs]
  })
  return JSON.stringify(all)
}

function encoded(kept: Kept): string {
  return deflateSync(serialize(kept), { level: 1 }).toString('base64')
}

/** @returns undefined if it was written by another version of Node or lossd, and cannot be read */
function decoded(text: string): Kept | undefined {
  try {
    return deserialize(inflateSync(Buffer.from(text, 'base64'))) as Kept
  } catch {
    return undefined
  }
}
