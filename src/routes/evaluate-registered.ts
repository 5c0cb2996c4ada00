/** POST /v1/losses/{namespace}/{name}: a registered loss, by default its latest version. */
import type { FastifyRequest } from 'fastify'
import { registeredName } from '../registry/name.ts'
import type { RegisteredLoss } from '../registry/registry.ts'
import { registeredSchema } from '../schemas/openapi.ts'
import { formats } from '../wire/index.ts'
import type { RouteContext, Routes } from './context.ts'
import { evaluate } from './evaluate.ts'
import { type EncodedResponse, type Received, registerExchange, type Target } from './exchange.ts'
import { deprecationOf, findServable } from './registry.ts'

const routes: Routes = (app, context) => {
  registerExchange(app, context, {
    path: '/v1/losses/:namespace/:name',
    schema: { ...registeredSchema(formats), 'x-problems': [404, 410, 501] },
    target: (request) => targetOf(request, context),
  })
}

export default routes

type Address = Parameters<typeof findServable>[1]

function targetOf({ params }: FastifyRequest, context: RouteContext): Target {
  const address = params as Address
  const name = registeredName(address.namespace, address.name)
  return {
    name: 'registered',
    handle: (received) => {
      const known = context.registry.known(name)
      const isServed = known !== undefined && (known.retired === null || name.version !== undefined)
      return isServed ? answer(known, context, received) : look(address, context, received)
    },
  }
}

/** The slow path: a loss that is not cached, or that is rejected. */
async function look(address: Address, context: RouteContext, received: Received): Promise<EncodedResponse> {
  return answer(await findServable(context, address), context, received)
}

function answer(
  { resolved, retired }: RegisteredLoss,
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
