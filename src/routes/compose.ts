/** POST /v1/losses:compose: a weighted sum of losses over shared tensors. Its terms run concurrently. */
import type { JobTiming } from '../batching/job.ts'
import { type Composition, checkComposition } from '../schemas/compose.ts'
import { compositionSchema } from '../schemas/openapi.ts'
import { formats } from '../wire/index.ts'
import type { RouteContext, Routes } from './context.ts'
import { type EncodedResponse, type Received, registerExchange } from './exchange.ts'

const routes: Routes = (app, context) => {
  const target = { name: 'compose', handle: (received: Received) => compose(context, received) }
  registerExchange(app, context, {
    // Two colons in a route are one colon in the path.
    path: '/v1/losses::compose',
    schema: { ...compositionSchema(formats), 'x-problems': [404] },
    target: () => target,
  })
}

export default routes

async function compose(context: RouteContext, received: Received): Promise<EncodedResponse> {
  const composition = checkComposition(context.catalog, received.decoded, received.check)
  const submitted = performance.now()
  const timing = await runTerms(context, composition)
  const computed = performance.now()
  return received.write(composition.answer(), timing, { submitted, computed })
}

/** The longest queue time, and the total compute time. */
async function runTerms({ batcher }: RouteContext, composition: Composition): Promise<JobTiming> {
  const timings = await Promise.all(
    composition.terms.map((term) =>
      // The result is in the engine's memory, so it is added up before anything else may run. Only what is in the
      // response must be finite: the loss of the term, and the sum of the gradients.
      batcher.submit(term.job, (result) => {
        composition.add(term, term.answer(result, 'propagate'))
        return result.timing
      }),
    ),
  )
  return {
    queueMs: Math.max(...timings.map(({ queueMs }) => queueMs)),
    computeMs: timings.reduce((sum, { computeMs }) => sum + computeMs, 0),
    batchJobs: Math.max(...timings.map(({ batchJobs }) => batchJobs)),
    engine: [...new Set(timings.map(({ engine }) => engine))].join('+'),
  }
}
