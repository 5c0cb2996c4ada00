/**
 * Cooperative scheduling on the event loop: large pieces of work wait for their turn, in fair order (fair-queue.ts), and a few of them
 * run per iteration. How many depends on how long the first of them has waited: with few large requests, everyone else waits for one
 * piece; with many, everyone waits longer, so that large requests wait no more than a few times longer than small ones.
 */
import { FairQueue, type Sender } from './fair-queue.ts'

/** From this size on, copying or scanning the bytes takes a millisecond or more. */
export const LARGE_BYTES = 2 ** 20
/** The part of its wait that the first piece makes everyone else wait. */
const SHARE = 0.12
/** How long everyone else may wait for large pieces, in addition to the last of them, in ms. */
const MOST_MS = 50
/** How much a new measurement counts. */
const LEARNED = 0.1

/** A piece of work. */
export interface Piece {
  readonly bytes: number
  /** What costs the same per byte. */
  readonly kind: string
  readonly sender?: Sender | undefined
  /** Since when its request has waited, by the clock. Default: now. */
  readonly since?: number | undefined
}

export interface EventLoopYield {
  /**
   * Runs a piece when it is its turn, a small one at once.
   *
   * @returns what `work` returns; a promise of it unless the piece is small
   */
  run<T>(piece: Piece, work: () => T): T | Promise<T>
  /** Pieces that wait. */
  readonly waiting: number
  /** How long those that wait will take, in ms. */
  readonly backlogMs: number
}

export interface EventLoopYieldOptions {
  /** Called before each large piece. */
  readonly before?: () => void
  /** Called with the number of pieces that wait, whenever it changes. */
  readonly onWaiting?: (count: number) => void
  /** In milliseconds. */
  readonly clock?: () => number
}

/**
 * @example
 * const turns = createEventLoopYield()
 * const decoded = await turns.run({ bytes: body.length, kind: 'json', sender }, () => decode(body))
 */
export function createEventLoopYield(options: EventLoopYieldOptions = {}): EventLoopYield {
  return new FairTurns(options)
}

interface Waiting {
  readonly piece: Piece
  readonly since: number
  readonly run: () => void
}

class FairTurns implements EventLoopYield {
  readonly #before: () => void
  readonly #onWaiting: (count: number) => void
  readonly #clock: () => number
  readonly #queue = new FairQueue<Waiting>()
  /** Kind -> milliseconds per byte. */
  readonly #rates = new Map<string, number>()
  #isArmed = false

  constructor({
    before = () => {},
    onWaiting = () => {},
    clock = () => performance.now(),
  }: EventLoopYieldOptions) {
    this.#before = before
    this.#onWaiting = onWaiting
    this.#clock = clock
  }

  get waiting(): number {
    return this.#queue.size
  }

  get backlogMs(): number {
    return this.#queue.cost
  }

  run<T>(piece: Piece, work: () => T): T | Promise<T> {
    if (piece.bytes < LARGE_BYTES) return work()
    return new Promise((resolve, reject) => {
      const run = () => {
        try {
          resolve(work())
        } catch (error) {
          reject(error)
        }
      }
      this.#queue.push({ piece, since: piece.since ?? this.#clock(), run }, this.#costOf(piece), piece.sender)
      this.#onWaiting(this.#queue.size)
      this.#arm()
    })
  }

  #costOf({ bytes, kind }: Piece): number {
    return bytes * (this.#rates.get(kind) ?? 1 / LARGE_BYTES)
  }

  #arm() {
    if (this.#isArmed || this.#queue.size === 0) return
    this.#isArmed = true
    setImmediate(() => this.#turn())
  }

  #turn() {
    this.#isArmed = false
    const started = this.#clock()
    let first: Waiting | undefined
    for (
      let now = started;
      first === undefined || now - started < budget(first, started);
      now = this.#clock()
    ) {
      const next = this.#queue.shift()
      if (next === undefined) break
      first ??= next
      this.#run(next)
    }
    this.#onWaiting(this.#queue.size)
    this.#arm()
  }

  #run({ piece, run }: Waiting) {
    this.#before()
    const started = this.#clock()
    run()
    const measured = (this.#clock() - started) / piece.bytes
    const known = this.#rates.get(piece.kind) ?? measured
    this.#rates.set(piece.kind, known + LEARNED * (measured - known))
  }
}

function budget({ since }: Waiting, now: number): number {
  return Math.min(MOST_MS, SHARE * (now - since))
}
