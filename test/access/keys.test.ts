/** API keys over a real socket: who is let in, and who is not. */
import { statSync, writeFileSync } from 'node:fs'
import { Agent, request as open } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { bearer, startGuarded } from '../support/access.ts'
import { type Kept, startKeeper } from '../support/custom.ts'
import { KeyRing } from '../support/key-ring.ts'

const ring = new KeyRing()
let server: Kept
let key: string
beforeAll(async () => {
  key = await ring.add({ grants: ['register:acme'] })
  server = await startGuarded(ring)
})
afterAll(async () => {
  await server.close()
  ring.remove()
})

const pair = { predictions: [1, 2], targets: [1, 4] }
const huber = (headers: Readonly<Record<string, string>> = {}) =>
  server.send('POST', '/v1/losses/huber', pair, headers)

describe('a service with keys', () => {
  it('serves a caller with a key, as a bearer token or as X-Api-Key', async () => {
    for (const headers of [bearer(key), { 'x-api-key': key }, { authorization: `bearer   ${key}` }])
      expect([(await huber(headers)).status, Object.keys(headers)]).toEqual([200, Object.keys(headers)])
  })

  it('refuses a request without one, and says how one is sent', async () => {
    const { status, headers, body } = await huber()
    expect(status).toBe(401)
    expect(headers.get('www-authenticate')).toBe('Bearer realm="lossd"')
    expect(headers.get('content-type')).toContain('application/problem+json')
    expect(body).toMatchObject({ type: 'urn:lossd:problem:unauthenticated', status: 401, retryable: false })
  })

  it('serves the next request after one that it refused, whose body is not taken for a request', async () => {
    const { status } = await huber()
    expect([status, (await huber(bearer(key))).status]).toEqual([401, 200])
  })

  const changed = (text: string, at: number) =>
    text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
  it.each([
    ['with another secret', () => changed(key, key.length - 5)],
    ['with another first character of the secret', () => changed(key, 'lossd_'.length + 13)],
    ['with an id that no key has', () => key.replace(/_[0-9a-f]{12}_/, '_000000000000_')],
    ['that is too short', () => key.slice(0, -1)],
    ['that is too long', () => `${key}A`],
    ['that is empty', () => 'lossd_'],
    ['that is a property of every object', () => `lossd___proto____${'A'.repeat(43)}`],
    ['that is no key', () => 'secret'],
  ])('refuses a key %s', async (_, wrong) => {
    const { status, headers, body } = await huber(bearer(wrong()))
    expect([status, body.detail]).toEqual([401, 'the key is not valid'])
    expect(headers.get('www-authenticate')).toContain('error="invalid_token"')
  })

  it.each([
    ['of another scheme', { authorization: 'Basic bG9zc2Q6bG9zc2Q=' }],
    ['without a key', { authorization: 'Bearer' }],
    ['that are empty', { 'x-api-key': '' }],
  ])('refuses credentials %s', async (_, headers) => {
    expect((await huber(headers)).status).toBe(401)
  })

  it('refuses two sets of credentials, of which one might be ignored', async () => {
    const { status, body } = await huber({ ...bearer(key), 'x-api-key': key })
    expect([status, body.detail]).toEqual([401, 'send Authorization or X-Api-Key, not both'])
  })

  it('asks for the key again when another one is sent on the same connection', async () => {
    const other = await ring.add()
    await server.app.reload()
    for (const [sent, status] of [
      [key, 200],
      [changed(key, 40), 401],
      [other, 200],
      [changed(other, 40), 401],
      [key, 200],
    ] as const)
      expect((await onOneConnection(sent)).status).toBe(status)
  })

  it('refuses an expired key, and one that expires on an open connection', async () => {
    const past = await ring.add({ expires: '2020-01-01T00:00:00.000Z' })
    const soon = await ring.add({ expires: new Date(Date.now() + 1500).toISOString() })
    await server.app.reload()
    expect((await huber(bearer(past))).body.detail).toBe('the key has expired')
    expect((await onOneConnection(soon)).status).toBe(200)
    await new Promise((resolve) => setTimeout(resolve, 1600))
    expect((await onOneConnection(soon)).status).toBe(401)
  })

  it('refuses a revoked key within seconds, also on an open connection, without being told', async () => {
    const leaked = await ring.add()
    await server.app.reload()
    expect((await onOneConnection(leaked)).status).toBe(200)
    await ring.revoke(leaked)
    const end = Date.now() + 5000
    let status = 200
    while (status === 200 && Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      status = (await onOneConnection(leaked)).status
    }
    expect(status).toBe(401)
    expect((await huber(bearer(leaked))).body.detail).toBe('the key is revoked')
  })

  it('keeps the keys that it has while the file cannot be read', async () => {
    const text = JSON.stringify({ keys: [ring.recordOf(key)] })
    for (const broken of ['{', '[]', '{"keys": [{"id": "x"}]}', '{"keys": 1}']) {
      writeFileSync(ring.path, broken)
      await server.app.reload()
      expect((await huber(bearer(key))).status).toBe(200)
    }
    writeFileSync(ring.path, text)
  })

  it('says who registered a version', async () => {
    const definition = { name: 'acme/mine', inputs: { x: { differentiable: true } }, formula: 'x^2' }
    const { body } = await server.send('POST', '/v1/losses', definition, bearer(key))
    expect(body.createdBy).toBe(`key:${ring.idOf(key)}`)
  })

  it('lets nobody cache what a key has got', async () => {
    const { headers } = await server.send('GET', '/v1/losses/huber', undefined, bearer(key))
    expect(headers.get('cache-control')).toBe('no-store')
  })

  it('lets no shared cache keep the kernel of a version, which only callers of its namespace may see', async () => {
    const definition = { name: 'acme/secret', inputs: { x: { differentiable: true } }, formula: 'x^2' }
    expect((await server.send('POST', '/v1/losses', definition, bearer(key))).status).toBe(201)
    const caching = async (method: string, path: string) => {
      const { status, headers } = await server.send(method, `/v1/losses/${path}`, undefined, bearer(key))
      return [status, headers.get('cache-control')]
    }
    for (const method of ['GET', 'HEAD']) {
      const pinned = await caching(method, 'acme/secret@1/kernel.wasm')
      expect(pinned).toEqual([200, 'private, max-age=31536000, immutable'])
      expect(await caching(method, 'acme/secret/kernel.wasm')).toEqual([200, 'no-cache'])
    }
    const open = await startKeeper()
    await open.send('POST', '/v1/losses', definition)
    const { headers } = await open.send('HEAD', '/v1/losses/acme/secret@1/kernel.wasm')
    expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    await open.close()
  })

  it('describes its keys in OpenAPI, and which routes need none', async () => {
    const { body } = await server.send('GET', '/openapi.json')
    expect(body.security).toEqual([{ bearer: [] }, { apiKey: [] }])
    expect(Object.keys(body.components.securitySchemes)).toEqual(['bearer', 'apiKey'])
    expect(body.paths['/health/live'].get.security).toEqual([])
    expect(Object.keys(body.paths['/v1/losses/huber'].post.responses)).toEqual(
      expect.arrayContaining(['401', '403', '429']),
    )
    expect(body.paths['/health/live'].get.responses).not.toHaveProperty('401')
  })
})

/** For keys that are sent one after the other on the same connection. */
function onOneConnection(text: string): Promise<{ status: number }> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: server.port, path: '/v1/guide', headers: bearer(text), agent }
    open(options, (response) => {
      response.resume().on('end', () => resolve({ status: response.statusCode! }))
    })
      .on('error', reject)
      .end()
  })
}
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
afterAll(() => agent.destroy())

describe('a file of keys', () => {
  it('can be read by its owner only, and has no secrets', async () => {
    expect(statSync(ring.path).mode & 0o777).toBe(0o600)
    const { salt, hash } = ring.recordOf(key)
    expect(JSON.stringify(ring.recordOf(key))).not.toContain(key.slice(-43))
    expect([salt.length, hash.length]).toEqual([32, 64])
  })

  it('must exist: a service does not start open by accident', async () => {
    const config = {
      ...loadConfig({}),
      engine: 'interpreter' as const,
      keys: `file:${ring.folder}/none.json`,
    }
    await expect(buildApp(config)).rejects.toThrow(/none\.json cannot be read: there is no such file/)
  })

  it('loses no key when many are added at the same time', async () => {
    const many = new KeyRing()
    const keys = await Promise.all(Array.from({ length: 20 }, () => many.add()))
    const guarded = await startGuarded(many)
    const statuses = await Promise.all(
      keys.map(async (one) => (await guarded.send('GET', '/v1/guide', undefined, bearer(one))).status),
    )
    expect(statuses).toEqual(Array(20).fill(200))
    await guarded.close()
    many.remove()
  })
})

describe('a service without keys', () => {
  it('is open, and takes no notice of credentials', async () => {
    const { startKeeper } = await import('../support/custom.ts')
    const plain = await startKeeper()
    for (const headers of [{}, bearer('nonsense')])
      expect((await plain.send('POST', '/v1/losses/huber', pair, headers)).status).toBe(200)
    expect(plain.app.isOpen).toBe(true)
    await plain.close()
  })
})
