/** Evaluations over HTTP: jobs, events, reports, roles, and paths that lead nowhere. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { Agent, get, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { bearer, startGuarded } from '../support/access.ts'
import { type Kept, ROBUST, startKeeper } from '../support/custom.ts'
import { KeyRing } from '../support/key-ring.ts'

const EXAMPLE = fileURLToPath(new URL('../../examples/data/predictions.parquet', import.meta.url))
const WAIT = { timeout: 40_000, interval: 50 }
let folder: string
let server: Kept
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-datasets-'))
  mkdirSync(join(folder, 'acme/sales'), { recursive: true })
  mkdirSync(join(folder, 'umbrella'))
  copyFileSync(EXAMPLE, join(folder, 'acme/sales/predictions.parquet'))
  copyFileSync(EXAMPLE, join(folder, 'umbrella/predictions.parquet'))
  copyFileSync(EXAMPLE, join(folder, 'predictions.parquet'))
  writeFileSync(join(folder, 'acme/bad.csv'), 'y,y_hat\n1,2\n,3\n')
  server = await startKeeper({ datasets: folder })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

const request = {
  source: { path: 'acme/sales/*.parquet' },
  losses: [{ loss: 'huber', params: { delta: 2 } }],
  columns: { predictions: 'y_hat', targets: 'y' },
  by: ['region'],
  bootstrap: 50,
  worst: 3,
}

// biome-ignore lint/suspicious/noExplicitAny: tests read many shapes
async function finished(path: string, headers = {}, from = server): Promise<any> {
  return vi.waitFor(async () => {
    const { body } = await from.send('GET', path, undefined, headers)
    expect(['done', 'failed', 'cancelled']).toContain(body.state)
    return body
  }, WAIT)
}

describe('an evaluation', () => {
  it('is accepted at once, done later, and has a report', async () => {
    const { status, headers, body } = await server.send('POST', '/v1/evaluations', request)
    expect([status, body.state, headers.get('location')]).toEqual([
      202,
      'queued',
      `/v1/evaluations/${body.id}`,
    ])
    const { state, result, rows } = await finished(headers.get('location')!)
    expect([state, rows, result.used]).toEqual(['done', 10_000, 10_000])
    expect(result.files).toEqual(['acme/sales/predictions.parquet'])
    expect(result.losses[0].slices.map((slice: { key: object }) => slice.key)).toEqual(
      ['east', 'north', 'south', 'west'].map((region) => ({ region })),
    )
    expect(result.losses[0].worst).toHaveLength(3)
    const report = await fetch(`${server.url}/v1/evaluations/${body.id}/report`)
    expect(report.headers.get('content-type')).toMatch(/^text\/html/)
    expect(await report.text()).toContain('huber (delta = 2)')
  })

  it('tells its progress and its end as events', async () => {
    const { body } = await server.send('POST', '/v1/evaluations', request)
    const response = await fetch(`${server.url}/v1/evaluations/${body.id}/events`)
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
    const events = (await response.text()).trim().split('\n\n')
    expect(events[0]).toMatch(/^event: progress\ndata: {"state":"(queued|running)"/)
    expect(events.at(-1)).toMatch(/^event: done\ndata: {.*"result":/)
  })

  it('adds no listener to its connection for each request of its events', async () => {
    const { body } = await server.send('POST', '/v1/evaluations', request)
    await finished(`/v1/evaluations/${body.id}`)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const counts: number[] = []
    const count = ({ socket }: IncomingMessage) => counts.push(socket.listenerCount('close'))
    server.app.fastify.server.prependListener('request', count)
    for (let i = 0; i < 4; i++)
      await new Promise((resolve, reject) => {
        const path = `/v1/evaluations/${body.id}/events`
        const sent = get({ host: '127.0.0.1', port: server.port, path, agent }, (response) =>
          response.resume().once('end', resolve),
        )
        sent.once('error', reject)
      })
    server.app.fastify.server.off('request', count)
    agent.destroy()
    expect(counts).toEqual(Array(4).fill(counts[0]))
  })

  it('is the same for the same idempotency key', async () => {
    const headers = { 'idempotency-key': 'monday' }
    const [first, again] = [
      await server.send('POST', '/v1/evaluations', request, headers),
      await server.send('POST', '/v1/evaluations', request, headers),
    ]
    expect([again.status, again.body.id]).toEqual([200, first.body.id])
    expect((await server.send('POST', '/v1/evaluations', request)).body.id).not.toBe(first.body.id)
  })

  it('is the same for the same key in whatever order its members are, and whatever a name of it means by now', async () => {
    const headers = { 'idempotency-key': 'tuesday' }
    const loss = (formula: string) =>
      server.send('POST', '/v1/losses', { name: 'acme/renewed', inputs: ROBUST.inputs, formula })
    const losses = [{ loss: 'acme/renewed' }]
    await loss('abs(predictions - targets)')
    const first = await server.send('POST', '/v1/evaluations', { ...request, losses }, headers)
    expect(first.status).toBe(202)
    expect((await loss('2 * abs(predictions - targets)')).status).toBe(201)
    const turned = Object.fromEntries(Object.entries({ ...request, losses }).reverse())
    const again = await server.send('POST', '/v1/evaluations', turned, headers)
    expect([again.status, again.body.id]).toEqual([200, first.body.id])
  })

  it('is refused with an idempotency key that was used for another one', async () => {
    const headers = { 'idempotency-key': 'wednesday' }
    const first = await server.send('POST', '/v1/evaluations', request, headers)
    const other = await server.send('POST', '/v1/evaluations', { ...request, worst: 4 }, headers)
    expect([other.status, other.body.type, other.body.detail]).toEqual([
      422,
      'urn:lossd:problem:idempotency-key-reused',
      'the Idempotency-Key "wednesday" was used for another evaluation; a new evaluation needs a new key',
    ])
    const again = await server.send('POST', '/v1/evaluations', request, headers)
    expect([again.status, again.body.id]).toEqual([200, first.body.id])
  })

  it('takes registered losses and definitions', async () => {
    expect((await server.send('POST', '/v1/losses', ROBUST)).status).toBe(201)
    const losses = [
      { loss: 'acme/robust_log', params: { scale: 3 } },
      { formula: 'abs(predictions - targets)' },
    ]
    const { body } = await server.send('POST', '/v1/evaluations', { ...request, losses })
    expect(body.detail).toBeUndefined()
    const { state, result } = await finished(`/v1/evaluations/${body.id}`)
    expect([state, result.losses.length]).toEqual(['done', 2])
  })

  it('fails with the file, the row and the reason', async () => {
    const source = { path: 'acme/bad.csv' }
    const { body } = await server.send('POST', '/v1/evaluations', { ...request, source, by: [], worst: 0 })
    const { state, error } = await finished(`/v1/evaluations/${body.id}`)
    expect([state, error.code]).toEqual(['failed', 'bad-rows'])
    expect(error.detail).toMatch(/^acme\/bad.csv, row 1: null in y;/)
  })

  it('can be cancelled while it waits', async () => {
    const many = await Promise.all(
      Array.from({ length: 4 }, () => server.send('POST', '/v1/evaluations', request)),
    )
    const { id } = many[3]!.body
    const { body } = await server.send('DELETE', `/v1/evaluations/${id}`)
    expect(body.state).toBe('cancelled')
    expect((await finished(`/v1/evaluations/${id}`)).state).toBe('cancelled')
    const report = await server.send('GET', `/v1/evaluations/${id}/report`)
    expect([report.status, report.body.detail]).toEqual([422, expect.stringContaining('is cancelled')])
  })

  it('does not exist under an id that nobody has been given', async () => {
    const asked = vi.spyOn(server.app.context.evaluations!, 'find')
    // PostgreSQL refuses text with a zero.
    for (const id of ['none', '%00', '00000000-0000-0000-0000-00000000000%00'])
      for (const path of ['', '/report', '/events']) {
        const { status, body } = await server.send('GET', `/v1/evaluations/${id}${path}`)
        expect([status, body.type]).toEqual([404, 'urn:lossd:problem:unknown-evaluation'])
      }
    expect(asked).not.toHaveBeenCalled()
    const unused = '/v1/evaluations/00000000-0000-4000-8000-000000000000'
    expect((await server.send('GET', unused)).status).toBe(404)
    expect(asked).toHaveBeenCalledOnce()
    asked.mockRestore()
  })

  it.each([
    ['no source', { ...request, source: undefined }, '/source: is required'],
    ['an unknown member', { ...request, wieght: 'w' }, '/wieght: is not a member here'],
    ['an unknown loss', { ...request, losses: [{ loss: 'hubber' }] }, 'Did you mean "huber"?'],
    [
      'a wrong parameter',
      { ...request, losses: [{ loss: 'huber', params: { delta: 0 } }] },
      '/params/delta: ',
    ],
    ['a negative bootstrap', { ...request, bootstrap: -1 }, '/bootstrap: must be'],
    [
      'clusters that are not resampled',
      { ...request, cluster: 'region', bootstrap: 0 },
      '/bootstrap: must be at least 1 with a cluster',
    ],
    ['an empty list of losses', { ...request, losses: [] }, '/losses: must have 1 to 32 elements, got 0'],
    [
      'too many losses',
      { ...request, losses: Array(33).fill({ loss: 'mse' }) },
      '/losses: must have at most 32 elements, got 33',
    ],
    [
      'a loss that is said twice',
      { ...request, losses: [{ loss: 'mse' }, { loss: 'huber', formula: 'x' }] },
      '/losses/1: must have either loss, definition or formula, got loss and formula',
    ],
    [
      'a loss that is not said',
      { ...request, losses: [{ params: {} }] },
      '/losses/0: must have either loss, definition or formula',
    ],
    [
      'an unknown member of a loss',
      { ...request, losses: [{ loss: 'huber', delta: 2 }] },
      '/losses/0/delta: is not a member here; use loss, params',
    ],
    [
      'a text among the quantiles',
      { ...request, quantiles: [0.5, 'a'] },
      '/quantiles/1: must be a number > 0 and < 1, got "a"',
    ],
    [
      'one quantile that is not in a list',
      { ...request, quantiles: 0.5 },
      '/quantiles: must be a list of numbers, got 0.5',
    ],
    [
      'a path and a dataset',
      { ...request, source: { path: 'x', dataset: 'y' } },
      '/source: must have either path or dataset, got path and dataset',
    ],
    ['an empty source', { ...request, source: {} }, '/source: must have either path or dataset'],
    ['a source without braces', { ...request, source: 'x' }, '/source: must be an object, got "x"'],
    [
      'an empty dataset among several',
      { ...request, source: { dataset: ['x', ''] } },
      '/source/dataset/1: must be a string of 1 to 128 characters, got ""',
    ],
    [
      'a number as one of several columns',
      { ...request, columns: { predictions: ['a', 1], targets: 'y' } },
      '/columns/predictions/1: must be a string of 1 to 1024 characters, got 1',
    ],
    [
      'only one model to compare',
      { ...request, compare: ['a'] },
      '/compare: must have 2 to 16 elements, got 1',
    ],
  ])('is refused at once with %s', async (_, body, detail) => {
    const { status, body: problem } = await server.send('POST', '/v1/evaluations', body)
    expect(problem.detail).toContain(detail)
    expect([404, 422]).toContain(status)
  })

  it('tells what is wrong with the whole request without a place', async () => {
    const list = await server.send('POST', '/v1/evaluations', [request])
    expect(list.body.detail).toBe('the body must be a JSON object')
    const headers = { 'idempotency-key': 'k'.repeat(257) }
    const key = await server.send('POST', '/v1/evaluations', request, headers)
    expect([key.status, key.body.detail]).toEqual([422, 'Idempotency-Key must have 1 to 256 characters'])
  })

  it('is not done by a service without datasets', async () => {
    const other = await startKeeper()
    const { status, body } = await other.send('POST', '/v1/evaluations', request)
    expect([status, body.type]).toEqual([501, 'urn:lossd:problem:no-evaluations'])
    await other.close()
  })
})

describe('a path', () => {
  it.each([
    ['../secret.parquet', 'must not contain ".."'],
    ['acme/../../secret.parquet', 'must not contain ".."'],
    ['/etc/passwd', 'must be relative'],
    ['~/x.parquet', 'must be relative'],
    ['file:///etc/passwd', 'must be a path, not an address'],
    ['https://example.org/x.parquet', 'must be a path, not an address'],
    ['s3://bucket/x.parquet', 'must be a path, not an address'],
    ['acme\\..\\x.parquet', 'backslashes'],
    ['acme/\u0000.parquet', 'controls'],
    ['', 'must have 1 to 1024 characters'],
    ['x'.repeat(2000), 'must have 1 to 1024 characters'],
    ['nowhere/x.parquet', 'there is no such file'],
    ['acme/link.parquet', 'there is no such file'],
    ['outside/secret.parquet', 'there is no such file'],
    ['outside/*.parquet', 'there is no such file'],
    ['**/secret.parquet', 'there are no files'],
    ['acme/link*.parquet', 'there are no files'],
    ['predictions.parquet/x', 'there is no such file'],
    ['predictions.parquet/*.parquet', 'there is no such folder'],
    ['x'.repeat(300), 'there is no such file'],
    [`${'x'.repeat(300)}/*.csv`, 'there is no such file'],
    [`*/${'x'.repeat(300)}.csv`, 'there are no files'],
    ["acme/'); drop table t; --.parquet", 'there is no such file'],
  ])('that leads nowhere is refused: %j', async (path, detail) => {
    const outside = mkdtempSync(join(tmpdir(), 'lossd-outside-'))
    copyFileSync(EXAMPLE, join(outside, 'secret.parquet'))
    symlinkSync(outside, join(folder, 'outside'))
    symlinkSync(join(outside, 'secret.parquet'), join(folder, 'acme/link.parquet'))
    try {
      const { status, body } = await server.send('POST', '/v1/evaluations', { ...request, source: { path } })
      expect([status, body.detail]).toEqual([422, expect.stringContaining(detail)])
      expect(body.detail).not.toContain(folder)
    } finally {
      rmSync(join(folder, 'outside'))
      rmSync(join(folder, 'acme/link.parquet'))
      rmSync(outside, { recursive: true })
    }
  })
})

describe('with keys', () => {
  const ring = new KeyRing()
  let guarded: Kept
  let [acme, other, umbrella, everyone, admin] = ['', '', '', '', '']
  beforeAll(async () => {
    // Keys that are added later are noticed only after two seconds.
    acme = await ring.add({ grants: ['evaluate:acme'] })
    other = await ring.add({ grants: ['evaluate:acme'] })
    umbrella = await ring.add({ grants: ['evaluate:umbrella'] })
    everyone = await ring.add({ grants: ['evaluate:*'] })
    admin = await ring.add({ grants: ['admin:*'] })
    guarded = await startGuarded(ring, { datasets: folder })
  })
  afterAll(async () => {
    await guarded.close()
    ring.remove()
  })

  it('files belong to the namespace of their folder, and do not exist for others', async () => {
    const ask = (path: string, key: string) =>
      guarded.send('POST', '/v1/evaluations', { ...request, source: { path } }, bearer(key))
    expect((await ask('acme/sales/*.parquet', acme)).status).toBe(202)
    expect((await ask('predictions.parquet', everyone)).status).toBe(202)
    for (const [path, key] of [
      ['acme/sales/*.parquet', umbrella],
      ['acme/nothing.parquet', umbrella],
      ['predictions.parquet', acme],
      ['*.parquet', acme],
      ['**/*.parquet', acme],
      ['*/predictions.parquet', umbrella],
    ] as const) {
      const { status, body } = await ask(path, key)
      expect([path, status, body.detail]).toEqual([
        path,
        422,
        expect.stringContaining('there is no such file'),
      ])
    }
  })

  it('evaluations belong to who asked for them', async () => {
    const { body } = await guarded.send('POST', '/v1/evaluations', request, bearer(acme))
    const path = `/v1/evaluations/${body.id}`
    expect((await finished(path, bearer(acme), guarded)).state).toBe('done')
    for (const method of ['GET', 'DELETE'])
      expect((await guarded.send(method, path, undefined, bearer(other))).status).toBe(404)
    expect((await guarded.send('GET', path, undefined, bearer(admin))).status).toBe(200)
  })
})

it('whoever follows an evaluation does not hold up a service that shuts down', async () => {
  const closing = await startKeeper({ datasets: folder, shutdownGraceMs: 100 })
  // Nobody does the job.
  await closing.app.context.evaluations!.close()
  const { body } = await closing.send('POST', '/v1/evaluations', request)
  const response = await fetch(`${closing.url}/v1/evaluations/${body.id}/events`)
  const text = response.text()
  const begun = performance.now()
  await closing.app.drain()
  expect(performance.now() - begun).toBeLessThan(10_000)
  expect((await text).trim().split('\n\n').at(-1)).toMatch(/^event: progress\n/)
  await closing.close()
})

it('cancelling an evaluation that is running leaves the service alone', async () => {
  const bootstrap = { ...request, source: { path: 'acme/sales/*.parquet' }, bootstrap: 100_000 }
  const { body } = await server.send('POST', '/v1/evaluations', bootstrap)
  const path = `/v1/evaluations/${body.id}`
  await vi.waitFor(async () => {
    expect((await server.send('GET', path)).body.state).toBe('running')
  }, WAIT)
  expect((await server.send('DELETE', path)).body.state).toBe('cancelled')
  const next = await server.send('POST', '/v1/evaluations', request)
  expect((await finished(`/v1/evaluations/${next.body.id}`)).state).toBe('done')
})
