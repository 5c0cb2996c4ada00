/**
 * Hands accepted connections to workers. Each worker gets one connection at a time and the next one when it has taken it, so a
 * worker whose event loop is busy gets fewer. Among those that are free, the one with the fewest connections is next.
 *
 * The kernel could distribute connections, too. But a socket that several processes listen on gives most of a burst to one of
 * them, and a socket per process (SO_REUSEPORT) loses the connections that wait when its process ends. Here nothing is lost: what
 * a worker has not taken when it ends goes to another one, and while there is none, connections wait.
 */
import type { Socket } from 'node:net'

/** A worker, as far as connections are concerned. */
export interface Target {
  /**
   * Hands over a connection. The caller keeps its own handle.
   *
   * @returns false if the worker is gone
   */
  give(connection: Socket): boolean
}

interface Place {
  open: number
  /** Handed over, but not taken yet. */
  pending: Socket | undefined
}

export class Dispatcher {
  readonly #limit: number
  readonly #places = new Map<Target, Place>()
  /** Targets that get nothing more, until what they were handed is settled. */
  readonly #leaving = new Map<Target, Place>()
  #waiting: Socket[] = []
  #whenEmpty: (() => void)[] = []

  /** @param limit maximum number of connections of all workers together */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Connections of all workers, and those that wait for one. */
  get open(): number {
    let open = this.#waiting.length
    for (const place of [...this.#places.values(), ...this.#leaving.values()])
      open += place.open + Number(place.pending !== undefined)
    return open
  }

  /** A connection that was accepted, and not read from. */
  accept(connection: Socket) {
    if (this.open >= this.#limit) return void connection.destroy()
    // A client may reset its connection while it waits.
    connection.on('error', () => {})
    this.#waiting.push(connection)
    this.#hand()
  }

  /** A worker can serve. */
  add(target: Target) {
    this.#places.set(target, { open: 0, pending: undefined })
    this.#hand()
  }

  /** A worker gets nothing more. What it was handed, it still takes. */
  retire(target: Target) {
    const place = this.#places.get(target)
    if (place === undefined) return
    this.#places.delete(target)
    this.#leaving.set(target, place)
  }

  /** A worker has ended. */
  remove(target: Target) {
    const pending = (this.#places.get(target) ?? this.#leaving.get(target))?.pending
    this.#places.delete(target)
    this.#leaving.delete(target)
    if (pending !== undefined) this.#waiting.unshift(pending)
    this.#hand()
  }

  /** A worker has taken what it was handed last. */
  took(target: Target, open: number) {
    const place = this.#places.get(target) ?? this.#leaving.get(target)
    if (place === undefined) return
    // Closes the handle of this process only.
    place.pending?.destroy()
    place.pending = undefined
    place.open = open
    this.#hand()
  }

  counted(target: Target, open: number) {
    const place = this.#places.get(target) ?? this.#leaving.get(target)
    if (place !== undefined) place.open = open
  }

  /** Resolves when no connection waits for a worker. */
  empty(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenEmpty.push(resolve)
      this.#hand()
    })
  }

  /** Closes connections that no worker will take. */
  close() {
    for (const connection of this.#waiting.splice(0)) connection.destroy()
    this.#hand()
  }

  #hand() {
    while (this.#waiting.length > 0) {
      const free = this.#freest()
      if (free === undefined) return
      const [target, place] = free
      const connection = this.#waiting[0]
      if (connection.destroyed) this.#waiting.shift()
      else if (target.give(connection)) place.pending = this.#waiting.shift()
      // It has ended, and this is not known yet.
      else this.retire(target)
    }
    if (this.#isPending) return
    for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }

  get #isPending(): boolean {
    return [...this.#places.values(), ...this.#leaving.values()].some(({ pending }) => pending !== undefined)
  }

  #freest(): [Target, Place] | undefined {
    let best: [Target, Place] | undefined
    for (const entry of this.#places) {
      if (entry[1].pending === undefined && (best === undefined || entry[1].open < best[1].open)) best = entry
    }
    return best
  }
}
