/**
 * What jobs cost, from what earlier ones did: milliseconds of the engine per step of the loop nest, for each program. And how much
 * of it the engine gets done in a millisecond, which corrects whatever the first is wrong about: several threads, transfers, a busy
 * machine.
 */
import type { Program } from '../language/ir.ts'
import { LruCache } from '../lru.ts'
import type { Announced, Job } from './job.ts'

/** Programs whose cost is remembered. */
const KEPT = { entries: 1000 } as const
/** Before a program has run: nanoseconds per node and step. */
const NODE_NS = 0.5
/** How much a new measurement counts. */
const SHARE = 0.2
/** How fast the expected cost of a request goes up: a cheap one must not be refused because of an expensive one. */
const RISE = 1.05
/** Sizes of bodies that are told apart, per factor of two. */
const SIZES = 4
/** How long the throughput is remembered, in ms. */
const MEMORY_MS = 2000
/** From this much evidence on, it is believed: ms, and launches. The first launches of a process are slower than all others. */
const EVIDENCE = { ms: 500, launches: 8 } as const

export class CostModel {
  /** Milliseconds per step. */
  readonly #steps = new LruCache<string, number>(KEPT)
  /** Engine milliseconds of requests, by what they look like before their body is read. */
  readonly #announced = new LruCache<string, number>(KEPT)
  readonly #prior: number
  #doneMs = 0
  #wallMs = 0
  #launches = 0
  /** Since when the engine has been busy without a pause; undefined if it is not. */
  #busySince: number | undefined

  /** @param width how many batches the engine computes at once */
  constructor(width: number) {
    this.#prior = Math.max(1, width - 1)
  }

  /** Engine milliseconds. */
  costOf({ programKey, program, sizes }: Pick<Job, 'programKey' | 'program' | 'sizes'>): number {
    const each = this.#steps.get(programKey) ?? (program.nodes.length * NODE_NS) / 1e6
    return each * stepsOf(program, sizes)
  }

  /** What requests that looked the same have cost at the least, lately; undefined for the first of them. */
  expected(announced: Announced): number | undefined {
    return this.#announced.get(lookOf(announced))
  }

  /** A request had a job of this cost. */
  learn(announced: Announced, cost: number) {
    const look = lookOf(announced)
    const known = this.#announced.get(look) ?? cost
    this.#announced.set(look, Math.min(RISE * known, cost))
  }

  /** A batch of jobs with one program has been computed. */
  ran(jobs: readonly Pick<Job, 'programKey' | 'program' | 'sizes'>[], computeMs: number) {
    const [{ programKey }] = jobs
    const steps = jobs.reduce((sum, { program, sizes }) => sum + stepsOf(program, sizes), 0)
    const measured = computeMs / Math.max(1, steps)
    const known = this.#steps.get(programKey) ?? measured
    this.#steps.set(programKey, known + SHARE * (measured - known))
  }

  /**
   * So much has been done.
   *
   * @param isBusy whether more waits: only then is the engine as fast as it can be
   */
  completed(cost: number, isBusy: boolean, now = performance.now()) {
    if (this.#busySince !== undefined) {
      const ms = now - this.#busySince
      const kept = Math.exp(-ms / MEMORY_MS)
      this.#doneMs = this.#doneMs * kept + cost
      this.#wallMs = this.#wallMs * kept + ms
      this.#launches++
    }
    this.#busySince = isBusy ? now : undefined
  }

  /** Whether enough has been measured to refuse anybody. */
  get isSure(): boolean {
    return this.#wallMs >= EVIDENCE.ms && this.#launches >= EVIDENCE.launches
  }

  /** How long the engine takes for so much, in ms. */
  wallMs(cost: number): number {
    const rate = this.isSure ? this.#doneMs / this.#wallMs : this.#prior
    return cost / Math.max(rate, 1e-3)
  }
}

const lookOf = ({ kind, bytes }: Announced): string => `${kind} ${Math.round(SIZES * Math.log2(bytes + 1))}`

/** The length of the loop nest. */
function stepsOf({ axes, renamed }: Program, sizes: Readonly<Record<string, number>>): number {
  let steps = 1
  for (const axis of axes) steps *= sizes[axis] ?? sizes[renamed[axis]] ?? 1
  return steps
}
