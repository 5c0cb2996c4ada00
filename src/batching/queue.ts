/**
 * A bounded job queue. Whose job is next is decided by cost (fair-queue.ts); jobs that may share its launch ride along. It is limited
 * in jobs, elements and bytes, and nobody may fill all of it. It knows no time and starts nothing.
 */
import { FairQueue, type Sender } from './fair-queue.ts'
import type { Job } from './job.ts'

export interface Depth {
  readonly jobs: number
  readonly elements: number
  readonly bytes: number
}

/** Anything that carries a job. */
export interface QueueEntry {
  readonly job: Job
  /** What it costs, in any unit. */
  readonly cost: number
}

export class JobQueue<T extends QueueEntry> {
  readonly #limits: Depth
  readonly #order = new FairQueue<T>()
  /** What may share a launch, in order of arrival. */
  readonly #groups = new Map<string | T, Set<T>>()
  #jobs = 0
  #elements = 0
  #bytes = 0

  constructor(limits: Depth) {
    this.#limits = limits
  }

  get depth(): Depth {
    return { jobs: this.#jobs, elements: this.#elements, bytes: this.#bytes }
  }

  /** Whether this job would exceed a limit. An empty queue accepts any job. */
  isFullFor({ elements, bytes, sender }: Pick<Job, 'elements' | 'bytes' | 'sender'>): boolean {
    if (this.#jobs === 0) return false
    const { jobs, elements: mostElements, bytes: mostBytes } = this.#limits
    if (this.#jobs >= jobs || this.#elements + elements > mostElements || this.#bytes + bytes > mostBytes)
      return true
    // The jobs of one caller may take half of the places that are free, so the next caller always finds some.
    return sender?.isKnown === true && this.#order.countOf(sender.caller) > jobs - this.#jobs
  }

  /** The cost of all jobs. */
  get cost(): number {
    return this.#order.cost
  }

  /** The cost of what would run before this job. */
  costBefore(cost: number, sender: Sender | undefined): number {
    return this.#order.costBefore(cost, sender)
  }

  add(entry: T) {
    const key = groupOf(entry)
    const group = this.#groups.get(key)
    if (group === undefined) this.#groups.set(key, new Set([entry]))
    else group.add(entry)
    this.#order.push(entry, entry.cost, entry.job.sender)
    this.#count(entry, 1)
  }

  /** @returns whether it was still queued */
  remove(entry: T): boolean {
    if (!this.#order.remove(entry)) return false
    this.#leave(entry)
    return true
  }

  /**
   * The jobs of the next batch: the one whose turn it is and, oldest first, as many others that may share its launch as fit into the
   * budget. Empty if nothing is queued.
   *
   * @param isNewestFirst whether the last to come is the first to go
   */
  take(budget: Pick<Depth, 'elements' | 'bytes'>, isNewestFirst = false): T[] {
    const first = isNewestFirst ? this.#order.newest() : this.#order.first()
    if (first === undefined) return []
    const taken = fitting(first, this.#groups.get(groupOf(first))!, budget)
    for (const entry of taken) {
      this.#order.serve(entry)
      this.#leave(entry)
    }
    return taken
  }

  /** In order of arrival. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.#order[Symbol.iterator]()
  }

  #leave(entry: T) {
    const key = groupOf(entry)
    const group = this.#groups.get(key)!
    group.delete(entry)
    if (group.size === 0) this.#groups.delete(key)
    this.#count(entry, -1)
  }

  #count({ job }: T, sign: 1 | -1) {
    this.#jobs += sign
    this.#elements += sign * job.elements
    this.#bytes += sign * job.bytes
  }
}

/** A job that must run alone is a group of its own. */
function groupOf<T extends QueueEntry>(entry: T): string | T {
  return entry.job.mergeKey ?? entry
}

function fitting<T extends QueueEntry>(
  first: T,
  group: ReadonlySet<T>,
  budget: Pick<Depth, 'elements' | 'bytes'>,
): T[] {
  const taken = [first]
  let elements = budget.elements - first.job.elements
  let bytes = budget.bytes - first.job.bytes
  for (const entry of group) {
    if (entry === first) continue
    elements -= entry.job.elements
    bytes -= entry.job.bytes
    if (elements < 0 || bytes < 0) break
    taken.push(entry)
  }
  return taken
}
