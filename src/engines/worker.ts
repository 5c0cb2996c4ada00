/** The entry of the compute thread: opens an engine and answers messages, one batch after the other. */
import { parentPort, type TransferListItem, workerData } from 'node:worker_threads'
import type { Batch, BatchResult, Engine } from './define.ts'
import type { Reply, Request, SentBatch, WorkerOptions } from './messages.ts'
import { openLocal } from './open.ts'

const port = parentPort!
const programs = new Map<string, Batch['program']>()
const say = (reply: Reply, transfer: TransferListItem[] = []) => port.postMessage(reply, transfer)

try {
  const { engine, refused } = await openLocal((workerData as WorkerOptions).engine)
  listen(engine)
  say({ type: 'opened', info: engine.info, refused })
} catch (error) {
  say({ type: 'refused', reason: error instanceof Error ? error.message : String(error) })
  port.close()
}

/** One at a time and in order: two walks over one tfjs would mix their tensors. */
function listen(engine: Engine) {
  let last: Promise<void> = Promise.resolve()
  port.on('message', (request: Request) => {
    last = last.then(() => handle(engine, request))
  })
}

async function handle(engine: Engine, request: Request): Promise<void> {
  if (request.type === 'forget') return programs.clear()
  if (request.type === 'close') {
    await engine.close()
    return port.close()
  }
  const { id } = request
  try {
    if (request.type === 'stats') return say({ type: 'stats', id, stats: await engine.stats() })
    const result = await engine.run(complete(request.batch))
    say({ type: 'result', id, result }, buffersOf(result))
  } catch (error) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error))
    say({ type: 'failed', id, message, stack })
  }
}

function complete(batch: SentBatch): Batch {
  if (batch.program !== undefined) programs.set(batch.programKey, batch.program)
  return { ...batch, program: programs.get(batch.programKey)! }
}

function buffersOf({ values, denominators = values, gradients }: BatchResult): ArrayBuffer[] {
  const arrays = [values, denominators, ...Object.values(gradients)]
  return [...new Set(arrays.map((array) => array.buffer as ArrayBuffer))]
}
