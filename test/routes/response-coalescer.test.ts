/** Answers leave together at the end of a round of the event loop, and wait for nothing longer. */
import { expect, it } from 'vitest'
import { createEventLoopYield, LARGE_BYTES } from '../../src/batching/event-loop-yield.ts'
import { ResponseCoalescer } from '../../src/routes/response-coalescer.ts'

function boxOf() {
  const left: string[] = []
  const responses = new ResponseCoalescer()
  const add = (name: string, now = 0) => responses.add({ depart: () => left.push(name) }, now)
  return { responses, left, add }
}

const nextRound = () => new Promise((resolve) => setImmediate(resolve))

it('what is ready in one round leaves at its end, in order', async () => {
  const { left, add } = boxOf()
  add('first')
  add('second')
  await Promise.resolve()
  expect(left).toEqual([])
  await nextRound()
  expect(left).toEqual(['first', 'second'])
})

it('nothing leaves twice, and a next round has its own answers', async () => {
  const { left, add } = boxOf()
  add('first')
  await nextRound()
  add('second')
  await nextRound()
  await nextRound()
  expect(left).toEqual(['first', 'second'])
})

it('the first waits a millisecond for the others at most', () => {
  const { left, add } = boxOf()
  add('first', 100)
  add('second', 100.9)
  expect(left).toEqual([])
  add('third', 101.1)
  expect(left).toEqual(['first', 'second', 'third'])
})

it('an answer that comes while the others leave has a round of its own', async () => {
  const { responses, left, add } = boxOf()
  responses.add({ depart: () => add('late') }, 0)
  await nextRound()
  expect(left).toEqual([])
  await nextRound()
  expect(left).toEqual(['late'])
})

it('they are gone before a large piece of work has its turn', async () => {
  const { responses, left, add } = boxOf()
  const turns = createEventLoopYield(responses.empty)
  const working = turns.next(LARGE_BYTES)!.then(() => [...left])
  await Promise.resolve()
  add('small')
  expect(await working).toEqual(['small'])
})
