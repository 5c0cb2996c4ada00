/**
 * POST /v1/losses/{name}: one route a loss, all with the same flow: negotiate, decode, check, submit, answer, encode.
 * Times are taken here and leave with the answer in `Server-Timing`.
 */
import type { FastifyReply } from 'fastify'
import type { JobResult } from '../batching/job.ts'
import type { Asked } from '../losses/define.ts'
import { checkRequest } from '../schemas/check.ts'
import { lossSchema } from '../schemas/openapi.ts'
import { formats } from '../wire/index.ts'
import type { RouteContext, Routes } from './context.ts'
import { encodeAnswer, type Received, registerExchange } from './exchange.ts'

const routes: Routes = (app, context) => {
  for (const { name, spellings } of context.catalog.losses) {
    for (const spelling of spellings.keys()) {
      const asked = context.catalog.asked(spelling)!
      registerExchange(app, context, {
        path: `/v1/losses/${spelling}`,
        name,
        schema: spelling === name ? lossSchema(asked.loss, formats) : { hide: true },
        handle: (received, reply) => evaluate(asked, context, received, reply),
      })
    }
  }
}

export default routes

function evaluate(
  asked: Asked,
  { batcher }: RouteContext,
  { decoded, check, started }: Received,
  reply: FastifyReply,
) {
  const checked = checkRequest(asked, decoded, check)
  const submitted = performance.now()
  // The result lies in the engine's memory: it is written to the answer before anything else may run.
  const write = (result: JobResult): Uint8Array => {
    const moments = { started, submitted, computed: performance.now() }
    return encodeAnswer(reply, checked.answer(result), result.timing, moments)
  }
  const atOnce = batcher.now(checked.job)
  if (atOnce !== undefined) return reply.send(write(atOnce))
  return batcher.submit(checked.job, write).then((body) => reply.send(body))
}
