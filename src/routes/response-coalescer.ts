/**
 * Response coalescing and backpressure: responses that become ready in one event loop iteration are sent together at
 * its end, and the responses that clients have not read yet are counted.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Problem } from '../errors.ts'

/** A response that is ready. */
export interface PendingWrite {
  /** Writes it. Called once, and never throws. */
  depart(): void
}

/** The longest time that a response waits for others, in addition to the time that one of them takes. */
const LONGEST_MS = 1

/**
 * A client on the same machine is woken up for every response that finds it waiting, and that costs as much as a small
 * loss. When several responses arrive together, only the first one wakes it up. This class does not write anything
 * itself.
 */
export class ResponseCoalescer {
  #ready: PendingWrite[] = []
  /** When the first one was added. */
  #since = 0
  #unread = 0
  readonly #mostUnread: number

  /** @param mostUnread maximum number of bytes of unread responses */
  constructor(mostUnread = Number.POSITIVE_INFINITY) {
    this.#mostUnread = mostUnread
  }

  /** Bytes of responses that clients have not read yet. */
  get unread(): number {
    return this.#unread
  }

  /** Adds the size of a response when it is ready, and subtracts it (a negative number) when it has been sent. */
  count(bytes: number) {
    this.#unread += bytes
  }

  /** @throws Problem `answers-unread` if there is no room for another response */
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

  /** Sends all responses that are ready. Must be called before anything that blocks the event loop. */
  readonly empty = () => {
    const ready = this.#ready
    if (ready.length === 0) return
    this.#ready = []
    for (const pending of ready) pending.depart()
  }
}

function unread(): Problem {
  // A client that does not read will probably not read this either.
  const options = { retryAfter: 1, headers: { Connection: 'close' } }
  return new Problem('answers-unread', 'other responses are waiting to be read by their clients', options)
}

/** Calls back once, when a response has been sent or when nobody will read it any more. */
export function whenOver({ socket }: IncomingMessage, response: ServerResponse, then: () => void) {
  let isOver = false
  const end = () => {
    if (isOver) return
    isOver = true
    then()
  }
  response.on('close', end)
  // A response that is queued behind another one on the connection does not notice that the connection is closed.
  if (response.socket !== null) return
  // One listener for each queued response.
  socket.setMaxListeners(0)
  socket.on('close', end)
}
