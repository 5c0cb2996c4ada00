/** A thread that evaluates parts. */
import { parentPort } from 'node:worker_threads'
import { loadLosses } from '../losses/load-catalog.ts'
import { Database } from './database.ts'
import { PartEvaluator } from './evaluate.ts'
import { failureOf } from './failure.ts'
import type { Part } from './kernel-road.ts'
import type { FromThread, ToThread, Work } from './threads.ts'

const port = parentPort!
let parts: readonly Part[] = []
let evaluator: Promise<PartEvaluator> | undefined

/** Rows are reported this often. */
const REPORT_MS = 50

let isStopped = false

const added: number[] = []
/** One message after the other. */
let last: Promise<void> = Promise.resolve()

port.on('message', (message: ToThread) => {
  if (message === 'end') {
    isStopped = true
    return port.close()
  }
  last = last.then(() => doAsTold(message)).catch(fail)
})

function doAsTold(message: Exclude<ToThread, 'end'>): Promise<void> {
  if (message === 'take') return handOver()
  return 'begin' in message ? begin(message.begin) : add(message.evaluate)
}

async function begin({ request, losses, file, road, parts: all, rows }: Work) {
  parts = all
  const catalog = await loadLosses(losses)
  evaluator = PartEvaluator.open({ request, file, catalog, database: new Database(), road, rows })
  await evaluator
}

async function add(place: number) {
  let [rows, told] = [0, performance.now()]
  const tell = () => {
    port.postMessage({ rows } satisfies FromThread)
    rows = 0
    told = performance.now()
  }
  await (await evaluator!).add(parts[place], (more) => {
    if (isStopped) throw new Error('the evaluation was stopped')
    rows += more
    if (performance.now() - told >= REPORT_MS) tell()
  })
  tell()
  added.push(place)
  port.postMessage({ added: place } satisfies FromThread)
}

async function handOver() {
  const record = (await evaluator!).take().record()
  port.postMessage({ done: added.splice(0), record } satisfies FromThread)
}

function fail(error: unknown) {
  port.postMessage({ failed: failureOf(error) } satisfies FromThread)
}
