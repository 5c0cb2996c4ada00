/** Registered custom losses over a real socket: registered, versioned, evaluated by name, retired. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Registry } from '../../src/registry/registry.ts'
import { StoreDown } from '../../src/store/contract.ts'
import { type Kept, ROBUST, startKeeper } from '../support/custom.ts'

let server: Kept
beforeAll(async () => {
  server = await startKeeper()
})
afterAll(() => server.close())

const register = (definition: object, headers = {}) => server.send('POST', '/v1/losses', definition, headers)
const named = (name: string, changes: object = {}) => ({ ...ROBUST, name: `acme/${name}`, ...changes })
const body = { predictions: [1, 2], targets: [0, 0] }
const evaluate = (name: string, more = {}) => server.send('POST', `/v1/losses/${name}`, { ...body, ...more })

describe('registering', () => {
  it('responds with 201, Location, the version, and the loss as GET returns it', async () => {
    const { status, headers, body: made } = await register(named('first'))
    expect(status).toBe(201)
    expect(headers.get('location')).toBe('/v1/losses/acme/first@1')
    expect(headers.get('etag')).toBe('"1"')
    expect(made).toMatchObject({
      name: 'acme/first',
      version: 1,
      couples: 'element',
      family: 'custom',
      createdBy: null,
    })
    expect(made.id).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(made.latex).toContain('\\ln')
    const shown = await server.send('GET', '/v1/losses/acme/first')
    expect(shown.body).toEqual(made)
  })

  it('warns of expressions that are never finite, and registers the loss', async () => {
    const formula = ['e = predictions - targets', 'e^2 / (scale - scale)']
    const { status, body: made } = await register(named('warned', { formula, examples: [] }))
    expect([status, made.definition.formula]).toEqual([201, formula])
    expect(made.warnings).toEqual([
      {
        pointer: '/formula/1',
        line: 2,
        column: 1,
        detail: 'the quotient is never finite here: its divisor is always 0\n  e^2 / (scale - scale)\n  ^',
      },
    ])
    expect((await register(named('sound'))).body.warnings).toEqual([])
  })

  it('responds with 200 and the existing version for an equal document; a changed one becomes the next version', async () => {
    await register(named('versions'))
    const again = await register(named('versions'))
    expect([again.status, again.body.version]).toEqual([200, 1])
    const next = await register(
      named('versions', { formula: 'abs(predictions - targets) / scale', examples: [] }),
    )
    expect([next.status, next.body.version]).toEqual([201, 2])
    const { body: list } = await server.send('GET', '/v1/losses/acme/versions/versions')
    expect(list.versions.map(({ version }: { version: number }) => version)).toEqual([2, 1])
    expect((await evaluate('acme/versions')).body.loss).toBe(1.5)
    expect((await evaluate('acme/versions@1')).body.loss).toBeCloseTo(1.1512926, 6)
  })

  it('only creates with If-None-Match: *, and only follows the version in If-Match', async () => {
    expect((await register(named('conditions'), { 'if-none-match': '*' })).status).toBe(201)
    const changed = named('conditions', { about: 'Changed.' })
    expect((await register(changed, { 'if-none-match': '*' })).status).toBe(412)
    expect((await register(changed, { 'if-match': '"7"' })).status).toBe(412)
    expect((await register(changed, { 'if-match': '"1"' })).status).toBe(201)
    expect((await register(changed, { 'if-match': 'W/x' })).body.type).toContain('precondition-failed')
  })

  it('gives each of two concurrent documents its own version', async () => {
    await register(named('race'))
    const both = await Promise.all(['A.', 'B.'].map((about) => register(named('race', { about }))))
    expect(both.map((made) => made.body.version).sort()).toEqual([2, 3])
  })
})

describe('the page of a loss', () => {
  const page = async (path: string, accept = 'text/html,application/xhtml+xml,*/*;q=0.8') => {
    const response = await fetch(`${server.url}${path}`, { headers: { accept } })
    return {
      type: response.headers.get('content-type')!,
      headers: response.headers,
      text: await response.text(),
    }
  }

  it('is returned to browsers, with formula and LaTeX, for registered losses and those of the catalog', async () => {
    await register(named('page'))
    for (const path of ['/v1/losses/acme/page', '/v1/losses/acme/page@1', '/v1/losses/huber']) {
      const { type, headers, text } = await page(path)
      expect([path, type, headers.get('vary')]).toEqual([path, 'text/html; charset=utf-8', 'Accept'])
      expect(text).toContain('<h2>Formula</h2>')
      expect(text).toMatch(/<h2>LaTeX<\/h2>\n<pre>.*\\/)
    }
    expect((await page('/v1/losses/acme/page', '*/*')).type).toMatch('application/json')
  })

  it('escapes the texts of the author', async () => {
    const about = '<script>alert("x")</script> & more'
    const formula = 'r = predictions - targets # <b>\nr < 0 ? -r : r * scale'
    await register(named('page_of_markup', { about, formula, examples: [], references: ['<img src=x>'] }))
    const { text } = await page('/v1/losses/acme/page_of_markup')
    expect(text).not.toMatch(/<script|<b>|<img/)
    expect(text).toContain('&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; more')
  })
})

describe('evaluating by name', () => {
  it('supports the value, the gradient and every option like a loss of the catalog', async () => {
    await register(named('options'))
    const plain = await evaluate('acme/options', { params: { scale: 2 }, reduction: 'none' })
    expect(plain.body.loss[0]).toBeCloseTo(Math.log1p(0.25), 6)
    const all = await evaluate('acme/options', { hessian: 'diagonal', explain: true, sample_weight: [1, 0] })
    expect(all.body.hessian.predictions).toEqual([0, 0])
    expect(all.body.gradients.predictions).toEqual([0.5, 0])
    expect(all.body.explain.loss).toBe('acme/options')
  })

  it('rejects what its definition rejects, with the name', async () => {
    await register(named('refusals'))
    const wrong = await evaluate('acme/refusals', { params: { scale: 0 } })
    expect(wrong.status).toBe(422)
    expect(wrong.body.errors[0]).toEqual({ pointer: '/params/scale', detail: 'must be a number > 0, got 0' })
    const strange = await server.send('POST', '/v1/losses/acme/refusals', { predictions: [1], labels: [0] })
    expect(strange.body.detail).toContain('Did you mean "targets"?')
  })

  it('responds with 404 for an unknown name or version, with the URL of the list', async () => {
    for (const name of ['acme/nothing', 'acme/first@9', 'Acme/x', 'acme/a@b', 'acme/a@1@2']) {
      const { status, body: problem } = await evaluate(name)
      expect([name, status]).toEqual([name, 404])
      expect(problem.type).toBe('urn:lossd:problem:unknown-loss')
    }
  })

  it('has a JSON Schema of its requests', async () => {
    await register(named('schema_of'))
    const { body: schema } = await server.send('GET', '/v1/losses/acme/schema_of/schema')
    expect(schema.required).toEqual(['predictions', 'targets'])
    expect(schema.properties.params.properties.scale.exclusiveMinimum).toBe(0)
    for (const reference of JSON.stringify(schema).matchAll(/"\$ref":"([^"]*)"/g))
      expect(Object.keys(schema.$defs)).toContain(reference[1]!.replace('#/$defs/', ''))
  })

  it('can be a term of a composition, by name or by definition', async () => {
    await register(named('term'))
    const { name: _, ...definition } = ROBUST
    const terms = [{ loss: 'acme/term', weight: 2 }, { loss: { definition } }, { loss: 'l1', weight: 0.5 }]
    const sum = await server.send('POST', '/v1/losses:compose', { terms, ...body })
    expect(sum.status, JSON.stringify(sum.body)).toBe(200)
    const single = (await evaluate('acme/term')).body.loss
    expect(sum.body.loss).toBeCloseTo(3 * single + 0.5 * 1.5, 5)
    const wrong = await server.send('POST', '/v1/losses:compose', {
      terms: [{ loss: 'acme/unknown' }],
      ...body,
    })
    expect(wrong.status).toBe(404)
    const broken = { terms: [{ loss: { definition: { ...definition, formula: 'x +' } } }], ...body }
    const { body: problem } = await server.send('POST', '/v1/losses:compose', broken)
    expect(problem.errors[0]).toMatchObject({
      pointer: '/terms/0/loss/definition/formula',
      line: 1,
      column: 4,
    })
  })
})

describe('listing and retiring', () => {
  it('lists the losses of a namespace, page by page', async () => {
    for (let i = 0; i < 3; i++) await register({ ...ROBUST, name: `pages/loss_${i}` })
    const { body: all } = await server.send('GET', '/v1/losses?namespace=pages')
    expect(all.losses.map(({ name }: { name: string }) => name)).toEqual([
      'pages/loss_0',
      'pages/loss_1',
      'pages/loss_2',
    ])
    const { body: one } = await server.send('GET', '/v1/losses/pages/loss_0')
    const { name, family, couples, about, aliases, version, created } = one
    expect(all.losses[0]).toEqual({ name, family, couples, about, aliases, version, created })
    const { body: rest } = await server.send('GET', '/v1/losses?namespace=pages&after=loss_1')
    expect(rest.losses).toHaveLength(1)
    expect((await server.send('GET', '/v1/losses?namespace=empty')).body.losses).toEqual([])
    expect((await server.send('GET', '/v1/losses')).body.losses).toHaveLength(
      server.app.context.catalog.losses.length,
    )
  })

  it.each([
    ['/v1/losses?namespace=acme&after=a&after=b', '/after: must be there only once'],
    ['/v1/losses?namespace=a&namespace=b', '/namespace: must be there only once'],
    ['/v1/losses/acme/robust_log/versions?before=2&before=3', '/before: must be there only once'],
    ['/v1/losses?namespace=acme&after=%00', '/after: must be lowercase letters'],
    ['/v1/losses?namespace=%00', '/namespace: must be lowercase letters'],
    ['/v1/losses?namespace=Acme', '/namespace: must be lowercase letters'],
  ])('%s is refused with the parameter that is wrong', async (path, detail) => {
    const { status, body } = await server.send('GET', path)
    expect([status, body.detail]).toEqual([422, expect.stringContaining(detail)])
  })

  it('only true, false and no value say whether a name is purged: anything else removes nothing', async () => {
    await register(named('kept'))
    for (const query of ['purge=true&purge=false', 'purge=1', 'purge=TRUE', 'purge=no']) {
      const { status, body } = await server.send('DELETE', `/v1/losses/acme/kept?${query}`)
      expect([query, status, body.detail]).toEqual([query, 422, expect.stringContaining('/purge: must be')])
    }
    expect((await evaluate('acme/kept')).status).toBe(200)
    const remove = async (query: string) =>
      (await server.send('DELETE', `/v1/losses/acme/kept?${query}`)).body
    expect(await remove('purge=false')).toEqual({ retired: true, purged: false })
    expect(await remove('purge')).toEqual({ retired: false, purged: true })
  })

  it('a retired name responds with 410, its versions work with a Deprecation header, and a purge deletes all', async () => {
    await register(named('old'))
    await evaluate('acme/old')
    expect((await server.send('DELETE', '/v1/losses/acme/old')).body).toEqual({
      retired: true,
      purged: false,
    })
    expect((await evaluate('acme/old')).status).toBe(410)
    expect((await server.send('GET', '/v1/losses/acme/old')).status).toBe(410)
    const pinned = await evaluate('acme/old@1')
    expect(pinned.status).toBe(200)
    expect(pinned.headers.get('deprecation')).toMatch(/^@\d{10}$/)
    expect((await server.send('DELETE', '/v1/losses/acme/old?purge=true')).body).toEqual({
      retired: false,
      purged: true,
    })
    expect((await evaluate('acme/old@1')).status).toBe(404)
    expect((await server.send('DELETE', '/v1/losses/acme/old')).status).toBe(404)
    expect((await register(named('old'))).body.version).toBe(2)
  })
})

describe('metrics', () => {
  it('count a registered loss by its name, for all versions together, and have no label for a name that does not exist', async () => {
    await register(named('counted'))
    for (const name of ['acme/counted', 'acme/counted@1', 'acme/not_there']) await evaluate(name)
    const text = await (await fetch(`${server.url}/metrics`)).text()
    const counted = [...text.matchAll(/^lossd_requests_total\{loss="([^"]*)",.*status="(\d+)"\} (\d+)/gm)]
    const of = (loss: string) => counted.filter((line) => line[1] === loss).map((line) => [line[2], line[3]])
    expect(of('acme/counted')).toEqual([['200', '2']])
    expect(text).not.toContain('not_there')
    expect(of('registered').map(([status]) => status)).toContain('404')
  })

  it('count all registered losses after the first hundred together', async () => {
    const other = await startKeeper()
    for (let i = 0; i < 103; i++) {
      await other.send('POST', '/v1/losses', { ...ROBUST, name: `many/loss_${i}`, examples: [] })
      expect((await other.send('POST', `/v1/losses/many/loss_${i}`, body)).status).toBe(200)
    }
    const text = await (await fetch(`${other.url}/metrics`)).text()
    const series = [...text.matchAll(/^lossd_requests_total\{loss="([^"]*)"/gm)].map((line) => line[1])
    expect(series.filter((name) => name!.startsWith('many/'))).toHaveLength(100)
    expect(text).toMatch(/^lossd_requests_total\{loss="registered",format="json",status="200"\} 3$/m)
    await other.close()
  })
})

describe('rejected requests', () => {
  const { name: _, ...nameless } = ROBUST
  it.each([
    ['no name', nameless, 422, '/name'],
    ['a bare name', { ...ROBUST, name: 'robust' }, 422, '/name'],
    ['a name with capitals', { ...ROBUST, name: 'Acme/Robust' }, 422, '/name'],
    [
      'an example that does not hold',
      { ...ROBUST, examples: [{ ...ROBUST.examples[0], loss: [0.7] }] },
      422,
      '/examples/0/loss',
    ],
    [
      'an example whose inputs do not fit',
      { ...ROBUST, examples: [{ inputs: { predictions: [1] }, loss: [1] }] },
      422,
      '/examples/0/targets',
    ],
    ['an unknown member', { ...ROBUST, code: 'x' }, 422, '/code'],
    ['an unknown kind', { ...ROBUST, inputs: { x: { kind: 'number' } } }, 422, '/inputs/x/kind'],
    [
      'a default out of range',
      { ...ROBUST, params: { scale: { type: 'number', minimum: 1, default: 0 } } },
      422,
      '/params/scale/default',
    ],
    [
      'an input called as an option',
      { ...ROBUST, inputs: { ...ROBUST.inputs, reduction: {} } },
      422,
      '/inputs/reduction',
    ],
    ['a list', [], 422, ''],
    ['a text', '"x"', 422, ''],
  ])('%s', async (_what, definition, status, pointer) => {
    const answer = await register(definition as object)
    expect([answer.status, answer.body.errors[0].pointer]).toEqual([status, pointer])
  })

  it('bodies that are not JSON or larger than 64 KiB', async () => {
    expect((await register('{"name": ' as unknown as object)).status).toBe(400)
    expect((await register({ ...ROBUST, about: 'x'.repeat(70_000) })).status).toBe(413)
    expect((await register({ ...ROBUST, about: 'x'.repeat(700_000) })).status).toBe(413)
  })

  it('more losses than the limit of a namespace', async () => {
    const small = await startKeeper({ maxLosses: 2 })
    const answers = []
    for (let i = 0; i < 3; i++)
      answers.push(await small.send('POST', '/v1/losses', { ...ROBUST, name: `acme/l${i}` }))
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 429])
    await small.close()
  })

  it('everything except inline losses, without a store', async () => {
    const none = await startKeeper({ store: 'none' })
    expect((await none.send('POST', '/v1/losses', ROBUST)).status).toBe(501)
    expect((await none.send('POST', '/v1/losses/acme/x', body)).status).toBe(501)
    const inline = await none.send('POST', '/v1/losses:evaluate', {
      formula: 'abs(predictions - targets)',
      ...body,
    })
    expect(inline.body.loss).toBe(1.5)
    expect((await none.send('GET', '/health/ready')).body.store).toBe('none')
    await none.close()
  })

  it('registering while the store is down, and nothing else', async () => {
    const down = await startKeeper({ store: 'postgres://nobody@127.0.0.1:1/nothing' })
    const refused = await down.send('POST', '/v1/losses', ROBUST)
    expect([refused.status, refused.body.retryable]).toEqual([503, true])
    expect(refused.body.detail).toBe('the store cannot be used: no server is listening there')
    // It is not tried again at once. That does not tell more.
    expect((await down.send('GET', '/v1/losses/acme/x')).body.detail).toBe(refused.body.detail)
    expect((await down.send('POST', '/v1/losses/huber', body)).status).toBe(200)
    expect(
      (await down.send('POST', '/v1/losses:evaluate', { formula: 'predictions - targets', ...body })).status,
    ).toBe(200)
    const ready = await down.send('GET', '/health/ready')
    expect([ready.status, ready.body.store]).toEqual([200, 'down'])
    await down.close()
  })
})

describe('the state of the store', () => {
  afterEach(() => vi.useRealTimers())

  it('is asked for once a second, however many ask, and the log says once why it is down', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const health = vi.fn(async () => {})
    const lines: object[] = []
    const log = { warn: (details: object) => lines.push(details) }
    const registry = new Registry({ onChange: () => {}, health } as never, undefined, log)
    const states = () => Promise.all(Array.from({ length: 20 }, () => registry.storeState()))
    expect(new Set(await states())).toEqual(new Set(['up']))
    expect(new Set(await states())).toEqual(new Set(['up']))
    expect(health).toHaveBeenCalledOnce()
    health.mockRejectedValue(new StoreDown('the store dbx at 127.0.0.1:9 cannot be used'))
    for (let i = 0; i < 3; i++) {
      vi.advanceTimersByTime(1001)
      expect(new Set(await states())).toEqual(new Set(['down']))
    }
    expect(health).toHaveBeenCalledTimes(4)
    expect(lines).toEqual([{ why: 'the store dbx at 127.0.0.1:9 cannot be used' }])
  })
})

it('a loss is served by another replica on the same store at once', async () => {
  const other = await startKeeper({ store: `file:${server.folder}/lossd.db` })
  await register(named('shared'))
  expect((await other.send('POST', '/v1/losses/acme/shared', body)).status).toBe(200)
  await register(named('shared', { formula: 'predictions * 0 + 7', examples: [] }))
  expect((await other.send('POST', '/v1/losses/acme/shared@2', body)).body.loss).toBe(7)
  await other.close()
})
