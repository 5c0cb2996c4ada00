/**
 * The thread that does a job, so that the thread that serves requests only hears of it: reading, computing, resampling and
 * packing of checkpoints happen here.
 */
import { platform, setPriority } from 'node:os'
import { deserialize, serialize } from 'node:v8'
import { parentPort, workerData } from 'node:worker_threads'
import { deflateSync, inflateSync } from 'node:zlib'
import { loadCatalogFor } from '../losses/load-catalog.ts'
import type { DataFile } from './database.ts'
import { type Checkpoint, type EvaluateOptions, evaluate, type Progress } from './evaluate.ts'
import { failureOf, type ThreadFailure } from './failure.ts'
import type { EvaluationRequest } from './request.ts'
import type { Costs } from './road.ts'

export interface ThreadTask {
  readonly request: EvaluationRequest
  readonly files: readonly DataFile[]
  /** Of the files as they are: a checkpoint of other files is of no use. */
  readonly identity: string
  readonly checkpoint: string | null
  readonly threads: number
  /** How often checkpoints are made at most, in ms. */
  readonly checkpointMs: number
  /** Not 0 once it must stop: replicates are drawn without a look at messages. */
  readonly stopped: Int32Array
}

export type ThreadMessage =
  | { readonly progress: Progress }
  | { readonly checkpoint: string }
  | { readonly measured: Costs; readonly checkpoint: string }
  | { readonly result: string; readonly rows: number }
  | { readonly failed: ThreadFailure }

interface Kept {
  readonly identity: string
  readonly checkpoint: Checkpoint
}

/** As `nice` has it: other threads of the machine come first. */
const PRIORITY = 5
const REPORT_MS = 100
/** Checkpoints take at most this share of the time. */
const SHARE = 0.05

const port = parentPort!
const { request, files, identity, checkpoint, threads, checkpointMs, stopped } = workerData as ThreadTask
const tell = (message: ThreadMessage) => port.postMessage(message)

// Never terminated: DuckDB would take the whole process down if its call returned to a thread that is gone.
const stopping = new AbortController()
port.once('message', () => stopping.abort())

try {
  const catalog = await loadCatalogFor(request.losses.flatMap((ask) => ('loss' in ask ? [ask.loss] : [])))
  // On Linux, this is the priority of this thread and of those that it starts.
  if (platform() === 'linux') setPriority(PRIORITY)
  const answer = await evaluate(request, files, {
    catalog,
    threads,
    signal: stopping.signal,
    goOn: () => {
      if (Atomics.load(stopped, 0) !== 0) stopping.abort()
      stopping.signal.throwIfAborted()
    },
    resume: known(checkpoint),
    // Whoever goes on with the job takes the same road.
    onMeasured: (measured, start) => tell({ measured, checkpoint: packed({ identity, checkpoint: start }) }),
    onProgress: atMostEvery(REPORT_MS, (progress: Progress) => tell({ progress })),
    ...offering(checkpointMs),
  })
  tell({ result: JSON.stringify(answer), rows: answer.rows })
} catch (error) {
  tell({ failed: failureOf(error) })
} finally {
  port.close()
}

function atMostEvery<T>(ms: number, run: (value: T) => void): (value: T) => void {
  let last = 0
  return (value) => {
    if (performance.now() - last < ms) return
    last = performance.now()
    run(value)
  }
}

/** Packs a checkpoint now and then; the longer that takes, the more rarely. */
function offering(ms: number): Pick<EvaluateOptions, 'onCheckpoint' | 'isCheckpointDue'> {
  let next = performance.now() + ms
  const isCheckpointDue = () => performance.now() >= next
  const onCheckpoint = (make: () => Checkpoint) => {
    if (!isCheckpointDue()) return
    const started = performance.now()
    tell({ checkpoint: packed({ identity, checkpoint: make() }) })
    const ended = performance.now()
    next = ended + Math.max(ms, (ended - started) / SHARE)
  }
  return { onCheckpoint, isCheckpointDue }
}

function packed(kept: Kept): string {
  return deflateSync(serialize(kept), { level: 1 }).toString('base64')
}

/** @returns undefined if it is of other files, or was written by a Node or lossd that this one does not understand */
function known(text: string | null): Checkpoint | undefined {
  if (text === null) return undefined
  try {
    const kept = deserialize(inflateSync(Buffer.from(text, 'base64'))) as Kept
    return kept.identity === identity ? kept.checkpoint : undefined
  } catch {
    return undefined
  }
}
