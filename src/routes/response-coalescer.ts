/**
 * Answers leave together, when the event loop has dealt with all that arrived in one of its rounds. A client on the same
 * machine is woken for every answer that finds it waiting, which costs as much as a small loss; of several in a row only
 * the first does. It writes nothing itself. It also knows how much has left and was not taken by its readers.
 */
import type { Socket } from 'node:net'
import { Problem } from '../errors.ts'

/** An answer that is ready. */
export interface PendingWrite {
  /** Writes it; called once, and never throws. */
  depart(): void
}

/** The most that an answer waits for others, beside what one of them takes. */
const LONGEST_MS = 1

export class ResponseCoalescer {
  #ready: PendingWrite[] = []
  /** When the first of them was added. */
  #since = 0
  #unread = 0
  readonly #mostUnread: number

  /** @param mostUnread bytes of answers that may wait for their readers */
  constructor(mostUnread = Number.POSITIVE_INFINITY) {
    this.#mostUnread = mostUnread
  }

  /** Bytes of answers that wait for their readers. */
  get unread(): number {
    return this.#unread
  }

  /** To be told of an answer's bytes when it is ready, and of as many less than none when it has left. */
  count(bytes: number) {
    this.#unread += bytes
  }

  /** @throws Problem `answers-unread` where there is no room for another answer */
  admit() {
    if (this.#unread > this.#mostUnread) throw unread()
  }

  /**
   * @param now `performance.now()`
   * @example
   * responses.add({ depart: () => response.end(bytes) }, performance.now())
   */
  add(pending: PendingWrite, now: number) {
    if (this.#ready.length === 0) {
      this.#since = now
      setImmediate(this.empty)
    }
    this.#ready.push(pending)
    if (now - this.#since > LONGEST_MS) this.empty()
  }

  /** Sends all that are ready: to be called before whatever holds the event loop up. */
  readonly empty = () => {
    const ready = this.#ready
    if (ready.length === 0) return
    this.#ready = []
    for (const pending of ready) pending.depart()
  }
}

function unread(): Problem {
  // Those who do not read are likely not to read this either.
  const options = { retryAfter: 1, headers: { Connection: 'close' } }
  return new Problem('answers-unread', 'other answers wait for their readers', options)
}

/**
 * Calls when a connection is gone: a response that is queued behind another one on it does not hear that.
 */
export function whenGone(socket: Socket, then: () => void) {
  // One for each that is queued.
  socket.setMaxListeners(0)
  socket.on('close', then)
}
