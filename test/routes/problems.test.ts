/** Every problem can be produced: by a request in docs/problems.md, or by what this test does to a service. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { EXPLAINED } from '../../docs/problems.ts'
import { EngineLost, OutOfMemory } from '../../src/engines/contract.ts'
import { PROBLEMS, type ProblemCode } from '../../src/errors.ts'
import type { RouteContext } from '../../src/routes/context.ts'
import { startServer, type TestServer } from '../support/server.ts'

interface Event {
  /** Why no single request produces it. */
  readonly reason: string
  readonly happen: (context: RouteContext) => void
  /** Default: a loss. */
  readonly path?: string
}

const failing =
  (error: Error) =>
  ({ engine }: RouteContext) =>
    void vi.spyOn(engine, 'run').mockRejectedValue(error)

const EVENTS: Readonly<Partial<Record<ProblemCode, Event>>> = {
  'kernel-unavailable': {
    reason: 'the formula must have hundreds of operations',
    happen: ({ analyzer }) => void vi.spyOn(analyzer, 'ask').mockResolvedValue({ unavailable: 'too large' }),
    path: '/v1/losses/huber/kernel.wasm',
  },
  internal: { reason: 'it is a bug', happen: failing(new Error('a bug')) },
  'not-ready': {
    reason: 'the engine must be restarting',
    happen: ({ engine }) => void vi.spyOn(engine, 'isReady', 'get').mockReturnValue(false),
    path: '/health/ready',
  },
  'engine-lost': { reason: "the engine's process must die", happen: failing(new EngineLost('it died')) },
  'out-of-memory': { reason: 'the device must be full', happen: failing(new OutOfMemory('full')) },
  'answers-unread': {
    reason: 'other callers must leave answers unread',
    happen: ({ responses, config }) => responses.count(config.outboundBytes + 1),
  },
}

let server: TestServer
beforeEach(async () => {
  server = await startServer({ engine: 'interpreter', store: 'none' })
})
afterEach(() => {
  vi.restoreAllMocks()
  return server.close()
})

it('docs/problems.md shows a request for each of the others', () => {
  const codes = Object.keys(PROBLEMS) as ProblemCode[]
  expect(codes.filter((code) => EXPLAINED[code].example === undefined)).toEqual(Object.keys(EVENTS))
})

describe('problems that no single request produces', () => {
  it.each(Object.entries(EVENTS))('%s', async (code, { happen, path }) => {
    happen(server.app.context)
    const response = await (path === undefined
      ? server.post('mse', { predictions: [1], targets: [2] })
      : fetch(server.url + path))
    const { status, retryable } = PROBLEMS[code as ProblemCode]
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ type: `urn:lossd:problem:${code}`, status, retryable })
    expect(response.headers.has('retry-after')).toBe(retryable)
  })
})
