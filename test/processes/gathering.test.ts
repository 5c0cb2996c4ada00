/** What several processes know is gathered from all that answer. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Gathering } from '../../src/processes/gathering.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

it('resolves with the parts of all', async () => {
  const gathering = new Gathering<string>()
  const found = gathering.gather(['a', 'b'], (process, id) =>
    gathering.give(process, id, `part of ${process}`),
  )
  expect(await found).toEqual(['part of a', 'part of b'])
})

it('does not wait for a process that has ended, nor long for one that hangs', async () => {
  const gathering = new Gathering<string>()
  const found = gathering.gather(['a', 'hangs', 'ends'], (process, id) => {
    if (process === 'a') gathering.give(process, id, 1)
  })
  gathering.leave('ends')
  await vi.advanceTimersByTimeAsync(1000)
  expect(await found).toEqual([1])
})

it('counts no process twice, and nothing that comes too late', async () => {
  const gathering = new Gathering<string>()
  const ids: number[] = []
  const found = gathering.gather(['a', 'b'], (_, id) => ids.push(id))
  gathering.give('a', ids[0]!, 1)
  gathering.give('a', ids[0]!, 1)
  gathering.give('b', ids[0]!, 2)
  expect(await found).toEqual([1, 2])
  gathering.give('b', ids[0]!, 3)
  expect(await found).toEqual([1, 2])
})
