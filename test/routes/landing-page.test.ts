/** First contact: `/`, trailing slashes, and headers of every response. */
import { describe, expect, it } from 'vitest'
import { sharedServer } from '../support/server.ts'

const server = sharedServer()

const HTML = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }
const get = (path: string, headers = {}) => fetch(server.url + path, { headers, redirect: 'manual' })
const JSON_TYPE = { 'content-type': 'application/json' }
const BODY = JSON.stringify({ predictions: [1, 2], targets: [1, 4] })

describe('/', () => {
  it('gives programs links, all of which work', async () => {
    const response = await get('/')
    expect(response.headers.get('content-type')).toContain('application/json')
    const { places } = (await response.json()) as { places: Record<string, string> }
    for (const path of Object.keys(places)) expect((await get(path)).status, path).toBe(200)
    expect(Object.keys(places)).toContain('/docs')
  })

  it('is a page for browsers, whose links work', async () => {
    const response = await get('/', HTML)
    expect(response.headers.get('content-type')).toContain('text/html')
    expect(response.headers.get('vary')).toBe('Accept')
    const links = [...(await response.text()).matchAll(/href="(\/[^"]*)"/g)].map((match) => match[1]!)
    expect(links.length).toBeGreaterThan(3)
    for (const path of links) expect((await get(path)).status, path).toBe(200)
  })

  it('shows an example that runs', async () => {
    const { example } = (await (await get('/')).json()) as { example: { path: string; body: object } }
    const body = JSON.stringify(example.body)
    const answer = await fetch(server.url + example.path, { method: 'POST', headers: JSON_TYPE, body })
    expect(answer.status).toBe(200)
  })
})

describe('a trailing slash', () => {
  it.each([
    ['/v1/losses/', '/v1/losses'],
    ['/v1/losses//', '/v1/losses'],
    ['/v1/losses/mse/', '/v1/losses/mse'],
    ['/v1/guide/?task=regression', '/v1/guide?task=regression'],
    ['/health/ready/', '/health/ready'],
    ['/openapi.json/', '/openapi.json'],
  ])('of %s redirects with 308 to %s', async (path, place) => {
    const response = await get(path)
    expect(response.status).toBe(308)
    expect(response.headers.get('location')).toBe(place)
  })

  it.each(['mse/', ':compose/'])('of POST %s redirects, too, and keeps the body', async (name) => {
    const terms = [{ loss: 'mse' }]
    const body = name === 'mse/' ? BODY : JSON.stringify({ ...JSON.parse(BODY), terms })
    const path = name === 'mse/' ? `/v1/losses/${name}` : `/v1/losses${name}`
    const response = await fetch(server.url + path, { method: 'POST', headers: JSON_TYPE, body })
    expect(response.redirected).toBe(true)
    expect(((await response.json()) as { loss: number }).loss).toBe(2)
  })

  it('does not redirect if there is no such route, or to another host', async () => {
    expect((await get('/nothing/')).status).toBe(404)
    expect((await get('//example.org/')).status).toBe(404)
    expect((await get('//example.org/v1/losses/')).status).toBe(404)
  })
})

describe('an unsupported method', () => {
  it.each(['QUERY', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND'])(
    '%s is rejected with the supported ones',
    async (method) => {
      for (const path of ['/', '/v1/losses', '/v1/losses/mse', '/v1/guide', '/health/live', '/metrics']) {
        const response = await fetch(server.url + path, { method })
        expect(response.status, path).toBe(405)
        expect(response.headers.get('allow'), path).toContain('GET')
        expect((await fetch(`${server.url}/nothing`, { method })).status).toBe(404)
      }
    },
  )
})

describe('Server-Timing', () => {
  it.each([
    ['/', 200],
    ['/docs', 200],
    ['/v1/losses', 200],
    ['/v1/losses/mse', 200],
    ['/health/live', 200],
    ['/metrics', 200],
    ['/openapi.json', 200],
    ['/nothing', 404],
    ['/v1/losses/nothing', 404],
    ['/v1/guide?task=nothing', 422],
    ['/v1/losses:compose', 405],
    ['/v1/losses/', 308],
  ])('is in the response to GET %s', async (path, status) => {
    const response = await get(path)
    expect(response.status).toBe(status)
    expect(response.headers.get('server-timing')).toMatch(/^total;dur=\d+(\.\d{1,3})?$/)
  })

  it.each([
    ['{"predictions":[1]}', 422],
    ['{', 400],
  ])('is in the error response to %s, with the time that it took', async (body, status) => {
    const response = await server.post('mse', body)
    expect(response.status).toBe(status)
    expect(response.headers.get('server-timing')).toMatch(/^total;dur=(?!0$)\d+(\.\d{1,3})?$/)
  })
})
