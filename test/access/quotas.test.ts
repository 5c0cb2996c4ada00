/** Quotas: what is admitted, what is left, and whether who comes back after Retry-After is served. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Meter, readQuotas } from '../../src/access/quotas.ts'
import { Problem } from '../../src/errors.ts'
import { bearer, startGuarded } from '../support/access.ts'
import type { Kept } from '../support/custom.ts'
import { KeyRing } from '../support/key-ring.ts'
import { thrownBy } from '../support/thrown.ts'

function meterWith(...quotas: string[]) {
  const clock = { now: 0 }
  return { clock, meter: new Meter(readQuotas(quotas), () => clock.now) }
}

const problemOf = (run: () => unknown) => thrownBy(Problem, run)
const isRefused = (run: () => unknown): Problem | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    return error as Problem
  }
}

describe('a meter', () => {
  it('admits as many requests as the window has, and one more for each share of it that passes', () => {
    const { clock, meter } = meterWith('requests=10/s')
    for (let i = 0; i < 10; i++) meter.enter(0)
    expect(problemOf(() => meter.enter(0)).code).toBe('quota-exceeded')
    clock.now = 100
    meter.enter(0)
    expect(problemOf(() => meter.enter(0)).code).toBe('quota-exceeded')
  })

  it('never holds more than its window, however long the pause was', () => {
    const { clock, meter } = meterWith('requests=3/s')
    clock.now = 1e9
    for (let i = 0; i < 3; i++) meter.enter(0)
    expect(problemOf(() => meter.enter(0)).code).toBe('quota-exceeded')
  })

  it.each([
    ['requests=1/m', 0],
    ['requests=7/13s', 0],
    ['bytes=1000/s', 5_500],
    ['bytes=10M/h', 123_456_789],
    ['elements=3/2s', 0],
  ])(
    'with %s: who comes back after Retry-After is served, who comes a second earlier is not',
    (quota, bytes) => {
      const { clock, meter } = meterWith(quota)
      let refused: Problem | undefined
      while (refused === undefined) {
        refused = isRefused(() => meter.enter(bytes))
        meter.charge('elements', 2)
      }
      meter.charge('elements', -2)
      const { retryAfter } = refused.options
      expect(retryAfter).toBeGreaterThanOrEqual(1)
      if (retryAfter! > 1) {
        clock.now += (retryAfter! - 1) * 1000
        expect(isRefused(() => meter.enter(bytes))).toBeInstanceOf(Problem)
        clock.now += 1000
      } else clock.now += 1000
      expect(isRefused(() => meter.enter(bytes))).toBeUndefined()
    },
  )

  it('admits a request of any size some time, and charges it in full', () => {
    const { clock, meter } = meterWith('bytes=1000/s')
    meter.enter(1_000_000)
    clock.now = 998_000
    expect(problemOf(() => meter.enter(1)).options.retryAfter).toBe(2)
    clock.now = 1_000_000
    meter.enter(1)
  })

  it('charges nothing for what it refuses, and names every quota that is used up', () => {
    const { clock, meter } = meterWith('requests=1/s', 'elements=10/m')
    meter.enter(0)
    meter.charge('elements', 25)
    const refused = problemOf(() => meter.enter(0))
    expect(refused.options.violatedPolicies).toEqual(['requests', 'elements'])
    expect(refused.options.retryAfter).toBe(96)
    clock.now = 1000
    expect(problemOf(() => meter.enter(0)).options.violatedPolicies).toEqual(['elements'])
  })

  it('limits the requests that are open at once', () => {
    const { meter } = meterWith('concurrency=2')
    meter.enter(0)
    meter.enter(0)
    expect(problemOf(() => meter.enter(0)).options.violatedPolicies).toEqual(['concurrency'])
    meter.leave()
    meter.enter(0)
    expect(meter.remaining()).toBe('"concurrency";r=0')
  })

  it('spells policy and rest as the draft does', () => {
    const { clock, meter } = meterWith('requests=100/m', 'bytes=64M/10s', 'elements=5k/s', 'concurrency=8')
    expect(meter.policy).toBe(
      '"requests";q=100;w=60, "bytes";q=64000000;qu="content-bytes";w=10, "elements";q=5000;qu="elements";w=1, "concurrency";q=8;qu="concurrent-requests"',
    )
    meter.enter(32_000_000)
    meter.charge('elements', 6000)
    expect(meter.remaining()).toBe(
      '"requests";r=99;t=1, "bytes";r=32000000;t=5, "elements";r=0;t=1, "concurrency";r=7',
    )
    clock.now = 60_000
    expect(meter.remaining()).toContain('"requests";r=100;t=0')
  })

  it.each([
    'requests',
    'requests=0/s',
    'requests=1.5/s',
    'requests=-1/s',
    'loss=1/s',
    'bytes=1T/s',
    'requests=1/0s',
    'concurrency=0',
    'concurrency=1/s',
  ])('cannot be made of %s', (text) => expect(() => readQuotas([text])).toThrow(/is not a quota/))

  it('cannot limit the same twice', () => {
    expect(() => readQuotas(['requests=1/s', 'requests=5/m'])).toThrow(/twice/)
  })
})

describe('a caller with quotas', () => {
  const ring = new KeyRing()
  let server: Kept
  beforeAll(async () => {
    await ring.add()
    server = await startGuarded(ring, { quota: 'requests=500/h' })
  })
  afterAll(async () => {
    await server.close()
    ring.remove()
  })
  const caller = async (...quotas: string[]) => {
    const key = await ring.add({ quotas })
    await server.app.reload()
    return {
      key,
      send: (body: unknown = { predictions: [1, 2], targets: [1, 4] }, headers = {}) =>
        server.send('POST', '/v1/losses/huber', body, { ...bearer(key), ...headers }),
    }
  }

  it('reads in every response what is left', async () => {
    const { key, send } = await caller('requests=3/h')
    const first = await send()
    expect(first.headers.get('ratelimit-policy')).toBe('"requests";q=3;w=3600')
    expect(first.headers.get('ratelimit')).toBe('"requests";r=2;t=1200')
    const described = await server.send('GET', '/v1/losses/huber', undefined, bearer(key))
    expect(described.headers.get('ratelimit')).toBe('"requests";r=1;t=2400')
    const wrong = await send({ predictions: [1] })
    expect([wrong.status, wrong.headers.get('ratelimit')]).toEqual([422, '"requests";r=0;t=1200'])
  })

  it('gets a problem of the type of the draft when nothing is left, and Retry-After for the same moment as RateLimit', async () => {
    const { send } = await caller('requests=1/h')
    await send()
    const { status, headers, body } = await send()
    expect(status).toBe(429)
    expect(body).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      retryable: true,
      'violated-policies': ['requests'],
    })
    expect(headers.get('retry-after')).toBe('3600')
    expect(headers.get('ratelimit')).toBe('"requests";r=0;t=3600')
  })

  it('is charged for elements and bytes, with and without a length', async () => {
    const { send } = await caller('elements=1k/h', 'bytes=100k/d')
    const body = { predictions: Array(300).fill(1), targets: Array(300).fill(2) }
    const { length } = JSON.stringify(body)
    const left = async (sent: Promise<{ headers: Headers }>) =>
      [...(await sent).headers.get('ratelimit')!.matchAll(/r=(\d+)/g)].map((found) => Number(found[1]))
    const [elements, bytes] = await left(send(body))
    expect(elements).toBe(400)
    expect(bytes).toBe(100_000 - length)
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(JSON.stringify(body)))
        controller.close()
      },
    })
    const chunked = await fetch(`${server.url}/v1/losses/huber`, {
      method: 'POST',
      headers: { ...bearer((await caller('bytes=100k/d')).key), 'content-type': 'application/json' },
      body: stream,
      duplex: 'half',
    } as RequestInit)
    expect(chunked.headers.get('ratelimit')).toContain(`"bytes";r=${100_000 - length}`)
  })

  it.each(['check', 'constant'])('is charged for the elements of :%s', async (verb) => {
    const { key } = await caller('elements=1k/h')
    const body = { targets: [1, 2, 4], ...(verb === 'check' ? { predictions: [1, 2, 3] } : {}) }
    const { status, headers } = await server.send('POST', `/v1/losses/huber:${verb}`, body, bearer(key))
    expect(status).toBe(200)
    expect(headers.get('ratelimit')).toContain(`"elements";r=${verb === 'check' ? 994 : 997}`)
  })

  it('is charged for the bytes of a body without a length that fails', async () => {
    const { key } = await caller('bytes=100k/d')
    const sent = await fetch(`${server.url}/v1/losses/huber`, {
      method: 'POST',
      headers: { ...bearer(key), 'content-type': 'application/json', 'content-encoding': 'gzip' },
      body: new Blob(['x'.repeat(500)]).stream(),
      duplex: 'half',
    } as RequestInit)
    expect(sent.status).toBe(400)
    const wrong = await fetch(`${server.url}/v1/losses/huber`, {
      method: 'POST',
      headers: { ...bearer(key), 'content-type': 'application/json' },
      body: new Blob([`{"predictions": [${'1,'.repeat(500)}1]}`]).stream(),
      duplex: 'half',
    } as RequestInit)
    expect(wrong.status).toBe(422)
    expect(wrong.headers.get('ratelimit')).toContain(`"bytes";r=${100_000 - 1020}`)
  })

  it('may have as many requests open as its key says, and gets them back when they end', async () => {
    const { send } = await caller('concurrency=2')
    const rows = Array.from({ length: 800 }, (_, i) => [Math.sin(i), Math.cos(i)])
    const slow = { embeddings: rows, labels: rows.map((_, i) => i % 3) }
    const { key } = await caller('concurrency=2')
    const ask = () => server.send('POST', '/v1/losses/nt_xent', slow, bearer(key))
    const statuses = (await Promise.all(Array.from({ length: 6 }, ask))).map(({ status }) => status)
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(2)
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(1)
    expect((await ask()).status).toBe(200)
    expect((await send()).status).toBe(200)
  })

  it('gets its place back when it disconnects', async () => {
    const { key } = await caller('concurrency=1')
    const served = async () => (await server.send('GET', '/v1/guide', undefined, bearer(key))).status
    for (let i = 0; i < 5; i++) {
      const abort = new AbortController()
      const body = new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(10)) })
      const headers = { ...bearer(key), 'content-type': 'application/json' }
      const sent = fetch(`${server.url}/v1/losses/huber`, {
        method: 'POST',
        headers,
        body,
        duplex: 'half',
        signal: abort.signal,
      } as RequestInit)
      setTimeout(() => abort.abort(), 50)
      await expect(sent.then(({ status }) => status)).rejects.toThrow()
      await expect.poll(served, { timeout: 3000 }).toBe(200)
    }
  })

  it('has those of LOSSD_QUOTA if its key has none', async () => {
    const { send } = await caller()
    expect((await send()).headers.get('ratelimit-policy')).toBe('"requests";q=500;w=3600')
  })

  it('does not get a new quota when the keys are read again', async () => {
    const { send } = await caller('requests=2/h')
    await send()
    await ring.add()
    await server.app.reload()
    expect((await send()).headers.get('ratelimit')).toContain('r=0')
  })
})
