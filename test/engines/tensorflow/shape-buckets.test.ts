/** Shape buckets: their sizes, and that padding and unpadding are inverses in every memory layout. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { batchAxisOf, bucketSize, padded, unpad } from '../../../src/engines/tensorflow/shape-buckets.ts'
import { lower } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { SCOPE } from '../../support/formulas.ts'

describe('a shape bucket', () => {
  it.each([
    [0, 16],
    [1, 16],
    [17, 32],
    [1000, 1024],
    [1025, 1280],
    [1281, 1536],
    [2048, 2048],
    [1_024_000, 1_048_576],
  ])('for %i is %i', (count, room) => {
    expect(bucketSize(count)).toBe(room)
  })

  it('is large enough and, beyond 1024, at most a quarter empty', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 26 }), (count) => {
        const room = bucketSize(count)
        expect(room).toBeGreaterThanOrEqual(count)
        if (count > 1024) expect(room).toBeLessThanOrEqual(count * 1.25)
        expect(bucketSize(room)).toBe(room)
      }),
    )
  })

  it('pads independent rows, and nothing if rows interact', () => {
    const rows = (text: string) => batchAxisOf(lower(parse(text), SCOPE, ['x']))
    expect(rows('sum(x, columns)')).toBe('rows')
    expect(rows('sum(v[rows -> others] * v, others)')).toBeUndefined()
    expect(rows('sum(sum(x, columns), rows)')).toBeUndefined()
  })
})

describe('padding', () => {
  const cases = fc.record({
    axes: fc.shuffledSubarray(['a', 'rows', 'b'], { minLength: 1 }),
    count: fc.integer({ min: 0, max: 5 }),
    extra: fc.integer({ min: 0, max: 3 }),
  })
  it('adds zeros, and unpadding removes them', () => {
    fc.assert(
      fc.property(cases, ({ axes, count, extra }) => {
        const lengths: Record<string, number> = { a: 2, b: 3, rows: count }
        const elements = axes.reduce((product, axis) => product * lengths[axis]!, 1)
        const data = Float32Array.from({ length: elements }, (_, i) => i + 1)
        const filling = { axis: 'rows', count, room: count + extra }
        const sizes = { ...lengths, rows: filling.room }
        const wide = padded(data, axes, sizes, filling)
        expect(wide.length).toBe(
          axes.reduce((product, axis) => product * sizes[axis as keyof typeof sizes]!, 1),
        )
        expect(wide.filter((x) => x !== 0)).toEqual(data)
        expect(unpad(wide, axes, sizes, filling)).toEqual(data)
      }),
    )
  })
})
