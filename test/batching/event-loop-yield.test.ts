/** Large pieces of work: one in each round of the event loop. */
import { expect, it } from 'vitest'
import { createEventLoopYield, LARGE_BYTES } from '../../src/batching/event-loop-yield.ts'

it('large pieces run in different rounds, in the order in which they came', async () => {
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

it('small ones wait for nobody', () => {
  expect(createEventLoopYield().next(LARGE_BYTES - 1)).toBeUndefined()
})
