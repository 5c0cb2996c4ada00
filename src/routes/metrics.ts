/** Prometheus metrics. */
import type { Routes } from './context.ts'

const routes: Routes = (app, { metrics }) => {
  app.get('/metrics', { schema: { tags: ['service'], summary: 'Prometheus metrics' } }, async (_, reply) => {
    const { text, type } = await metrics.expose()
    return reply.type(type).send(text)
  })
}

export default routes
