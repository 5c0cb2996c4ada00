/** Cooperative scheduling: large pieces of work share the event loop fairly with everything else. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { beforeEach, expect, it } from 'vitest'
import { createEventLoopYield, LARGE_BYTES } from '../../src/batching/event-loop-yield.ts'

/** Pieces and everything else advance this clock. Nothing takes time otherwise. */
let clock = 0
beforeEach(() => {
  clock = 0
})

/**
 * Runs pieces that take so long each, while everything else takes so long in each iteration.
 *
 * @returns the iteration of each piece, in the order in which they ran
 */
async function iterationsOf(pieces: number, pieceMs: number, othersMs: number) {
  const turns = createEventLoopYield(undefined, () => clock)
  let [iteration, isOver] = [0, false]
  const others = () => {
    iteration++
    clock += othersMs
    if (!isOver) setImmediate(others)
  }
  setImmediate(others)
  await nextTurn()
  const iterations: number[] = []
  const piece = async () => {
    await turns.next(LARGE_BYTES)
    iterations.push(iteration)
    clock += pieceMs
  }
  await Promise.all(Array.from({ length: pieces }, piece))
  isOver = true
  return iterations
}

it('pieces that take longer than everything else run in different iterations', async () => {
  const iterations = await iterationsOf(4, 5, 0)
  expect(new Set(iterations).size).toBe(4)
})

it('pieces get as much time as everything else: several short ones beside a busy iteration', async () => {
  const iterations = await iterationsOf(12, 3, 12)
  // Four of them take as long as everything else.
  expect(new Set(iterations).size).toBe(3)
})

it('however busy everything else is, pieces of 30 ms run one per iteration', async () => {
  const iterations = await iterationsOf(4, 30, 60)
  expect(new Set(iterations).size).toBe(4)
})

it('requests that have begun go first, each kind in order of arrival', async () => {
  const turns = createEventLoopYield()
  const order: string[] = []
  const piece = async (name: string, begun: boolean) => {
    await turns.next(LARGE_BYTES, begun)
    order.push(name)
  }
  await Promise.all([piece('a', false), piece('b', false), piece('c', true), piece('d', true)])
  expect(order).toEqual(['c', 'd', 'a', 'b'])
})

it('what must happen before a piece happens before each', async () => {
  let before = 0
  const turns = createEventLoopYield(() => before++)
  await Promise.all([turns.next(LARGE_BYTES), turns.next(LARGE_BYTES)])
  expect(before).toBe(2)
})

it('small pieces run at once', () => {
  expect(createEventLoopYield().next(LARGE_BYTES - 1)).toBeUndefined()
})
