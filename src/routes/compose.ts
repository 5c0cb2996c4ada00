/** POST /v1/losses:compose: a weighted sum of losses over shared tensors. Its terms run concurrently. */
import type { JobTiming } from '../batching/job.ts'
import type { Catalog } from '../losses/catalog.ts'
import type { ResolvedLoss } from '../losses/define.ts'
import { isRegisteredName } from '../registry/name.ts'
import { findServable } from '../registry/retirement.ts'
import type { ScopedRegistry } from '../registry/scoped-registry.ts'
import { type Composition, checkComposition, MAX_TERMS, type TermLosses } from '../schemas/compose.ts'
import { resolveLoss } from '../schemas/find-loss.ts'
import { createDefinitionSource, type DefinitionSource } from '../schemas/inline.ts'
import { compositionSchema } from '../schemas/openapi.ts'
import { formats } from '../wire/index.ts'
import type { RouteContext, Routes } from './context.ts'
import { type EncodedResponse, type Received, registerExchange } from './exchange.ts'

const routes: Routes = (app, context) => {
  const definitions = createDefinitionSource(context.programs)
  const handle = async (received: Received) => {
    const registry = context.seenBy(received.request)
    const losses = await lossesOf(
      received.decoded.options.get('terms'),
      context.catalog,
      registry,
      definitions,
    )
    return compose(context, received, losses)
  }
  const target = { name: 'compose', handle }
  registerExchange(app, context, {
    // Two colons in a route are one colon in the path.
    path: '/v1/losses::compose',
    schema: { ...compositionSchema(formats), 'x-problems': [404, 410, 501] },
    target: () => target,
  })
}

export default routes

/** The losses of all terms. Custom losses that are not cached are looked up in the store first. */
async function lossesOf(
  terms: unknown,
  catalog: Catalog,
  registry: ScopedRegistry,
  definitions: DefinitionSource,
): Promise<TermLosses> {
  const own = new Map<string, ResolvedLoss>()
  for (const name of registeredNamesIn(terms)) {
    const [namespace, ...rest] = name.split('/')
    own.set(name, (await findServable(registry, { namespace, name: rest.join('/') })).resolved)
  }
  return {
    resolve: (loss, place) =>
      typeof loss === 'string'
        ? (own.get(loss) ?? resolveLoss(catalog, loss))
        : definitions(loss.definition, `/terms/${place}/loss/definition`),
    hint: (name) => own.get(name)?.loss ?? catalog.find(name),
  }
}

/** Before terms have been checked: whatever looks like a name. */
function registeredNamesIn(terms: unknown): ReadonlySet<string> {
  const list: readonly { loss?: unknown }[] = Array.isArray(terms) ? terms.slice(0, MAX_TERMS) : []
  const names = list.map((term) => term?.loss).filter((loss) => typeof loss === 'string')
  return new Set(names.filter(isRegisteredName))
}

async function compose(
  context: RouteContext,
  received: Received,
  losses: TermLosses,
): Promise<EncodedResponse> {
  const composition = checkComposition(losses, received.decoded, received.check)
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
