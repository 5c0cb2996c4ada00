/** What comes out of a service: changes are in the audit log with who made them, and secrets are nowhere. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request as open } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { text as textOf } from 'node:stream/consumers'
import pino from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type App, buildApp } from '../../src/app.ts'
import { type Config, ConfigError, loadConfig } from '../../src/config.ts'
import { bearer } from '../support/access.ts'
import { ROBUST } from '../support/custom.ts'
import { AUDIENCE, IdentityProvider, ISSUER } from '../support/identity-provider.ts'
import { KeyRing } from '../support/key-ring.ts'

let folder: string
let ring: KeyRing
let app: App
let logged: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-secrets-'))
  ring = new KeyRing()
  logged = ''
})
afterEach(async () => {
  await app?.fastify.close()
  ring.remove()
  rmSync(folder, { recursive: true, force: true })
})

async function start(settings: Partial<Config> = {}, level = 'trace'): Promise<number> {
  const sink = new Writable({
    write(chunk, _, done) {
      logged += chunk
      done()
    },
  })
  const log = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, sink)
  const own = { engine: 'interpreter' as const, store: `file:${folder}/lossd.db`, keys: `file:${ring.path}` }
  app = await buildApp({ ...loadConfig({}), ...own, ...settings }, { log })
  await app.fastify.listen({ port: 0, host: '127.0.0.1' })
  return (app.fastify.server.address() as { port: number }).port
}

/** Everything that a response says, with its headers. */
function ask(
  port: number,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: unknown,
): Promise<string> {
  const payload = typeof body === 'string' ? body : JSON.stringify(body)
  const type = payload === undefined ? {} : { 'content-type': 'application/json' }
  return new Promise((resolve, reject) => {
    const sent = open(
      { host: '127.0.0.1', port, method, path, headers: { ...type, ...headers } },
      async (response) => {
        resolve(`${response.statusCode} ${JSON.stringify(response.rawHeaders)}\n${await textOf(response)}`)
      },
    )
    sent.on('error', reject)
    sent.end(payload)
  })
}

const lines = () =>
  logged
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
const audited = () => lines().filter(({ audit }) => audit === true)
const robust = (changes: object = {}) => ({ ...ROBUST, name: 'acme/robust', examples: [], ...changes })

describe('the audit log', () => {
  it('has a line for each change: who, what, when, and from where', async () => {
    const key = await ring.add({ grants: ['admin:acme'] })
    const port = await start()
    const send = (method: string, path: string, body?: unknown) =>
      ask(port, method, path, { ...bearer(key), 'x-request-id': 'r1' }, body)
    await send('POST', '/v1/losses', robust())
    await send('POST', '/v1/losses', robust())
    await send('POST', '/v1/losses', robust({ about: 'New.' }))
    await send('DELETE', '/v1/losses/acme/robust')
    await send('DELETE', '/v1/losses/acme/robust')
    await send('DELETE', '/v1/losses/acme/robust?purge=true')
    await send('DELETE', '/v1/losses/acme/robust?purge=true')
    const who = `key:${ring.idOf(key)}`
    expect(audited().map((line) => [line.action, line.what, line.who])).toEqual([
      ['register', 'acme/robust@1', who],
      ['register', 'acme/robust@2', who],
      ['retire', 'acme/robust', who],
      ['purge', 'acme/robust', who],
    ])
    for (const { time, reqId, from } of audited()) {
      expect([reqId, from]).toEqual(['r1', '127.0.0.1'])
      expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000)
    }
  })

  it('has no line for what was refused', async () => {
    const key = await ring.add({ grants: ['evaluate:acme'] })
    const port = await start()
    for (const headers of [{}, bearer(key)]) {
      await ask(port, 'POST', '/v1/losses', headers, robust())
      await ask(port, 'DELETE', '/v1/losses/acme/robust?purge=true', headers)
    }
    expect(audited()).toEqual([])
  })

  it('has a line for each key that is added, revoked or removed, with who did it', async () => {
    const [first, second] = [await ring.add({ grants: ['evaluate:acme'] }), await ring.add()]
    await start()
    const third = await ring.add({ grants: ['admin:*'], quotas: ['requests=1/s'] })
    await app.reload()
    await ring.revoke(second)
    await app.reload()
    await app.reload()
    expect(audited().map(({ action, what, who }) => [action, what, who])).toEqual([
      ['key-add', `key:${ring.idOf(third)}`, 'tester'],
      ['key-revoke', `key:${ring.idOf(second)}`, 'reviser'],
    ])
    expect(audited()[0]).toMatchObject({ name: 'test', grants: ['admin:*'], quotas: ['requests=1/s'] })
    expect(logged).not.toContain(first.slice(-43))
  })

  it.each(['fatal', 'warn'])(
    'is written at the level %s too, and not when the log is silent',
    async (level) => {
      await ring.add()
      const key = await ring.add({ grants: ['register:acme'] })
      const port = await start({}, level)
      await ask(port, 'POST', '/v1/losses', bearer(key), robust())
      expect(audited()).toHaveLength(1)
      expect(lines()).toHaveLength(1)
    },
  )
})

describe('secrets', () => {
  it('appear in no response, no log line and no metric, whatever is asked', async () => {
    const provider = await IdentityProvider.start()
    const keys = [
      await ring.add({ grants: ['admin:*'], quotas: ['requests=1k/s'] }),
      await ring.add({ quotas: ['requests=1/h'] }),
      await ring.add(),
    ]
    const revoked = await ring.add()
    await ring.revoke(revoked)
    const wrong = `lossd_${ring.idOf(keys[0]!)}_${'Zq8'.repeat(14)}x`
    const tokens = [
      await provider.token({ scope: 'admin:*' }),
      await provider.token({ aud: 'other' }),
      await provider.token({}, { kid: 'nobody' }),
    ]
    const jwt = { jwtJwks: provider.url, jwtIssuer: ISSUER, jwtAudience: AUDIENCE }
    const port = await start(jwt)
    let told = ''
    const everyone = [...keys, revoked, wrong, ...tokens, 'aPlainPassword17']
    for (const text of everyone) {
      for (const headers of [
        bearer(text),
        { 'x-api-key': text },
        { authorization: text },
        { authorization: `Basic ${text}` },
      ])
        for (const [method, path, body] of REQUESTS) told += await ask(port, method, path, headers, body)
    }
    // Clients make mistakes: keys in the place of other things.
    for (const text of everyone) {
      told += await ask(port, 'GET', '/metrics', bearer(keys[0]!))
      await ask(
        port,
        'POST',
        '/v1/losses/huber',
        { ...bearer(text), traceparent: text, accept: 'image/png' },
        { predictions: [1] },
      )
    }
    await provider.stop()
    await app.reload()
    told += await ask(port, 'GET', '/v1/engines', bearer(keys[0]!))
    const secrets = [
      ...everyone.flatMap((text) => (text.startsWith('lossd_') ? [text.slice(-43)] : text.split('.'))),
      ...keys.flatMap((key) => [ring.recordOf(key).hash, ring.recordOf(key).salt]),
    ]
    expect(secrets.length).toBeGreaterThan(12)
    for (const secret of secrets) {
      expect([secret, told.includes(secret)]).toEqual([secret, false])
      expect([secret, logged.includes(secret)]).toEqual([secret, false])
    }
    // The test has seen what it claims to have seen.
    for (const status of ['200 ', '401 ', '403 ', '422 ', '429 ']) expect(told).toContain(status)
    expect(told).toContain('lossd_requests_total')
    expect(logged).toContain('request rejected')
  }, 60_000)

  it('of the store and of TLS appear in no message of a service that does not start', async () => {
    await ring.add()
    const password = 'hunter2hunter2'
    const wrong = [
      { LOSSD_STORE: `postgres//user:${password}@host/db`, LOSSD_KEYS: 'nonsense' },
      { LOSSD_STORE: `mysql://user:${password}@host/db` },
    ]
    for (const env of wrong) {
      try {
        loadConfig(env)
        throw new Error('it is accepted')
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError)
        expect(String(error)).not.toContain(password)
      }
    }
    const key = new URL('../support/certificates/server.key', import.meta.url).pathname
    const pem = readFileSync(key, 'utf8').split('\n')[1]!
    const failed = start({ tlsCert: key, tlsKey: key })
    await expect(failed).rejects.toThrow(/cannot be used/)
    expect(String(await failed.catch((error) => error))).not.toContain(pem)
    expect(logged).not.toContain(pem)
  })
})

const REQUESTS: readonly (readonly [string, string, unknown?])[] = [
  ['POST', '/v1/losses/huber', { predictions: [1], targets: [2] }],
  ['POST', '/v1/losses/huber', { predictions: [1] }],
  ['POST', '/v1/losses/huber', '{'],
  ['POST', '/v1/losses', robust({ name: 'umbrella/robust' })],
  ['GET', '/v1/losses/acme/nothing'],
  ['DELETE', '/v1/losses/acme/nothing'],
  ['GET', '/v1/losses?namespace=acme'],
  ['GET', '/nowhere'],
  ['GET', '/health/ready'],
  ['PUT', '/v1/losses/huber'],
]
