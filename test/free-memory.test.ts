import { describe, expect, it } from 'vitest'
import { freeMemory } from '../src/free-memory.ts'

describe('memory that nobody uses any more', () => {
  it('is freed before the garbage is collected', () => {
    const pieces = Array.from({ length: 100 }, () => Buffer.alloc(2 ** 20, 1))
    const between = process.memoryUsage().arrayBuffers
    for (const piece of pieces) freeMemory(piece)
    const after = process.memoryUsage().arrayBuffers
    expect(between - after).toBeGreaterThanOrEqual(100 * 2 ** 20)
    expect(pieces.every(({ length }) => length === 0)).toBe(true)
  })

  it('is kept if it is a part of a larger memory', () => {
    const whole = Buffer.alloc(2 ** 16, 7)
    freeMemory(whole.subarray(1))
    freeMemory(whole.subarray(0, 2 ** 15))
    expect(whole.every((byte) => byte === 7)).toBe(true)
  })

  it('may be freed twice', () => {
    const bytes = new Uint8Array(2 ** 16)
    freeMemory(bytes)
    expect(() => freeMemory(bytes)).not.toThrow()
  })
})
