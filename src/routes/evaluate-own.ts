/** POST /v1/losses/{namespace}/{name}: a registered custom loss, by default its latest version. */
import type { FastifyRequest } from 'fastify'
import { ownName } from '../registry/name.ts'
import type { OwnLoss } from '../registry/registry.ts'
import { deprecationOf, findServable, knownServable, type OwnAddress } from '../registry/servable.ts'
import { ownSchema } from '../schemas/openapi.ts'
import { formats } from '../wire/index.ts'
import type { RouteContext, Routes } from './context.ts'
import { evaluate } from './evaluate.ts'
import { type EncodedResponse, type Received, registerExchange, type Target } from './exchange.ts'

const routes: Routes = (app, context) => {
  registerExchange(app, context, {
    path: '/v1/losses/:namespace/:name',
    schema: { ...ownSchema(formats), 'x-problems': [404, 410, 501] },
    target: (request) => targetOf(request, context),
  })
}

export default routes

function targetOf({ params }: FastifyRequest, context: RouteContext): Target {
  const address = params as OwnAddress
  const name = ownName(address.namespace, address.name)
  return {
    name: 'own',
    handle: (received) => {
      const known = knownServable(context.registry, name)
      return known === undefined ? look(address, context, received) : answer(known, context, received)
    },
  }
}

/** The slow path: a loss that is not cached, or that is rejected. */
async function look(
  address: OwnAddress,
  context: RouteContext,
  received: Received,
): Promise<EncodedResponse> {
  return answer(await findServable(context.registry, address), context, received)
}

function answer(
  { resolved, retired }: OwnLoss,
  context: RouteContext,
  received: Received,
): EncodedResponse | Promise<EncodedResponse> {
  const encoded = evaluate(resolved, context, received)
  if (retired === null) return encoded
  const deprecated = (response: EncodedResponse) => ({
    ...response,
    headers: ['Deprecation', deprecationOf(retired)],
  })
  return encoded instanceof Promise ? encoded.then(deprecated) : deprecated(encoded)
}
