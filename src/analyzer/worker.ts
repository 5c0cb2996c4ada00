/** The thread of the analyzer: one task after the other. */
import { parentPort } from 'node:worker_threads'
import type { Progress } from '../analysis/analyze.ts'
import { FormulaError } from '../language/ast.ts'
import { loadCatalog } from '../losses/load-catalog.ts'
import type { Reply, Request } from './analyzer.ts'
import { perform } from './tasks.ts'

const catalog = loadCatalog()
const port = parentPort!

port.on('message', async ({ id, task }: Request) => {
  const known = await catalog
  const tell = (progress: Progress) => port.postMessage({ id, progress } satisfies Reply)
  port.postMessage(answer(id, () => perform(task, known, tell)))
})

function answer(id: number, compute: () => unknown): Reply {
  try {
    return { id, result: compute() }
  } catch (error) {
    const { message, stack } = error as Error
    const isClients =
      error instanceof RangeError ||
      error instanceof FormulaError ||
      (error as Error).name === 'TooManyScalars'
    return { id, error: { message, stack, isClients } }
  }
}
