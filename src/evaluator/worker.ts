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

const added: number[] = []
/** One message after the other. */
let last: Promise<void> = Promise.resolve()

port.on('message', (message: ToThread) => {
  if (message === 'end') {
    isStopped = true
    return port.close()
  }
  last = last.then(() => (message === 'take' ? handOver() : add(message.evaluate))).catch(fail)
})

async function add(place: number) {
  let [rows, told] = [0, performance.now()]
  const tell = () => {
    port.postMessage({ rows } satisfies FromThread)
    rows = 0
    told = performance.now()
  }
  await (await evaluator).add(parts[place], (more) => {
    if (isStopped) throw new Error('the evaluation was stopped')
    rows += more
    if (performance.now() - told >= REPORT_MS) tell()
  })
  tell()
  added.push(place)
  port.postMessage({ added: place } satisfies FromThread)
}

async function handOver() {
  const record = (await evaluator).take().record()
  port.postMessage({ done: added.splice(0), record } satisfies FromThread)
}

function fail(error: unknown) {
  port.postMessage({ failed: failureOf(error) } satisfies FromThread)
}
