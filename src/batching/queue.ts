/**
 * A bounded job queue, grouped by what may share a launch. Groups take turns (round robin), and jobs within a group
 * keep their order (FIFO). It is limited in jobs, elements and bytes. It knows no time and starts nothing.
 */
import type { Job } from './job.ts'

export interface Depth {
  readonly jobs: number
  readonly elements: number
  readonly bytes: number
}

/** Anything that carries a job. */
export interface QueueEntry {
  readonly job: Job
}

export class JobQueue<T extends QueueEntry> {
  readonly #limits: Depth
  /** In the order of their turns. */
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
  isFullFor({ elements, bytes }: Job): boolean {
    if (this.#jobs === 0) return false
    const { jobs, elements: mostElements, bytes: mostBytes } = this.#limits
    return this.#jobs >= jobs || this.#elements + elements > mostElements || this.#bytes + bytes > mostBytes
  }

  add(entry: T) {
    const key = groupOf(entry)
    const group = this.#groups.get(key)
    if (group === undefined) this.#groups.set(key, new Set([entry]))
    else group.add(entry)
    this.#count(entry, 1)
  }

  /** @returns whether it was still queued */
  remove(entry: T): boolean {
    const key = groupOf(entry)
    const group = this.#groups.get(key)
    if (group === undefined || !group.delete(entry)) return false
    if (group.size === 0) this.#groups.delete(key)
    this.#count(entry, -1)
    return true
  }

  /**
   * The jobs of the next batch: the oldest of the first group, as many as fit into the budget, but at least one.
   * Empty if nothing is queued.
   */
  take(budget: Pick<Depth, 'elements' | 'bytes'>): T[] {
    const next = this.#groups.entries().next()
    if (next.done) return []
    const [key, group] = next.value
    const taken = fitting(group, budget)
    for (const entry of taken) this.remove(entry)
    if (this.#groups.delete(key)) this.#groups.set(key, group)
    return taken
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
  group: ReadonlySet<T>,
  budget: Pick<Depth, 'elements' | 'bytes'>,
): T[] {
  const taken: T[] = []
  let { elements, bytes } = budget
  for (const entry of group) {
    elements -= entry.job.elements
    bytes -= entry.job.bytes
    if (taken.length > 0 && (elements < 0 || bytes < 0)) break
    taken.push(entry)
  }
  return taken
}
