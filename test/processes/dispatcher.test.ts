/** The parent of several processes: no connection is lost between it and its workers. */
import type { Socket } from 'node:net'
import { expect, it } from 'vitest'
import { Dispatcher, type Target } from '../../src/processes/dispatcher.ts'

/** Records what it is given. */
class Fake implements Target {
  readonly given: Socket[] = []
  isGone = false

  give(connection: Socket): boolean {
    if (!this.isGone) this.given.push(connection)
    return !this.isGone
  }
}

function connection(): Socket & { destroyed: boolean } {
  const made = {
    destroyed: false,
    on: () => made,
    destroy: () => {
      made.destroyed = true
    },
  }
  return made as unknown as Socket & { destroyed: boolean }
}

it('gives each worker one connection at a time, and the next when it has taken it', () => {
  const dispatcher = new Dispatcher(100)
  const [a, b] = [new Fake(), new Fake()]
  dispatcher.add(a)
  dispatcher.add(b)
  for (let i = 0; i < 4; i++) dispatcher.accept(connection())
  expect([a.given.length, b.given.length]).toEqual([1, 1])
  dispatcher.took(a, 1)
  dispatcher.took(a, 2)
  expect([a.given.length, b.given.length]).toEqual([3, 1])
})

it('prefers the worker with the fewest connections', () => {
  const dispatcher = new Dispatcher(100)
  const [a, b] = [new Fake(), new Fake()]
  dispatcher.add(a)
  dispatcher.add(b)
  dispatcher.counted(a, 10)
  for (let i = 1; i <= 5; i++) {
    dispatcher.accept(connection())
    dispatcher.took(b, i)
  }
  expect([a.given.length, b.given.length]).toEqual([0, 5])
})

it('closes its own handle of a connection when the worker has taken it', () => {
  const dispatcher = new Dispatcher(100)
  const worker = new Fake()
  dispatcher.add(worker)
  const one = connection()
  dispatcher.accept(one)
  expect(one.destroyed).toBe(false)
  dispatcher.took(worker, 1)
  expect(one.destroyed).toBe(true)
})

it('gives what a worker has not taken when it ends to another one', () => {
  const dispatcher = new Dispatcher(100)
  const [a, b] = [new Fake(), new Fake()]
  dispatcher.add(a)
  const one = connection()
  dispatcher.accept(one)
  dispatcher.add(b)
  dispatcher.remove(a)
  expect(b.given).toEqual([one])
  expect(one.destroyed).toBe(false)
})

it('keeps connections while there is no worker', () => {
  const dispatcher = new Dispatcher(100)
  const one = connection()
  dispatcher.accept(one)
  const gone = new Fake()
  gone.isGone = true
  dispatcher.add(gone)
  const worker = new Fake()
  dispatcher.add(worker)
  expect(worker.given).toEqual([one])
})

it('a worker that leaves takes what it was handed, and gets nothing more', async () => {
  const dispatcher = new Dispatcher(100)
  const worker = new Fake()
  dispatcher.add(worker)
  const [one, two] = [connection(), connection()]
  dispatcher.accept(one)
  dispatcher.retire(worker)
  dispatcher.accept(two)
  dispatcher.took(worker, 1)
  expect(worker.given).toEqual([one])
  expect(one.destroyed).toBe(true)
})

it('is empty when all that was accepted has been taken', async () => {
  const dispatcher = new Dispatcher(100)
  const worker = new Fake()
  dispatcher.add(worker)
  dispatcher.accept(connection())
  dispatcher.accept(connection())
  let isEmpty = false
  const empty = dispatcher.empty().then(() => {
    isEmpty = true
  })
  dispatcher.took(worker, 1)
  await Promise.resolve()
  expect(isEmpty).toBe(false)
  dispatcher.took(worker, 2)
  await empty
  expect(isEmpty).toBe(true)
})

it('closes connections beyond the limit at once', () => {
  const dispatcher = new Dispatcher(2)
  const worker = new Fake()
  dispatcher.add(worker)
  const all = [connection(), connection(), connection()]
  for (const one of all) dispatcher.accept(one)
  expect(all.map(({ destroyed }) => destroyed)).toEqual([false, false, true])
})
