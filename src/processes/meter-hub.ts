/**
 * Quotas of callers that are served by several processes. Every process has a full copy of the quota and is told what the others
 * have charged. So a caller with a single connection has all of its quota, and nobody asks another process before a request is
 * admitted. For as long as a report takes, several processes may admit from the same remainder; what was charged too much is debt, so
 * over time the quota holds exactly. This is the side of the parent, which passes reports on and keeps a copy of its own for
 * workers that start later.
 */
import { Meter, readQuotas } from '../access/quotas.ts'
import { LruCache } from '../lru.ts'
import type { Elsewhere, Joined, Left, Spent } from './messages.ts'

/** Whoever reports. */
export interface Reporter {
  tell(elsewhere: readonly Elsewhere[]): void
}

interface Shared {
  readonly meter: Meter
  /** Open requests of each process that has met the caller. */
  readonly open: Map<Reporter, number>
}

/** As many callers as each process keeps. */
const KEPT = { entries: 10_000 } as const

export class MeterHub {
  readonly #shared = new LruCache<string, Shared>(KEPT)
  /** Callers that a process has met. */
  readonly #met = new Map<Reporter, Set<string>>()

  /** @returns what is left of the quotas of a caller that a process has just met */
  join(reporter: Reporter, { key, quotas }: Joined): Left {
    const shared = this.#shared.get(key) ?? this.#shared.set(key, start(quotas))
    shared.open.set(reporter, 0)
    const met = this.#met.get(reporter) ?? new Set()
    this.#met.set(reporter, met.add(key))
    return { key, left: shared.meter.left(), elsewhere: elsewhereOf(shared, reporter) }
  }

  spend(reporter: Reporter, spent: readonly Spent[]) {
    const news = new Map<Reporter, Elsewhere[]>()
    for (const one of spent) this.#spendOne(reporter, one, news)
    for (const [other, elsewhere] of news) other.tell(elsewhere)
  }

  /** A process has ended, and with it its open requests. */
  leave(reporter: Reporter) {
    const keys = this.#met.get(reporter) ?? new Set()
    this.#met.delete(reporter)
    const news = new Map<Reporter, Elsewhere[]>()
    for (const key of keys) {
      const shared = this.#shared.get(key)
      if (shared === undefined) continue
      const open = shared.open.get(reporter)
      shared.open.delete(reporter)
      if (open !== 0) collect(shared, { key, charges: [], open: 0 }, reporter, news)
    }
    for (const [other, elsewhere] of news) other.tell(elsewhere)
  }

  #spendOne(reporter: Reporter, spent: Spent, news: Map<Reporter, Elsewhere[]>) {
    const shared = this.#shared.get(spent.key)
    if (shared === undefined || !shared.open.has(reporter)) return
    shared.meter.learn(spent.charges, 0)
    shared.open.set(reporter, spent.open)
    collect(shared, spent, reporter, news)
  }
}

function start(quotas: readonly string[]): Shared {
  return { meter: new Meter(readQuotas(quotas)), open: new Map() }
}

/** Adds a report to what every other process is told. */
function collect(shared: Shared, { key, charges }: Spent, from: Reporter, news: Map<Reporter, Elsewhere[]>) {
  for (const other of shared.open.keys()) {
    if (other === from) continue
    const told = news.get(other) ?? []
    told.push({ key, charges, elsewhere: elsewhereOf(shared, other) })
    news.set(other, told)
  }
}

function elsewhereOf({ open }: Shared, reporter: Reporter): number {
  let sum = 0
  for (const [other, count] of open) if (other !== reporter) sum += count
  return sum
}
