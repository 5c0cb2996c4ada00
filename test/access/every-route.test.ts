/**
 * Every route that is registered, whatever it is: it needs a key, and it shows nothing of a loss to callers who may not see its
 * namespace. A new route is tested by being there.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bearer, startGuarded } from '../support/access.ts'
import { type Kept, ROBUST, type Sent } from '../support/custom.ts'
import { KeyRing } from '../support/key-ring.ts'

/** Open to all, on purpose. A route that is missing here needs a key. */
const PUBLIC = ['/', '/health/live', '/health/ready', '/openapi.json']

/** A word that occurs nowhere but in the loss: in its name, its formula, its inputs and its description. */
const MARK = 'zebrafish'
const SECRET = {
  ...ROBUST,
  name: `acme/${MARK}`,
  about: `About ${MARK}.`,
  inputs: { [`${MARK}_in`]: { axes: '...', kind: 'real', differentiable: true }, targets: {} },
  formula: `r = (${MARK}_in - targets) / scale\nlog1p(r^2)`,
  examples: [],
}
const tensors = { [`${MARK}_in`]: [1, 2], targets: [0, 0] }

const ring = new KeyRing()
let server: Kept
let owner: string
let stranger: string
let nobody: string
let everyone: string
beforeAll(async () => {
  owner = await ring.add({ grants: ['admin:acme'] })
  stranger = await ring.add({ grants: ['admin:umbrella'] })
  nobody = await ring.add()
  everyone = await ring.add({ grants: ['evaluate:*'] })
  server = await startGuarded(ring)
  const made = await server.send('POST', '/v1/losses', SECRET, bearer(owner))
  expect(made.status).toBe(201)
  // So that it appears in the metrics and in the cost model.
  for (let i = 0; i < 3; i++) {
    const large = Array.from({ length: 20_000 }, (_, place) => place)
    const body = { [`${MARK}_in`]: large, targets: large }
    expect((await server.send('POST', `/v1/losses/acme/${MARK}`, body, bearer(owner))).status).toBe(200)
  }
})
afterAll(async () => {
  await server.close()
  ring.remove()
})

interface Route {
  readonly method: string
  readonly pattern: string
}

function routes(): Route[] {
  const all = [...server.app.routes].flatMap(([pattern, methods]) =>
    [...methods].map((method) => ({ method, pattern })),
  )
  return all.filter(({ pattern }) => !pattern.startsWith('/docs') && pattern !== '*')
}

/** The path of a route with these in the place of its parameters. */
function pathOf(pattern: string, namespace: string, name: string): string {
  const values: Readonly<Record<string, string>> = { namespace, name, target: 'numpy' }
  return pattern.replaceAll(/:(\w+)(?:\([^)]*\))?/g, (whole, parameter: string) => values[parameter] ?? whole)
}

/** Without what differs between two responses to the same request. */
function comparable({ status, body }: Sent, name: string): unknown {
  const told = typeof body === 'object' ? { ...body, requestId: '' } : body
  return JSON.parse(JSON.stringify({ status, told }).replaceAll(name, 'NAME'))
}

const isPlain = (method: string) => method === 'GET' || method === 'HEAD'
const send = (method: string, path: string, key: string | undefined, body?: unknown) =>
  server.send(method, path, isPlain(method) ? undefined : (body ?? {}), key === undefined ? {} : bearer(key))

it('there are routes of every kind', () => {
  const found = routes()
  expect(found.length).toBeGreaterThan(120)
  for (const method of ['GET', 'POST', 'DELETE']) expect(found.map((route) => route.method)).toContain(method)
  expect(found.filter(({ pattern }) => pattern.includes(':namespace')).length).toBeGreaterThanOrEqual(9)
})

it('every route needs a key, but those that are open on purpose', async () => {
  for (const { method, pattern } of routes()) {
    const { status } = await send(method, pathOf(pattern, 'acme', MARK), undefined)
    if (PUBLIC.includes(pattern)) expect([pattern, status]).toEqual([pattern, 200])
    else expect([method, pattern, status]).toEqual([method, pattern, 401])
  }
})

it('the pages of the API documentation are open, and know nothing of registered losses', async () => {
  const page = await fetch(`${server.url}/docs`)
  expect([page.status, (await page.text()).includes(MARK)]).toEqual([200, false])
})

describe('a loss of a namespace that a caller may not see', () => {
  const bodies = () => [tensors, {}, { retired: true }]

  it('does not exist on any route: the answer is that for a name that nobody has registered', async () => {
    for (const { method, pattern } of routes().filter(({ pattern }) => pattern.includes(':namespace'))) {
      for (const key of [stranger, nobody]) {
        for (const name of [MARK, `${MARK}@1`]) {
          for (const body of bodies()) {
            const there = await send(method, pathOf(pattern, 'acme', name), key, body)
            const other = name.replace(MARK, 'nonesuch')
            const absent = await send(method, pathOf(pattern, 'acme', other), key, body)
            const what = `${method} ${pattern} ${name}`
            expect([what, comparable(there, MARK)]).toEqual([what, comparable(absent, 'nonesuch')])
            // A version cannot be removed by itself, whether there is one or not.
            expect([what, there.status]).toEqual([what, method === 'DELETE' && name !== MARK ? 422 : 404])
          }
        }
      }
    }
  })

  it('exists for its owner on each of them, so the test above would notice', async () => {
    for (const { method, pattern } of routes().filter(({ pattern }) => pattern.includes(':namespace'))) {
      if (method === 'DELETE') continue
      const { status } = await send(method, pathOf(pattern, 'acme', MARK), owner, tensors)
      expect([method, pattern, status]).not.toEqual([method, pattern, 404])
    }
  })

  it('is in no response of any other route', async () => {
    const named = `acme/${MARK}`
    const asked = [
      { loss: named },
      { loss: named, of: `${MARK}_in` },
      { terms: [{ loss: named, inputs: {} }], x: [1] },
      { terms: [{ loss: `${named}@1`, inputs: {} }], x: [1] },
      { name: named, formula: 'x' },
      { target: 'numpy', loss: named },
      { target: 'numpy', formula: named },
    ]
    for (const { method, pattern } of routes().filter(({ pattern }) => !pattern.includes(':namespace'))) {
      const path = pathOf(pattern, '', isPlain(method) ? 'huber' : 'huber')
      const query = isPlain(method) ? ['', '?namespace=acme', '?namespace=acme&after=a'] : ['']
      for (const more of query) {
        for (const body of isPlain(method) ? [undefined] : asked) {
          const sent = await send(method, path + more, stranger, body)
          const told = JSON.stringify(sent.body ?? '').replaceAll(JSON.stringify(body ?? ''), '')
          // A message may repeat what was asked for: then it is the one for a name that nobody has registered.
          const again =
            body === undefined ? body : JSON.parse(JSON.stringify(body).replaceAll(MARK, 'nonesuch'))
          const absent = await send(method, path + more, stranger, again)
          if (body === undefined) expect([path + more, told.includes(MARK)]).toEqual([path + more, false])
          else
            expect([path, body, comparable(sent, MARK)]).toEqual([path, body, comparable(absent, 'nonesuch')])
        }
      }
    }
  })

  it('is in the list, the metrics and the cost model of its owner and of those who see all, and of nobody else', async () => {
    const learned = async (key: string) => JSON.stringify((await send('GET', '/v1/engines', key)).body)
    const metrics = async (key: string) => {
      return (await fetch(`${server.url}/metrics`, { headers: bearer(key) })).text()
    }
    const listed = async (key: string) =>
      JSON.stringify((await send('GET', '/v1/losses?namespace=acme', key)).body)
    for (const [key, sees] of [
      [owner, true],
      [everyone, true],
      [stranger, false],
      [nobody, false],
    ] as const) {
      for (const read of [metrics, listed, learned]) {
        if (read === learned && sees && !(await learned(everyone)).includes(MARK)) continue
        expect([read.name, (await read(key)).includes(MARK)]).toEqual([read.name, sees])
      }
    }
    expect((await metrics(stranger)).length).toBeGreaterThan(5000)
  })

  it('is in no page that a browser gets', async () => {
    for (const path of [`/v1/losses/acme/${MARK}`, `/v1/losses/acme/${MARK}/explanation`]) {
      const response = await fetch(server.url + path, {
        headers: { ...bearer(stranger), accept: 'text/html' },
      })
      expect(response.status).toBe(404)
      expect((await response.text()).replaceAll(`acme/${MARK}`, '')).not.toContain(MARK)
    }
  })
})

describe('roles', () => {
  const named = (name: string) => ({ ...ROBUST, name, examples: [] })
  const register = (name: string, key: string) => server.send('POST', '/v1/losses', named(name), bearer(key))
  const remove = (path: string, key: string) => server.send('DELETE', path, undefined, bearer(key))

  it('evaluate does not register, register does not purge, admin does both', async () => {
    const [evaluates, registers, admin] = await Promise.all(
      ['evaluate:roles', 'register:roles', 'admin:roles'].map((grant) => ring.add({ grants: [grant] })),
    )
    await server.app.reload()
    const refused = await register('roles/one', evaluates!)
    expect([refused.status, refused.body.type]).toEqual([403, 'urn:lossd:problem:forbidden'])
    expect(refused.headers.get('www-authenticate')).toContain(
      'error="insufficient_scope", scope="register:roles"',
    )
    expect((await register('roles/one', registers!)).status).toBe(201)
    const path = '/v1/losses/roles/one'
    expect((await server.send('GET', path, undefined, bearer(evaluates!))).status).toBe(200)
    expect((await remove(path, evaluates!)).status).toBe(403)
    expect((await remove(`${path}?purge=true`, registers!)).body.detail).toContain('the role admin')
    expect((await remove(path, registers!)).status).toBe(200)
    expect((await remove(`${path}?purge=true`, admin!)).body).toEqual({ retired: false, purged: true })
  })

  it('hold in their namespace only: registering elsewhere is a 403, whatever is there', async () => {
    for (const name of [`acme/${MARK}`, 'acme/nonesuch', 'empty/nonesuch'])
      expect([name, (await register(name, stranger)).status]).toEqual([name, 403])
  })

  it('are checked before the examples of a definition are computed', async () => {
    const wrong = { ...ROBUST, name: 'acme/wrong', examples: [{ ...ROBUST.examples[0], loss: [5] }] }
    expect((await server.send('POST', '/v1/losses', wrong, bearer(stranger))).status).toBe(403)
    expect((await server.send('POST', '/v1/losses', wrong, bearer(owner))).status).toBe(422)
  })

  it('a key without grants uses the catalog and formulas of its own', async () => {
    const pair = { predictions: [1], targets: [2] }
    expect((await server.send('POST', '/v1/losses/huber', pair, bearer(nobody))).status).toBe(200)
    const inline = { formula: 'abs(predictions - targets)', ...pair }
    expect((await server.send('POST', '/v1/losses:evaluate', inline, bearer(nobody))).status).toBe(200)
  })

  it('a namespace that is shared is open to every caller for evaluation, and for nothing else', async () => {
    const shared = await startGuarded(ring, { sharedNamespaces: 'common, other' })
    const keeper = await ring.add({ grants: ['admin:common'] })
    await shared.app.reload()
    const definition = named('common/robust')
    expect((await shared.send('POST', '/v1/losses', definition, bearer(keeper))).status).toBe(201)
    const body = { predictions: [1], targets: [0] }
    expect((await shared.send('POST', '/v1/losses/common/robust', body, bearer(nobody))).status).toBe(200)
    expect((await shared.send('DELETE', '/v1/losses/common/robust', undefined, bearer(nobody))).status).toBe(
      403,
    )
    await shared.close()
  })
})
