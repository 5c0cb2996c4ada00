/**
 * POST /v1/losses/{name}: negotiate, decode, validate, submit, build the response, encode. Each loss of the catalog
 * has a route of its own, which the API documentation shows. All other names share one route that is not in the
 * documentation. The times of these steps are sent in `Server-Timing`.
 */
import type { FastifyRequest } from 'fastify'
import type { JobResult } from '../batching/job.ts'
import type { ResolvedLoss } from '../losses/define.ts'
import { checkRequest } from '../schemas/check.ts'
import { resolveLoss } from '../schemas/find-loss.ts'
import { lossSchema } from '../schemas/openapi.ts'
import { formats } from '../wire/index.ts'
import type { RouteContext, Routes } from './context.ts'
import { type EncodedResponse, type LossHandler, type Received, registerExchange } from './exchange.ts'

const routes: Routes = (app, context) => {
  const { catalog } = context
  for (const { name } of catalog.losses) {
    const resolved = resolveLoss(catalog, name)
    const target = handlerOf(resolved, context)
    const schema = lossSchema(resolved.loss, formats)
    registerExchange(app, context, { path: `/v1/losses/${name}`, schema, target: () => target })
  }
  registerExchange(app, context, {
    path: '/v1/losses/:name',
    schema: { hide: true },
    target: ({ params }: FastifyRequest) =>
      handlerOf(resolveLoss(catalog, (params as { name: string }).name), context),
  })
}

export default routes

/** A loss as a target of requests, wherever it comes from. */
export function handlerOf(resolved: ResolvedLoss, context: RouteContext): LossHandler {
  return { name: resolved.loss.name, handle: (received) => evaluate(resolved, context, received) }
}

/** @param request the part of the body that is for the loss; the whole body unless it also contains the loss itself */
export function evaluate(
  resolved: ResolvedLoss,
  { batcher }: RouteContext,
  received: Received,
  request = received.decoded,
): EncodedResponse | Promise<EncodedResponse> {
  const checked = checkRequest(resolved, request, received.check)
  const submitted = performance.now()
  // The result is in the engine's memory: it must be written, or held, before anything else may run.
  const write = (result: JobResult): EncodedResponse => {
    const moments = { submitted, computed: performance.now() }
    return received.write(checked.answer(result), result.timing, moments, result.hold)
  }
  const atOnce = batcher.now(checked.job)
  return atOnce === undefined ? batcher.submit(checked.job, write) : write(atOnce)
}
