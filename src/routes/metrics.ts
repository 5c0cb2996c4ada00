/** Prometheus metrics. */
import { Type } from '@sinclair/typebox'
import type { Routes } from './context.ts'

const routes: Routes = (app, { metrics }) => {
  const schema = {
    tags: ['service'],
    operationId: 'metrics',
    summary: 'Prometheus metrics',
    response: { 200: { description: 'As text.', content: { 'text/plain': { schema: Type.String() } } } },
  }
  app.get('/metrics', { schema }, async (_, reply) => {
    const { text, type } = await metrics.expose()
    return reply.type(type).send(text)
  })
}

export default routes
