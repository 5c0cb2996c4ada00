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
  /** Maximum total weight of all entries, in any unit. */
  readonly weight: number
}

interface Entry<V> {
  readonly value: V
  readonly weight: number
  /** Since the cache last looked for something to evict. */
  isUsed: boolean
}

/**
 * A cache with a maximum number of entries and a maximum total weight. The last entry is kept, whatever its weight.
 * Evicts by second chance (the CLOCK algorithm), an approximation of least recently used: reading an entry only sets a
 * flag. Moving the entry to the end of a `Map` at each reading, as an exact order needs, makes V8 replace the map's table
 * every few readings, which cost 5 to 10 % of all small requests.
 *
 * @example
 * const cache = new LruCache<string, Uint8Array>({ entries: 100, weight: 1e6 })
 * const bytes = cache.get('key') ?? cache.set('key', load(), 1000)
 */
export class LruCache<K, V> {
  readonly #limits: LruLimits
  readonly #onEvict: () => void
  readonly #entries = new Map<K, Entry<V>>()
  #weight = 0

  /** @param onEvict called for each entry that is evicted */
  constructor(limits: LruLimits, onEvict = () => {}) {
    this.#limits = limits
    this.#onEvict = onEvict
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
    entry.isUsed = true
    return entry.value
  }

  /** @returns the value */
  set(key: K, value: V, weight: number): V {
    this.delete(key)
    this.#entries.set(key, { value, weight, isUsed: false })
    this.#weight += weight
    this.#evict(key)
    return value
  }

  delete(key: K): boolean {
    this.#weight -= this.#entries.get(key)?.weight ?? 0
    return this.#entries.delete(key)
  }

  #evict(newest: K) {
    while (this.size > 1 && this.#isOver) {
      const [key, entry] = this.#entries.entries().next().value!
      this.#entries.delete(key)
      if (entry.isUsed || key === newest) {
        entry.isUsed = false
        this.#entries.set(key, entry)
      } else {
        this.#weight -= entry.weight
        this.#onEvict()
      }
    }
  }

  get #isOver(): boolean {
    return this.size > this.#limits.entries || this.#weight > this.#limits.weight
  }
}
