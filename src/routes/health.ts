/** Liveness and readiness. Live says only that the event loop turns; ready says that a request would be computed now. */
import { Problem } from '../errors.ts'
import type { Routes } from './context.ts'

const routes: Routes = (app, { engine, batcher, connections }) => {
  app.get('/health/live', { schema: { tags: ['service'], summary: 'The process is alive' } }, () => ({
    status: 'live',
  }))

  app.get(
    '/health/ready',
    { schema: { tags: ['service'], summary: 'Requests are computed, and by what' } },
    () => {
      if (connections.isClosing) throw new Problem('draining', 'no new work is taken', { retryAfter: 1 })
      if (!engine.isReady) throw new Problem('not-ready', 'the engine is being restarted', { retryAfter: 1 })
      const { name, device, reason } = engine.info
      return { status: 'ready', engine: name, device, reason, queue: batcher.depth() }
    },
  )
}

export default routes
