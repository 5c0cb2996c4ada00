/** Cooperative scheduling: large pieces of work share the event loop with everything else, and with each other. */
import { expect, it } from 'vitest'
import { createEventLoopYield, LARGE_BYTES } from '../../src/batching/event-loop-yield.ts'

/** Runs pieces that take so long each, with a clock that only they advance. */
async function iterationsOf(pieces: number, pieceMs: number, waitedMs = 0) {
  let clock = 0
  const turns = createEventLoopYield({ clock: () => clock })
  let [iteration, isOver] = [0, false]
  const count = () => {
    iteration++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const iterations: number[] = []
  const done = Array.from({ length: pieces }, () =>
    turns.run({ bytes: LARGE_BYTES, kind: 'test' }, () => {
      iterations.push(iteration)
      clock += pieceMs
    }),
  )
  clock += waitedMs
  await Promise.all(done)
  isOver = true
  return iterations
}

it('a few large pieces run one per iteration, so that everyone else waits for one of them', async () => {
  expect(new Set(await iterationsOf(3, 5)).size).toBe(3)
})

it('when large pieces have waited long, several run in an iteration', async () => {
  const iterations = await iterationsOf(40, 5, 500)
  expect(new Set(iterations).size).toBeLessThanOrEqual(8)
})

it('however long they wait, everyone else gets a turn after 50 ms and one piece', async () => {
  const iterations = await iterationsOf(60, 5, 60_000)
  for (const iteration of iterations)
    expect(iterations.filter((other) => other === iteration).length).toBeLessThanOrEqual(11)
})

it('senders take turns, however many pieces each has', async () => {
  const turns = createEventLoopYield()
  const [caller, busy, other] = [{}, {}, {}]
  const order: string[] = []
  const piece = (name: string, connection: object) =>
    turns.run({ bytes: LARGE_BYTES, kind: 'test', sender: { caller, connection, isKnown: false } }, () =>
      order.push(name),
    )
  await Promise.all([...[1, 2, 3, 4].map(() => piece('busy', busy)), piece('other', other)])
  expect(order.indexOf('other')).toBeLessThanOrEqual(1)
})

it('small pieces run at once', () => {
  expect(createEventLoopYield().run({ bytes: LARGE_BYTES - 1, kind: 'test' }, () => 'done')).toBe('done')
})

it('a piece that fails harms only itself', async () => {
  const turns = createEventLoopYield()
  const piece = (work: () => string) => turns.run({ bytes: LARGE_BYTES, kind: 'test' }, work)
  const failing = piece(() => {
    throw new Error('this one')
  })
  const fine = piece(() => 'fine')
  await expect(failing).rejects.toThrow('this one')
  expect(await fine).toBe('fine')
})

it('tells what waits, and how long it will take', async () => {
  const counts: number[] = []
  const turns = createEventLoopYield({ onWaiting: (count) => counts.push(count) })
  const done = turns.run({ bytes: 3 * LARGE_BYTES, kind: 'test' }, () => {})
  expect(turns.waiting).toBe(1)
  expect(turns.backlogMs).toBeCloseTo(3)
  await done
  expect(counts).toEqual([1, 0])
  expect(turns.backlogMs).toBe(0)
})
