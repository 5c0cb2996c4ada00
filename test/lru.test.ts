import { describe, expect, it } from 'vitest'
import { LruCache } from '../src/lru.ts'

describe('a cache by weight', () => {
  const filled = () => {
    const cache = new LruCache<string, number>({ entries: 3, weight: 10 })
    cache.set('a', 1, 4)
    cache.set('b', 2, 4)
    return cache
  }

  it('gives back what was put into it', () => {
    const cache = filled()
    expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([1, 2, undefined])
    expect([cache.size, cache.weight]).toEqual([2, 8])
  })

  it('evicts what was not used for the longest time, until the rest is light enough', () => {
    const cache = filled()
    cache.get('a')
    expect(cache.set('c', 3, 4)).toBe(3)
    expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([1, undefined, 3])
    cache.set('d', 4, 9)
    expect([cache.size, cache.weight]).toEqual([1, 9])
  })

  it('holds so many entries and no more, however light', () => {
    const cache = new LruCache<number, number>({ entries: 3, weight: 10 })
    for (let i = 0; i < 5; i++) cache.set(i, i, 0)
    expect([0, 1, 2, 3, 4].map((i) => cache.get(i))).toEqual([undefined, undefined, 2, 3, 4])
  })

  it('holds the last entry, whatever it weighs', () => {
    const cache = filled()
    cache.set('c', 3, 1000)
    expect([cache.get('a'), cache.get('c'), cache.weight]).toEqual([undefined, 3, 1000])
    cache.set('d', 4, 1)
    expect([cache.get('c'), cache.get('d'), cache.weight]).toEqual([undefined, 4, 1])
  })

  it('counts an entry once that is put again, and not one that is deleted', () => {
    const cache = filled()
    cache.set('a', 5, 2)
    expect([cache.get('a'), cache.weight]).toEqual([5, 6])
    expect(cache.delete('b')).toBe(true)
    expect([cache.delete('b'), cache.weight]).toEqual([false, 2])
  })
})
