/** Fair queuing: nobody gets more than others because they send more, or starves because others send smaller things. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { FairQueue, type Sender } from '../../src/batching/fair-queue.ts'

const [ann, bob] = [{}, {}]
const of = (caller: object, connection: object = {}): Sender => ({ caller, connection, isKnown: true })

function drain<T>(queue: FairQueue<T>, most = Number.POSITIVE_INFINITY): T[] {
  const served: T[] = []
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
    served.push(item)
    if (served.length === most) break
  }
  return served
}

it('requests of one connection keep their order', () => {
  const queue = new FairQueue<number>()
  const sender = of(ann)
  for (const item of [1, 2, 3, 4]) queue.push(item, 10 / item, sender)
  expect(drain(queue)).toEqual([1, 2, 3, 4])
})

it('a caller with a hundred connections gets no more than one with a single connection', () => {
  const queue = new FairQueue<string>()
  for (let i = 0; i < 100; i++) queue.push(`ann ${i}`, 1, of(ann))
  const connection = {}
  for (let i = 0; i < 10; i++) queue.push(`bob ${i}`, 1, of(bob, connection))
  const first = drain(queue, 20)
  expect(first.filter((item) => item.startsWith('bob'))).toHaveLength(10)
})

it('what counts is the cost: who sends large things gets as much as who sends small ones', () => {
  const queue = new FairQueue<string>()
  const [large, small] = [{}, {}]
  for (let i = 0; i < 10; i++) queue.push(`large ${i}`, 10, of(ann, large))
  for (let i = 0; i < 100; i++) queue.push(`small ${i}`, 1, of(ann, small))
  const costs = { large: 0, small: 0 }
  for (const item of drain(queue, 55))
    costs[item.startsWith('large') ? 'large' : 'small'] += item.startsWith('large') ? 10 : 1
  expect(Math.abs(costs.large - costs.small)).toBeLessThanOrEqual(10)
})

it('connections with one request each are served in order of arrival, whatever they got before', () => {
  const queue = new FairQueue<string>()
  const connections = Array.from({ length: 5 }, () => ({}))
  queue.push('before', 100, of(ann, connections[0]!))
  queue.shift()
  for (const [i, connection] of connections.entries()) queue.push(`${i}`, 1 + i, of(ann, connection))
  expect(drain(queue)).toEqual(['0', '1', '2', '3', '4'])
})

it('a caller who asks rarely is served before one who never stops', () => {
  const queue = new FairQueue<string>()
  for (let i = 0; i < 50; i++) queue.push(`busy ${i}`, 1, of(ann))
  for (let i = 0; i < 20; i++) queue.shift()
  queue.push('rare', 1, of(bob))
  expect(drain(queue).indexOf('rare')).toBeLessThanOrEqual(1)
})

it('knows what would be served before something', () => {
  const queue = new FairQueue<string>()
  const connection = {}
  queue.push('a', 5, of(ann, connection))
  queue.push('b', 5, of(ann, connection))
  // After what the same connection has waiting.
  expect(queue.costBefore(1, of(ann, connection))).toBeGreaterThanOrEqual(5)
  // Another caller waits for no more than it gets itself.
  expect(queue.costBefore(2, of(bob))).toBe(2)
})

it('what was removed is not served, and nothing else is lost: any sequence of calls', () => {
  const call = fc.record({
    what: fc.constantFrom('push', 'shift', 'remove'),
    caller: fc.nat(3),
    connection: fc.nat(3),
    cost: fc.nat(20),
  })
  fc.assert(
    fc.property(fc.array(call, { maxLength: 200 }), (calls) => {
      const queue = new FairQueue<number>()
      const callers = Array.from({ length: 4 }, () => ({
        caller: {},
        connections: Array.from({ length: 4 }, () => ({})),
      }))
      const waiting = new Map<number, number>()
      for (const [id, { what, caller, connection, cost }] of calls.entries()) {
        if (what === 'push') {
          const { caller: who, connections } = callers[caller]!
          queue.push(id, cost, of(who, connections[connection]!))
          waiting.set(id, cost)
        } else if (what === 'shift') {
          const item = queue.shift()
          expect(item === undefined).toBe(waiting.size === 0)
          if (item !== undefined) expect(waiting.delete(item)).toBe(true)
        } else {
          const [item] = waiting.keys()
          if (item === undefined) continue
          expect(queue.remove(item)).toBe(true)
          expect(queue.remove(item)).toBe(false)
          waiting.delete(item)
        }
        expect(queue.size).toBe(waiting.size)
        expect(queue.cost).toBeCloseTo([...waiting.values()].reduce((sum, cost) => sum + cost, 0))
      }
      expect(drain(queue).sort()).toEqual([...waiting.keys()].sort())
    }),
  )
})
