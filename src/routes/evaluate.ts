/**
 * POST /v1/losses/{name}: one route a loss, all with the same flow: negotiate, decode, check, submit, answer, encode.
 * Times are taken here and leave with the answer in `Server-Timing`.
 */
import type { JobResult } from '../batching/job.ts'
import type { Asked } from '../losses/define.ts'
import { checkRequest } from '../schemas/check.ts'
import { lossSchema } from '../schemas/openapi.ts'
import { formats } from '../wire/index.ts'
import type { RouteContext, Routes } from './context.ts'
import { type Received, registerExchange, type Written } from './exchange.ts'

const routes: Routes = (app, context) => {
  for (const [spelling, asked] of context.catalog.names) {
    const { name } = asked.loss
    registerExchange(app, context, {
      path: `/v1/losses/${spelling}`,
      name,
      schema: spelling === name ? lossSchema(asked.loss, formats) : { hide: true },
      handle: (received) => evaluate(asked, context, received),
    })
  }
}

export default routes

function evaluate(asked: Asked, { batcher }: RouteContext, received: Received): Written | Promise<Written> {
  const checked = checkRequest(asked, received.decoded, received.check)
  const submitted = performance.now()
  // The result lies in the engine's memory: it is written before anything else may run, or held.
  const write = (result: JobResult): Written => {
    const moments = { submitted, computed: performance.now() }
    return received.write(checked.answer(result), result.timing, moments, result.hold)
  }
  const atOnce = batcher.now(checked.job)
  return atOnce === undefined ? batcher.submit(checked.job, write) : write(atOnce)
}
