/** Who sends a request, and what they may do. */
import { ALL, type Grant, type Reach, type Role, reachOf } from './grants.ts'
import type { Meter } from './quotas.ts'

export interface CallerOptions {
  readonly id: string | null
  readonly grants: readonly Grant[]
  /** Namespaces that every caller may evaluate. */
  readonly shared?: readonly string[]
  readonly meter?: Meter | undefined
  readonly lane?: object
}

/**
 * A caller. What it may not see does not exist for it.
 *
 * @example
 * const trainer = new Caller({ id: 'key:4f1c', grants: [{ role: 'evaluate', namespace: 'acme' }] })
 * trainer.may('evaluate', 'acme') // true
 * trainer.may('register', 'acme') // false
 */
export class Caller {
  /** As logs name it, and `createdBy`: the id of a key, or the subject of a token. Null: nobody was asked who they are. */
  readonly id: string | null
  readonly meter: Meter | undefined
  /** Who takes turns with others: the same for all credentials of one caller, however many it has. */
  readonly lane: object
  readonly #reach: Reach

  constructor({ id, grants, shared, meter, lane }: CallerOptions) {
    this.id = id
    this.meter = meter
    this.lane = lane ?? this
    this.#reach = reachOf(grants, shared)
  }

  may(role: Role, namespace: string): boolean {
    const namespaces = this.#reach[role]
    return namespaces.has(ALL) || namespaces.has(namespace)
  }

  /** Whether the registered losses of a namespace exist for this caller. */
  sees(namespace: string): boolean {
    return this.may('evaluate', namespace)
  }

  get seesAll(): boolean {
    return this.may('evaluate', ALL)
  }
}

/** Every caller of a service that asks for no keys. */
export const ANYONE = new Caller({ id: null, grants: [{ role: 'admin', namespace: ALL }] })

/** Whoever uses a route that is open to all. */
export const NOBODY = new Caller({ id: null, grants: [] })
