/**
 * Response coalescing: responses are sent together at the end of an event loop iteration, and wait for nothing longer.
 */
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

it('responses of one iteration are sent at its end, in order', async () => {
  const { left, add } = boxOf()
  add('first')
  add('second')
  await Promise.resolve()
  expect(left).toEqual([])
  await nextRound()
  expect(left).toEqual(['first', 'second'])
})

it('nothing is sent twice, and the next iteration has its own responses', async () => {
  const { left, add } = boxOf()
  add('first')
  await nextRound()
  add('second')
  await nextRound()
  await nextRound()
  expect(left).toEqual(['first', 'second'])
})

it('the first response waits at most a millisecond for the others', () => {
  const { left, add } = boxOf()
  add('first', 100)
  add('second', 100.9)
  expect(left).toEqual([])
  add('third', 101.1)
  expect(left).toEqual(['first', 'second', 'third'])
})

it('a response that becomes ready while others are sent is sent in the next iteration', async () => {
  const { responses, left, add } = boxOf()
  responses.add({ depart: () => add('late') }, 0)
  await nextRound()
  expect(left).toEqual([])
  await nextRound()
  expect(left).toEqual(['late'])
})

it('responses are sent before a large piece of work runs', async () => {
  const { responses, left, add } = boxOf()
  const turns = createEventLoopYield({ before: responses.empty })
  const working = turns.run({ bytes: LARGE_BYTES, kind: 'test' }, () => [...left])
  await Promise.resolve()
  add('small')
  expect(await working).toEqual(['small'])
})
