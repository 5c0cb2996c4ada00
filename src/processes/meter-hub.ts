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

/** A process that serves callers. */
export interface Reporter {
  /** What is left of the quotas of callers that others have met. */
  know(left: readonly Left[]): void
  tell(elsewhere: readonly Elsewhere[]): void
}

interface Shared {
  readonly quotas: readonly string[]
  readonly meter: Meter
  /** Open requests of each process that has any. */
  readonly open: Map<Reporter, number>
}

/** As many callers as each process keeps. */
const KEPT = { entries: 10_000 } as const

export class MeterHub {
  readonly #shared = new LruCache<string, Shared>(KEPT)
  readonly #keys = new Set<string>()
  readonly #reporters = new Set<Reporter>()

  /** A process has started. It learns what is left of all quotas, so that it does not bring new ones. */
  enter(reporter: Reporter) {
    this.#reporters.add(reporter)
    const known: Left[] = []
    for (const key of this.#keys) {
      const shared = this.#shared.get(key)
      if (shared === undefined) this.#keys.delete(key)
      else known.push(leftOf(key, shared, reporter))
    }
    if (known.length > 0) reporter.know(known)
  }

  /** A process has met a caller of whom it did not know. */
  join(reporter: Reporter, { key, quotas }: Joined) {
    const known = this.#shared.get(key)
    const shared =
      known ?? this.#shared.set(key, { quotas, meter: new Meter(readQuotas(quotas)), open: new Map() })
    this.#keys.add(key)
    for (const one of this.#reporters)
      if (one === reporter || known === undefined) one.know([leftOf(key, shared, one)])
  }

  spend(reporter: Reporter, spent: readonly Spent[]) {
    const known = spent.flatMap((one) => {
      const shared = this.#shared.get(one.key)
      return shared === undefined ? [] : [{ one, shared }]
    })
    for (const { one, shared } of known) {
      shared.meter.learn(one.charges, 0)
      setOpen(shared, reporter, one.open)
    }
    for (const other of this.#reporters) {
      if (other === reporter || known.length === 0) continue
      other.tell(
        known.map(({ one: { key, charges }, shared }) => ({
          key,
          charges,
          elsewhere: elsewhereOf(shared, other),
        })),
      )
    }
  }

  /** A process has ended, and with it its open requests. */
  leave(reporter: Reporter) {
    this.#reporters.delete(reporter)
    const open = [...this.#keys].filter((key) => this.#shared.get(key)?.open.has(reporter))
    this.spend(
      reporter,
      open.map((key) => ({ key, charges: [], open: 0 })),
    )
  }
}

function leftOf(key: string, shared: Shared, reporter: Reporter): Left {
  const { quotas, meter } = shared
  return { key, quotas, left: meter.left(), elsewhere: elsewhereOf(shared, reporter) }
}

function setOpen({ open }: Shared, reporter: Reporter, count: number) {
  if (count === 0) open.delete(reporter)
  else open.set(reporter, count)
}

function elsewhereOf({ open }: Shared, reporter: Reporter): number {
  let sum = 0
  for (const [other, count] of open) if (other !== reporter) sum += count
  return sum
}
