/** A bounded cache: a Map whose least recently used entry is evicted. */

/**
 * Puts an entry at the end, and evicts the first one if there are more than allowed.
 *
 * @example
 * const cache = new Map<string, number>()
 * const value = use(cache, 'key', cache.get('key') ?? compute(), 100)
 */
export function use<K, V>(cache: Map<K, V>, key: K, value: V, capacity: number): V {
  cache.delete(key)
  cache.set(key, value)
  if (cache.size > capacity) cache.delete(cache.keys().next().value!)
  return value
}
