/**
 * POST /v1/losses/{name}: one route a loss, all with the same flow: negotiate, decode, check, submit, answer, encode.
 * Times are taken here and leave with the answer in `Server-Timing`.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { JobResult } from '../batching/job.ts'
import type { Asked } from '../losses/define.ts'
import { checkRequest } from '../schemas/check.ts'
import { lossSchema } from '../schemas/openapi.ts'
import { formats } from '../wire/index.ts'
import type { RouteContext, Routes } from './context.ts'
import { encodeAnswer, registerExchange, signalOf } from './exchange.ts'

const routes: Routes = (app, context) => {
  for (const { name, spellings } of context.catalog.losses) {
    for (const spelling of spellings.keys()) {
      const asked = context.catalog.asked(spelling)!
      registerExchange(app, context, {
        path: `/v1/losses/${spelling}`,
        name,
        schema: spelling === name ? lossSchema(asked.loss, formats) : { hide: true },
        handle: (request, reply) => {
          const turn = context.batcher.turns.next(sizeOf(request.body))
          if (turn === undefined) return evaluate(asked, context, request, reply)
          return turn.then(() => evaluate(asked, context, request, reply))
        },
      })
    }
  }
}

export default routes

function sizeOf(body: unknown): number {
  return body instanceof Uint8Array ? body.length : 0
}

function evaluate(asked: Asked, context: RouteContext, request: FastifyRequest, reply: FastifyReply) {
  const started = performance.now()
  reply.started = started
  const decoded = reply.formats!.input.decode(request.body as Uint8Array, context.config)
  const checked = checkRequest(asked, decoded, {
    outlines: context.outlines,
    signal: () => signalOf(reply),
    deadline: started + reply.deadlineMs!,
  })
  const submitted = performance.now()
  // The result lies in the engine's memory: it is written to the answer before anything else may run.
  const write = (result: JobResult): Uint8Array => {
    const moments = { started, submitted, computed: performance.now() }
    return encodeAnswer(reply, checked.answer(result), result.timing, moments)
  }
  const atOnce = context.batcher.now(checked.job)
  if (atOnce !== undefined) return reply.send(write(atOnce))
  return context.batcher.submit(checked.job, write).then((body) => reply.send(body))
}
