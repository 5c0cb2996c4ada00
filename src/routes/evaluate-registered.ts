/** POST /v1/losses/{namespace}/{name}: a registered loss, by default its latest version. */
import type { FastifyRequest } from 'fastify'
import { fullName, registeredName } from '../registry/name.ts'
import type { RegisteredLoss } from '../registry/registry.ts'
import {
  cachedServable,
  deprecationOf,
  findServable,
  type RegisteredAddress,
} from '../registry/retirement.ts'
import { registeredSchema } from '../schemas/openapi.ts'
import { formats } from '../wire/index.ts'
import type { RouteContext, Routes } from './context.ts'
import { evaluate } from './evaluate.ts'
import { type EncodedResponse, type LossHandler, type Received, registerExchange } from './exchange.ts'

/** Maximum number of names in the metrics. Each adds a set of time series, which exist until the process ends. */
const MAX_NAMED = 100
/** The label of all other registered losses. */
const UNNAMED = 'registered'

/** The label of a registered loss in the metrics. */
type LabelOf = (own: RegisteredLoss) => string

const routes: Routes = (app, context) => {
  const labelOf = createLabels()
  registerExchange(app, context, {
    path: '/v1/losses/:namespace/:name',
    schema: { ...registeredSchema(formats), 'x-problems': [404, 410, 501] },
    target: (request) => targetOf(request, context, labelOf),
  })
}

function createLabels(): LabelOf {
  const names = new Set<string>()
  return ({ stored }) => {
    const name = fullName(stored)
    if (names.size < MAX_NAMED) names.add(name)
    return names.has(name) ? name : UNNAMED
  }
}

export default routes

function targetOf(request: FastifyRequest, context: RouteContext, labelOf: LabelOf): LossHandler {
  const address = request.params as RegisteredAddress
  const registry = context.seenBy(request)
  const name = registeredName(address.namespace, address.name)
  // A name that does not exist must not create a time series.
  const target = {
    name: UNNAMED,
    handle: (received: Received) => {
      const known = cachedServable(registry, name)
      return known === undefined ? look(received) : serve(known, received)
    },
  }
  const serve = (own: RegisteredLoss, received: Received) => {
    target.name = labelOf(own)
    return answer(own, context, received)
  }
  /** The slow path: a loss that is not cached, or that is rejected. */
  const look = async (received: Received) => serve(await findServable(registry, address), received)
  return target
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
