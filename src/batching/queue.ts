/**
 * The jobs that wait, grouped by what may share a launch: groups take turns, jobs within a group keep their order.
 * Bounded in jobs, elements and bytes. It knows no time and starts nothing.
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
  /** In the order of their turn. */
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

  /** Whether one more such job would exceed a limit; an empty queue takes any one. */
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

  /** @returns whether it was still waiting */
  remove(entry: T): boolean {
    const key = groupOf(entry)
    const group = this.#groups.get(key)
    if (group === undefined || !group.delete(entry)) return false
    if (group.size === 0) this.#groups.delete(key)
    this.#count(entry, -1)
    return true
  }

  /** The next batch's jobs: the first group's oldest, as many as fit the budget, at least one. Empty when none wait. */
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

/** A job that may not be merged is a group of its own. */
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
