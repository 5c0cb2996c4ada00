/** Bounded caches whose least recently used entries are evicted. */

/**
 * Puts an entry at the end, and evicts the first one if there are more than allowed.
 *
 * @example
 * const cache = new Map<string, number>()
 * const value = use(cache, 'key', cache.get('key') ?? compute(), 100)
 */
export function putMostRecent<K, V>(cache: Map<K, V>, key: K, value: V, capacity: number): V {
  cache.delete(key)
  cache.set(key, value)
  if (cache.size > capacity) cache.delete(cache.keys().next().value!)
  return value
}

export interface LruLimits {
  readonly entries: number
  /** Of all entries together, in a unit of the owner's choice. */
  readonly weight: number
}

interface Entry<V> {
  readonly value: V
  readonly weight: number
}

/**
 * A cache that is bounded by the number of its entries and by their total weight. The last entry is kept, whatever
 * it weighs.
 *
 * @example
 * const cache = new LruCache<string, Uint8Array>({ entries: 100, weight: 1e6 })
 * const bytes = cache.get('key') ?? cache.set('key', load(), 1000)
 */
export class LruCache<K, V> {
  readonly #limits: LruLimits
  readonly #entries = new Map<K, Entry<V>>()
  #weight = 0

  constructor(limits: LruLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#entries.size
  }

  /** The total weight of all entries. */
  get weight(): number {
    return this.#weight
  }

  get(key: K): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  /** @returns the value */
  set(key: K, value: V, weight: number): V {
    this.delete(key)
    this.#entries.set(key, { value, weight })
    this.#weight += weight
    this.#evict()
    return value
  }

  delete(key: K): boolean {
    this.#weight -= this.#entries.get(key)?.weight ?? 0
    return this.#entries.delete(key)
  }

  #evict() {
    const { entries, weight } = this.#limits
    for (const key of this.#entries.keys()) {
      if (this.size === 1 || (this.size <= entries && this.#weight <= weight)) return
      this.delete(key)
    }
  }
}
