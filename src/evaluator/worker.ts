/** A thread that evaluates parts. */
import { parentPort, workerData } from 'node:worker_threads'
import { loadLosses } from '../losses/load-catalog.ts'
import { Database } from './database.ts'
import { PartEvaluator } from './evaluate.ts'
import { failureOf } from './failure.ts'
import type { FromThread, ToThread, Work } from './threads.ts'

const port = parentPort!
const { request, losses, file, road, parts } = workerData as Work
const evaluator = open()
evaluator.catch(() => {})

/** Rows are reported this often. */
const REPORT_MS = 50

let isStopped = false

async function open(): Promise<PartEvaluator> {
  return PartEvaluator.open(request, file, await loadLosses(losses), new Database(), road)
}

port.on('message', async (message: ToThread) => {
  if (message === 'end') {
    isStopped = true
    return port.close()
  }
  try {
    let [rows, told] = [0, performance.now()]
    const state = await (await evaluator).evaluate(parts[message.evaluate], (more) => {
      if (isStopped) throw new Error('the evaluation was stopped')
      rows += more
      if (performance.now() - told < REPORT_MS) return
      port.postMessage({ rows } satisfies FromThread)
      rows = 0
      told = performance.now()
    })
    port.postMessage({ rows } satisfies FromThread)
    port.postMessage({ done: message.evaluate, record: state.record() } satisfies FromThread)
  } catch (error) {
    port.postMessage({ failed: failureOf(error) } satisfies FromThread)
  }
})
