/** A launch is split between threads where that pays, without two threads that often write to the same cache line. */
import { describe, expect, it } from 'vitest'
import { rowRangesOf } from '../../../src/engines/compiled/row-ranges.ts'

const MS = 1e6
const spelled = (rows: number, threads: number, ns: number) =>
  rowRangesOf(rows, threads, ns).map(({ first, last }) => `${first}-${last}`)

describe('the rows of a launch', () => {
  it.each([
    ['stay together if all of them take no time', 1000, 2, 0.1 * MS, ['0-1000']],
    ['stay together on a single thread', 1000, 1, 50 * MS, ['0-1000']],
    ['are split at cache lines', 100, 2, 1 * MS, ['0-64', '64-100']],
    ['are split into no more ranges than are worth a message', 1000, 8, 0.7 * MS, ['0-512', '512-1000']],
    ['are split evenly if each takes long: four images', 4, 2, 20 * MS, ['0-2', '2-4']],
    ['are fewer than the threads: three images', 3, 8, 20 * MS, ['0-1', '1-2', '2-3']],
  ] as const)('%s', (_, rows, threads, ns, want) => {
    expect(spelled(rows, threads, ns)).toEqual(want)
  })

  it('are all in exactly one range, whatever their number', () => {
    for (const rows of [1, 5, 16, 17, 31, 33, 1000])
      for (const threads of [1, 2, 3, 7, 64])
        for (const ns of [0.2 * MS, 2 * MS, 900 * MS]) {
          const ranges = rowRangesOf(rows, threads, ns)
          expect(ranges[0]!.first).toBe(0)
          expect(ranges.at(-1)!.last).toBe(rows)
          for (const { first, index } of ranges.slice(1)) expect(first).toBe(ranges[index - 1]!.last)
        }
  })
})
