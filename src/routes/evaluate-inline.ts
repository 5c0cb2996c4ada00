/** POST /v1/losses:evaluate: an inline loss, sent with the request, as a definition or only as a formula. */
import { createInlineSource } from '../schemas/inline.ts'
import { inlineSchema } from '../schemas/openapi.ts'
import { formats } from '../wire/index.ts'
import type { Routes } from './context.ts'
import { evaluate } from './evaluate.ts'
import { type Received, registerExchange } from './exchange.ts'

const routes: Routes = (app, context) => {
  const inline = createInlineSource(context.programs)
  const handle = (received: Received) => {
    const { resolved, request } = inline(received.decoded)
    return evaluate(resolved, context, received, request)
  }
  const target = { name: 'inline', handle }
  registerExchange(app, context, {
    // Two colons in a route are one colon in the path.
    path: '/v1/losses::evaluate',
    schema: inlineSchema(formats),
    target: () => target,
  })
}

export default routes
