/** Prometheus metrics. */
import { Type } from '@sinclair/typebox'
import { callerOf } from './authorize.ts'
import type { Routes } from './context.ts'
import { namesShownTo } from './visibility.ts'

const routes: Routes = (app, { metrics, catalog }) => {
  const schema = {
    tags: ['service'],
    operationId: 'metrics',
    summary: 'Prometheus metrics',
    response: { 200: { description: 'As text.', content: { 'text/plain': { schema: Type.String() } } } },
  }
  app.get('/metrics', { schema }, async (request, reply) => {
    const { text, type } = await metrics.expose(namesShownTo(callerOf(request), catalog))
    return reply.type(type).send(text)
  })
}

export default routes
