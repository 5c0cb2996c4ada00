/**
 * Health checks: liveness and readiness. Live means only that the event loop is running; ready means that a request
 * would be computed now.
 */
import { Type } from '@sinclair/typebox'
import { LEVELS } from '../batching/load-level.ts'
import { Problem } from '../errors.ts'
import { PUBLIC } from './authorize.ts'
import type { Routes } from './context.ts'

const closed = { additionalProperties: false } as const
const whole = Type.Integer({ minimum: 0 })
const tags = ['service']

const live = {
  tags,
  operationId: 'live',
  summary: 'The process is alive',
  response: { 200: Type.Object({ status: Type.Literal('live') }, closed) },
}

const ready = {
  tags,
  operationId: 'ready',
  summary: 'Whether requests are computed, and by which engine',
  response: {
    200: Type.Object(
      {
        status: Type.Literal('ready'),
        engine: Type.String(),
        device: Type.String(),
        reason: Type.String({ description: 'Why this engine.' }),
        store: Type.String({
          description:
            'The store of registered losses: `none`, `up` or `down`. The service is ready even if it is down; its log says why.',
        }),
        load: Type.Union(
          LEVELS.map((level) => Type.Literal(level)),
          {
            description:
              'busy: a queue has been standing for half a second. overloaded: requests are refused. The service is ready all the same.',
          },
        ),
        queue: Type.Object(
          { jobs: whole, elements: whole, bytes: whole },
          { ...closed, description: 'The length of the queue.' },
        ),
      },
      closed,
    ),
  },
}

const routes: Routes = (app, { engine, batcher, connections, storeState }) => {
  app.get('/health/live', { schema: live, config: PUBLIC }, () => ({ status: 'live' }))

  app.get('/health/ready', { schema: ready, config: PUBLIC }, async () => {
    if (connections.isClosing)
      throw new Problem('draining', 'the service is shutting down', { retryAfter: 1 })
    if (!engine.isReady) throw new Problem('not-ready', 'the engine is being restarted', { retryAfter: 1 })
    const { name, device, reason } = engine.info
    const store = await storeState()
    const { level: load } = batcher
    return { status: 'ready', engine: name, device, reason, store, load, queue: batcher.depth() }
  })
}

export default routes
