/** Threads that compute parts: what they do not finish is not an answer. */
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { Threads, type Work } from '../../src/evaluator/threads.ts'

/** It ends when it is told to begin. */
const ending = () =>
  new Worker(`require('worker_threads').parentPort.once('message', () => process.exit(0))`, { eval: true })

const evaluate = (signal?: AbortSignal) =>
  new Threads(2, ending).evaluate(
    {} as Work,
    [0, 1, 2],
    { series: [], hasBuckets: false, keepsRows: false },
    {
      onRows: () => {},
      finish: () => {},
      isDue: () => false,
      signal,
    },
  )

it('a thread that ends before its last part is a failure', async () => {
  await expect(evaluate()).rejects.toThrow('a thread ended before its parts were done')
})

it('threads that are stopped end with the reason', async () => {
  const stopping = new AbortController()
  const running = evaluate(stopping.signal)
  stopping.abort(new Error('interrupted'))
  await expect(running).rejects.toThrow('interrupted')
})
