/** JSON Web Tokens: what is accepted, rotation of keys, and outages of the provider. */
import { writeFileSync } from 'node:fs'
import { SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Access } from '../../src/access/access.ts'
import { loadConfig } from '../../src/config.ts'
import { bearer } from '../support/access.ts'
import { type Kept, startKeeper } from '../support/custom.ts'
import { AUDIENCE, IdentityProvider, ISSUER } from '../support/identity-provider.ts'
import { KeyRing } from '../support/key-ring.ts'

let provider: IdentityProvider
const ring = new KeyRing()
const started: Kept[] = []

async function start(settings = {}): Promise<Kept> {
  const server = await startKeeper({
    jwtJwks: provider.url,
    jwtIssuer: ISSUER,
    jwtAudience: AUDIENCE,
    ...settings,
  })
  started.push(server)
  return server
}

beforeAll(async () => {
  provider = await IdentityProvider.start()
})
afterEach(async () => {
  vi.useRealTimers()
  provider.mood = 'well'
  for (const server of started.splice(0)) await server.close()
})
afterAll(async () => {
  await provider.stop()
  ring.remove()
})

const guide = async (server: Kept, token: string) => server.send('GET', '/v1/guide', undefined, bearer(token))

describe('a token', () => {
  it('is accepted, and its subject is who registers', async () => {
    const server = await start()
    const token = await provider.token({ scope: 'openid register:acme profile' })
    const definition = { name: 'acme/mine', inputs: { x: { differentiable: true } }, formula: 'x^2' }
    const made = await server.send('POST', '/v1/losses', definition, bearer(token))
    expect([made.status, made.body.createdBy]).toEqual([201, 'jwt:alice'])
    const other = { ...definition, name: 'umbrella/mine' }
    expect((await server.send('POST', '/v1/losses', other, bearer(token))).status).toBe(403)
  })

  it('has its grants in the claim that the settings name, as a list or as words', async () => {
    const server = await start({ jwtClaim: 'realm_access.roles' })
    const definition = { name: 'acme/mine', inputs: { x: { differentiable: true } }, formula: 'x^2' }
    const register = async (claims: object) =>
      (await server.send('POST', '/v1/losses', definition, bearer(await provider.token({ ...claims }))))
        .status
    expect(await register({ realm_access: { roles: ['offline_access', 'admin:acme'] } })).toBe(201)
    expect(await register({ realm_access: { roles: 'admin:acme' } })).toBe(200)
    expect(await register({ scope: 'admin:acme' })).toBe(403)
    expect(await register({ realm_access: { roles: [7, null, { admin: 'acme' }] } })).toBe(403)
  })

  it('may have a subject of 200 characters, which are all told apart', async () => {
    const server = await start()
    const definition = { name: 'acme/long', inputs: { x: { differentiable: true } }, formula: 'x^2' }
    const sub = 'a'.repeat(200)
    const token = await provider.token({ sub, scope: 'register:acme' })
    const { body } = await server.send('POST', '/v1/losses', definition, bearer(token))
    expect(body.createdBy).toBe(`jwt:${sub}`)
  })

  it.each<[string, () => Promise<string>, RegExp]>([
    [
      'that has expired',
      () => provider.token({}, { expires: Math.floor(Date.now() / 1000) - 60 }),
      /expired/,
    ],
    ['of another issuer', () => provider.token({ iss: 'https://evil.example' }), /claim/],
    ['for another service', () => provider.token({ aud: 'billing' }), /claim/],
    ['without a subject', () => provider.token({ sub: undefined as never }), /claim/],
    ['with an empty subject', () => provider.token({ sub: '' }), /subject/],
    ['with a subject that is too long', () => provider.token({ sub: `${'a'.repeat(200)}b` }), /subject/],
    ['with a control character in its subject', () => provider.token({ sub: 'al\nice' }), /subject/],
    [
      'with half of a character in its subject',
      () => provider.token({ sub: 'a\ud800' }),
      /subject|not valid/,
    ],
    ['that is not valid yet', () => provider.token({ nbf: Math.floor(Date.now() / 1000) + 600 }), /claim/],
    ['that was changed', async () => changed(await provider.token()), /signature/],
    ['signed with an unknown key', () => provider.token({}, { kid: 'nobody' }), /publish/],
    ['without a signature', async () => unsigned(), /algorithm|not valid/],
    ['signed with the public key as a shared secret', () => confused(), /algorithm/],
    ['that is none', async () => 'a.b.c', /not valid/],
  ])('%s is refused', async (_, token, why) => {
    const server = await start()
    const { status, body, headers } = await guide(server, await token())
    expect([status, body.detail]).toEqual([401, expect.stringMatching(why)])
    expect(headers.get('www-authenticate')).toContain('invalid_token')
  })

  it('with an algorithm that the settings leave out is refused', async () => {
    const server = await start({ jwtAlgorithms: 'RS256' })
    expect((await guide(server, await provider.token())).status).toBe(401)
  })

  it('works beside keys', async () => {
    const key = await ring.add()
    const server = await start({ keys: `file:${ring.path}` })
    expect((await guide(server, key)).status).toBe(200)
    expect((await guide(server, await provider.token())).status).toBe(200)
  })

  it('may be verified with keys from a file', async () => {
    const path = `${ring.folder}/jwks.json`
    const publish = () => writeFileSync(path, JSON.stringify({ keys: provider.publicKeys }))
    publish()
    const server = await start({ jwtJwks: `file:${path}` })
    expect((await guide(server, await provider.token())).status).toBe(200)
    await provider.rotate('in a file')
    publish()
    later(31_000)
    expect((await guide(server, await provider.token())).status).toBe(200)
    await expect(start({ jwtJwks: `file:${ring.folder}/none.json` })).rejects.toThrow(/ENOENT/)
  })

  it('takes turns as its subject, which is one caller however many tokens it has', async () => {
    const access = await Access.open({
      settings: { ...loadConfig({}), jwtJwks: provider.url, jwtIssuer: ISSUER, jwtAudience: AUDIENCE },
      store: undefined,
      log: { info: () => {}, warn: () => {}, error: () => {} },
      audit: () => {},
    })
    const callers = await Promise.all(
      ['bob', 'bob', 'carol'].map(async (sub, i) => {
        const token = await provider.token({ sub, nonce: i })
        return access.identify(bearer(token), {})
      }),
    )
    expect(callers[0]).not.toBe(callers[1])
    expect(callers[0].lane).toBe(callers[1].lane)
    expect(callers[0].lane).not.toBe(callers[2].lane)
  })

  it('has quotas of its own subject', async () => {
    const server = await start({ quota: 'requests=10/h' })
    const left = async (sub: string) =>
      (await guide(server, await provider.token({ sub }))).headers.get('ratelimit')
    expect(
      [await left('bob'), await left('bob'), await left('carol')].map((text) => text!.split(';')[1]),
    ).toEqual(['r=9', 'r=8', 'r=9'])
  })
})

describe('the keys of the provider', () => {
  it('are fetched once for many tokens', async () => {
    const server = await start()
    const before = provider.asked
    for (const sub of ['a', 'b', 'c']) await guide(server, await provider.token({ sub }))
    expect(provider.asked - before).toBe(1)
  })

  it('may rotate: a token with a new key is accepted, once the cooldown has passed', async () => {
    const server = await start()
    await guide(server, await provider.token())
    await provider.rotate('second')
    const token = await provider.token()
    expect((await guide(server, token)).status).toBe(401)
    later(31_000)
    expect((await guide(server, token)).status).toBe(200)
  })

  it('are fetched at most every 30 s for unknown keys, whoever sends them', async () => {
    const server = await start()
    await guide(server, await provider.token())
    const before = provider.asked
    for (let i = 0; i < 20; i++) await guide(server, await provider.token({}, { kid: `wrong${i}` }))
    expect(provider.asked - before).toBe(0)
  })

  it('are not trusted any more after they were withdrawn, once they are fetched again', async () => {
    const server = await start()
    const token = await provider.token({}, { expires: '3h' })
    expect((await guide(server, token)).status).toBe(200)
    const { asked } = provider
    await provider.rotate('third', { withdraw: true })
    // The first request after ten minutes need not wait.
    later(11 * 60_000)
    expect((await guide(server, token)).status).toBe(200)
    await expect.poll(() => provider.asked).toBe(asked + 1)
    const status = async () => {
      later(61_000)
      return (await guide(server, token)).status
    }
    await expect.poll(status).toBe(401)
  })

  it.each(['down', 'a page'] as const)(
    'stay valid while the provider is %s, and only those',
    async (mood) => {
      const server = await start()
      const [token, another] = [
        await provider.token({}, { expires: '40h' }),
        await provider.token({ sub: 'dan' }),
      ]
      expect((await guide(server, token)).status).toBe(200)
      provider.mood = mood
      const unknown = await provider.token({}, { kid: 'next' })
      later(31_000)
      expect((await guide(server, another)).status).toBe(200)
      const { status, headers, body } = await guide(server, unknown)
      expect([status, headers.get('retry-after')]).toEqual([503, '5'])
      expect(body).toMatchObject({ type: 'urn:lossd:problem:identity-down', retryable: true })
      later(12 * 60_000)
      expect((await guide(server, token)).status).toBe(200)
      later(25 * 3600_000)
      expect((await guide(server, token)).status).toBe(503)
      provider.mood = 'well'
      later(1100)
      expect((await guide(server, token)).status).toBe(200)
    },
  )

  it('are waited for if they cannot be fetched at first: tokens get a 503, keys work', async () => {
    provider.mood = 'down'
    const key = await ring.add()
    const server = await start({ keys: `file:${ring.path}` })
    expect((await guide(server, await provider.token())).status).toBe(503)
    expect((await guide(server, key)).status).toBe(200)
    provider.mood = 'well'
    later(1100)
    expect((await guide(server, await provider.token())).status).toBe(200)
  })

  it('are asked for once a second while they cannot be fetched, however many tokens come', async () => {
    provider.mood = 'down'
    const server = await start()
    const before = provider.asked
    const tokens = await Promise.all(Array.from({ length: 30 }, (_, i) => provider.token({ sub: `s${i}` })))
    const since = performance.now()
    for (const token of tokens) expect((await guide(server, token)).status).toBe(503)
    expect(provider.asked - before).toBeLessThanOrEqual(1 + Math.ceil((performance.now() - since) / 1000))
  })
})

/** Moves only the clock: sockets and timers go on. */
function later(ms: number) {
  const now = Date.now() + ms
  vi.useFakeTimers({ toFake: ['Date'] })
  vi.setSystemTime(now)
}

function changed(token: string): string {
  const [head, , signature] = token.split('.')
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', scope: 'admin:*', exp: Date.now() }
  return [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
}

function unsigned(): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part({ iss: ISSUER, aud: AUDIENCE, sub: 'alice', exp: 4e9 })}.`
}

/** The classic attack: what everyone knows, used as a shared secret. */
function confused(): Promise<string> {
  const secret = Buffer.from(JSON.stringify(provider.publicKeys[0]))
  return new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'alice' })
    .setProtectedHeader({ alg: 'HS256', kid: 'first' })
    .setExpirationTime('5m')
    .sign(secret)
}
