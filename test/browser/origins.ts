/** CORS in a real browser: what pages of other origins may send and read, and what they may not. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sharedChromium } from '../support/chromium.ts'
import { safetensors, startServer, type TestServer } from '../support/server.ts'

const browser: Browser | undefined = await sharedChromium()
let pages: Server
let page: Page | undefined
/** The origin of the page, with a different host and port from the services. */
let origin: string

beforeAll(async () => {
  pages = createServer((_, response) => response.end('<!doctype html><title>a trainer</title>'))
  await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve))
  origin = `http://localhost:${(pages.address() as AddressInfo).port}`
  if (browser === undefined) return
  page = await browser.newPage()
  await page.goto(origin)
})
afterAll(async () => {
  await page?.close()
  pages.close()
})

interface Call {
  readonly path: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Bytes where they are numbers. */
  readonly body?: string | readonly number[]
}

/** A fetch from the page; undefined if the browser blocks it. */
function call(server: TestServer, { path, body, ...init }: Call) {
  return page!.evaluate(
    async ([url, options, content]) => {
      const sent = Array.isArray(content) ? Uint8Array.from(content) : content
      const response = await fetch(url, {
        ...options,
        ...(sent === undefined ? {} : { body: sent }),
      } as RequestInit).catch(() => undefined)
      if (response === undefined) return undefined
      const headers = Object.fromEntries(response.headers as unknown as Iterable<[string, string]>)
      return { status: response.status, headers, text: await response.text() }
    },
    [server.url + path, init, body] as const,
  )
}

const JSON_TYPE = { 'content-type': 'application/json' }
const mse: Call = {
  path: '/v1/losses/mse',
  method: 'POST',
  headers: JSON_TYPE,
  body: '{"predictions":[1,2],"targets":[1,4]}',
}
/** Large enough for a response that is sent in parts from the engine's memory. */
const large: Call = {
  ...mse,
  body: JSON.stringify({ predictions: new Array(50_000).fill(1.5), targets: new Array(50_000).fill(0.25) }),
}
const bytes = Buffer.from(Float32Array.of(1, 2).buffer)
const binary: Call = {
  ...mse,
  headers: {
    'content-type': 'application/x-safetensors',
    'x-request-timeout-ms': '9000',
    'x-request-id': 'step-1',
  },
  body: [
    ...safetensors({
      predictions: { dtype: 'F32', shape: [2], bytes },
      targets: { dtype: 'F32', shape: [2], bytes },
    }),
  ],
}

async function withServer(corsOrigins: string, use: (server: TestServer) => Promise<void>) {
  const server = await startServer({ corsOrigins })
  try {
    await use(server)
  } finally {
    await server.close()
  }
}

describe.skipIf(browser === undefined)('a page of another origin', () => {
  it.each([
    ['a list that has it', () => `https://example.org, ${origin}`],
    ['*', () => '*'],
  ])('may post and read all responses under %s', async (_, origins) => {
    await withServer(origins(), async (server) => {
      const answer = await call(server, mse)
      expect(JSON.parse(answer!.text)).toMatchObject({ loss: 2 })
      expect(answer!.headers['server-timing']).toContain('compute;dur=')
      expect((await call(server, large))!.status).toBe(200)
      const packed = await call(server, binary)
      expect(packed!.headers).toMatchObject({
        'content-type': 'application/x-safetensors',
        'x-request-id': 'step-1',
      })
      expect((await call(server, { path: '/v1/losses' }))!.status).toBe(200)
      const terms = JSON.stringify({ terms: [{ loss: 'mse' }], predictions: [1], targets: [2] })
      expect((await call(server, { ...mse, path: '/v1/losses:compose', body: terms }))!.status).toBe(200)
    })
  })

  it('may read error responses of every route', async () => {
    await withServer(origin, async (server) => {
      const codeOf = async (refused: Call) => JSON.parse((await call(server, refused))!.text).type
      expect(await codeOf({ ...mse, body: '{"predictions":[1]}' })).toContain('missing-input')
      expect(await codeOf({ ...mse, body: '{' })).toContain('malformed-json')
      expect(await codeOf({ ...mse, path: '/v1/losses/mze' })).toContain('unknown-loss')
      expect(await codeOf({ ...mse, headers: { 'content-type': 'text/plain' } })).toContain(
        'unsupported-media-type',
      )
      expect(await codeOf({ ...mse, body: ' '.repeat(9 * 2 ** 20) })).toContain('payload-too-large')
      expect(await codeOf({ path: '/nothing' })).toContain('not-found')
      expect(await codeOf({ path: '/v1/losses:compose' })).toContain('method-not-allowed')
    })
  })

  it.each([
    ['a list without it', 'https://example.org'],
    ['the default', ''],
  ])('may read nothing under %s', async (_, origins) => {
    await withServer(origins, async (server) => {
      expect(await call(server, mse)).toBeUndefined()
      expect(await call(server, { path: '/v1/losses' })).toBeUndefined()
    })
  })
})

describe('a client that is not a browser', () => {
  it('gets a Vary header, and no CORS headers if no origin is allowed', async () => {
    await withServer(origin, async (server) => {
      const allowed = await server.post('mse', mse.body, { ...JSON_TYPE, origin })
      expect(allowed.headers.get('access-control-allow-origin')).toBe(origin)
      expect(allowed.headers.get('vary')).toContain('Origin')
      const get = async (path: string) =>
        (await fetch(server.url + path, { headers: { origin } })).headers.get('vary')
      expect(await get('/v1/losses')).toBe('Origin, Accept-Encoding')
      expect(await get('/')).toBe('Origin, Accept')
      const other = await server.post('mse', mse.body, { ...JSON_TYPE, origin: 'https://example.com' })
      expect(other.headers.get('access-control-allow-origin')).toBeNull()
    })
    await withServer('', async (server) => {
      const answer = await server.post('mse', mse.body, { ...JSON_TYPE, origin })
      expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([])
      expect((await fetch(`${server.url}/v1/losses/mse`, { method: 'OPTIONS' })).status).toBe(405)
    })
  })
})
