/** Cooperative scheduling: large pieces of work run one per event loop iteration. */
import { expect, it } from 'vitest'
import { createEventLoopYield, LARGE_BYTES } from '../../src/batching/event-loop-yield.ts'

it('large pieces run in different iterations, in order of arrival', async () => {
  const turns = createEventLoopYield()
  let round = 0
  const count = () => {
    round++
    if (round < 20) setImmediate(count)
  }
  setImmediate(count)
  const rounds: number[] = []
  await Promise.all([1, 2, 3].map(() => turns.next(LARGE_BYTES)!.then(() => rounds.push(round))))
  expect(rounds).toHaveLength(3)
  expect(new Set(rounds).size).toBe(3)
  expect([...rounds].sort((a, b) => a - b)).toEqual(rounds)
})

it('small pieces run at once', () => {
  expect(createEventLoopYield().next(LARGE_BYTES - 1)).toBeUndefined()
})
