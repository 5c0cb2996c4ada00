/**
 * Start-time fair queuing by cost, first between callers and then between the connections of a caller: a caller with a thousand
 * connections gets no more than one with a single connection, and a connection with many requests no more than one with a single
 * request. Among equals, who came first is first. It knows no time and starts nothing.
 *
 * It divides as deficit round robin does, with one difference: a caller who asks rarely is served before those who never stop, instead
 * of after all of them.
 */

/** Who sends something. Both are only compared. */
export interface Sender {
  readonly caller: object
  readonly connection: object
  /** Whether callers are told apart. Otherwise all are the same. */
  readonly isKnown: boolean
}

interface Entry<T> {
  /** Undefined when it is gone: until its place is needed, nothing of it may stay in memory. */
  item: T | undefined
  readonly connection: object
  readonly cost: number
  /** The virtual time at which its turn begins. */
  readonly start: number
  /** Among equals, who came first. */
  readonly order: number
}

/** The virtual time of callers. Each advances by what it costs, and what it got is remembered. */
class Clock {
  now = 0
  readonly #ends = new WeakMap<object, number>()

  /** @returns when its turn begins */
  book(sender: object, cost: number): number {
    const start = this.startOf(sender)
    this.#ends.set(sender, start + cost)
    return start
  }

  startOf(sender: object): number {
    return Math.max(this.now, this.#ends.get(sender) ?? 0)
  }
}

/** What waits of one connection. */
interface Line {
  count: number
  /** The virtual time at which all of it will have been served. */
  end: number
}

/** What waits of one caller. */
class Lane<T> {
  /** Virtual time. */
  now = 0
  readonly lines = new Map<object, Line>()
  /** A binary heap: the earliest is first. */
  readonly entries: Entry<T>[] = []
  /** Of those that are not gone. */
  count = 0
  cost = 0
  /** When the next turn of this caller begins. */
  start = 0

  add(entry: Entry<T>) {
    this.count++
    this.cost += entry.cost
    const { entries } = this
    let place = entries.length
    entries.push(entry)
    while (place > 0) {
      const above = (place - 1) >> 1
      if (!isBefore(entry, entries[above])) break
      entries[place] = entries[above]
      place = above
    }
    entries[place] = entry
  }

  drop(entry: Entry<T>) {
    entry.item = undefined
    this.count--
    this.cost -= entry.cost
    const line = this.lines.get(entry.connection)!
    line.count--
    if (line.count === 0) this.lines.delete(entry.connection)
  }

  /**
   * A connection has one more request.
   *
   * @returns when its turn begins
   */
  book(connection: object, cost: number): number {
    const start = this.startOf(connection)
    const line = this.lines.get(connection) ?? { count: 0, end: 0 }
    this.lines.set(connection, line)
    line.count++
    line.end = start + cost
    return start
  }

  /** When the next request of a connection would begin. What it got earlier is forgotten: with one request each, all are equal. */
  startOf(connection: object): number {
    return Math.max(this.now, this.lines.get(connection)?.end ?? 0)
  }

  /** The first that is not gone, which stays. */
  first(): Entry<T> | undefined {
    while (this.entries.length > 0 && this.entries[0].item === undefined) this.#removeFirst()
    return this.entries[0]
  }

  #removeFirst() {
    const { entries } = this
    const last = entries.pop()!
    if (entries.length === 0) return
    let place = 0
    for (;;) {
      let below = 2 * place + 1
      if (below >= entries.length) break
      if (below + 1 < entries.length && isBefore(entries[below + 1], entries[below])) below++
      if (!isBefore(entries[below], last)) break
      entries[place] = entries[below]
      place = below
    }
    entries[place] = last
  }
}

function isBefore<T>(a: Entry<T>, b: Entry<T>): boolean {
  return a.start < b.start || (a.start === b.start && a.order < b.order)
}

/** Where something waits. */
interface Placed<T> {
  readonly lane: Lane<T>
  readonly caller: object
  readonly entry: Entry<T>
}

/** The sender of everything that comes from nobody in particular. */
const NOBODY: Sender = { caller: {}, connection: {}, isKnown: false }

export class FairQueue<T> {
  readonly #clock = new Clock()
  readonly #lanes = new Map<object, Lane<T>>()
  readonly #places = new Map<T, Placed<T>>()
  #order = 0

  get size(): number {
    return this.#places.size
  }

  /** The cost of all that waits. */
  get cost(): number {
    let cost = 0
    for (const lane of this.#lanes.values()) cost += lane.cost
    return cost
  }

  /** How many wait of one caller. */
  countOf(caller: object): number {
    return this.#lanes.get(caller)?.count ?? 0
  }

  /**
   * @param item must not be waiting already
   * @param cost in any unit, the same for all
   */
  push(item: T, cost: number, { caller, connection }: Sender = NOBODY) {
    const lane = this.#lanes.get(caller) ?? new Lane<T>()
    if (lane.count === 0) lane.start = this.#clock.startOf(caller)
    this.#lanes.set(caller, lane)
    const entry = { item, connection, cost, start: lane.book(connection, cost), order: this.#order++ }
    lane.add(entry)
    this.#places.set(item, { lane, caller, entry })
  }

  /** Whose turn it is; it stays. */
  first(): T | undefined {
    return this.#next()?.first()?.item
  }

  /** Who came last; it stays. */
  newest(): T | undefined {
    // A map keeps the order in which its keys were added.
    let newest: T | undefined
    for (const item of this.#places.keys()) newest = item
    return newest
  }

  shift(): T | undefined {
    const item = this.first()
    if (item !== undefined) this.serve(item)
    return item
  }

  /** Takes something out that is served now. */
  serve(item: T) {
    const place = this.#places.get(item)
    if (place === undefined) return
    const { lane, caller, entry } = place
    lane.now = Math.max(lane.now, entry.start)
    this.#clock.now = Math.max(this.#clock.now, lane.start)
    this.#clock.book(caller, entry.cost)
    this.remove(item)
    lane.start = this.#clock.startOf(caller)
  }

  /** @returns whether it was still waiting */
  remove(item: T): boolean {
    const place = this.#places.get(item)
    if (place === undefined) return false
    this.#places.delete(item)
    place.lane.drop(place.entry)
    if (place.lane.count === 0) this.#lanes.delete(place.caller)
    return true
  }

  /** The cost of what would be served before something that a sender adds now. */
  costBefore(cost: number, { caller, connection }: Sender = NOBODY): number {
    const own = this.#lanes.get(caller)
    const ahead = own === undefined ? 0 : costUntil(own, own.startOf(connection))
    let before = ahead
    // While this caller gets so much, each other one gets no more.
    for (const [other, lane] of this.#lanes) if (other !== caller) before += Math.min(lane.cost, ahead + cost)
    return before
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#places.keys()
  }

  /** There are few callers at a time. */
  #next(): Lane<T> | undefined {
    let next: Lane<T> | undefined
    for (const lane of this.#lanes.values()) if (next === undefined || lane.start < next.start) next = lane
    return next
  }
}

function costUntil<T>({ entries }: Lane<T>, start: number): number {
  let cost = 0
  for (const entry of entries) if (entry.item !== undefined && entry.start <= start) cost += entry.cost
  return cost
}
