/** Losses as source over HTTP. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TARGETS } from '../../src/sources/targets.ts'
import { depth } from '../support/depth.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

interface Refusal {
  readonly type: string
  readonly detail: string
  readonly errors?: readonly { pointer: string; line?: number; column?: number; detail: string }[]
}

const get = (path: string) => fetch(`${server.url}/v1/losses/${path}`)
const refusal = async (path: string, status: number): Promise<Refusal> => {
  const response = await get(path)
  expect(response.status, path).toBe(status)
  return (await response.json()) as Refusal
}
const post = (body: object) =>
  fetch(`${server.url}/v1/losses:source`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

describe('a loss of the catalog', () => {
  it.each(TARGETS.map((target) => [target.name, target] as const))(
    'is written as %s',
    async (name, target) => {
      const response = await get(`huber/source/${name}`)
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toBe(`${target.mediaType}; charset=utf-8`)
      expect(response.headers.get('content-disposition')).toBe(`inline; filename="huber${target.extension}"`)
      const text = await response.text()
      expect(text).toContain('q = min(abs(e), delta)')
      expect(await (await get(`huber/source/${name}`)).text()).toBe(text)
    },
  )

  it('has the parameters that the name of a framework implies', async () => {
    const text = await (await get('huber/source/numpy?params={"delta":2.5}')).text()
    expect(text).toContain('delta=2.5')
  })

  it('is a query over the columns that the caller names', async () => {
    const query = await (
      await get('huber/source/sql?table=sales.t&predictions=y_hat&targets=y&gradients=predictions')
    ).text()
    expect(query).toContain('"y_hat"')
    expect(query).toContain('FROM "sales"."t"')
    expect(query).toContain('AS "gradient_predictions"')
    expect(query).not.toContain('gradient_targets')
  })
})

describe('a request that cannot be met', () => {
  it('names the targets that there are', async () => {
    const { type, detail } = await refusal('huber/source/nmupy', 404)
    expect(type).toBe('urn:lossd:problem:unknown-target')
    for (const { name } of TARGETS) expect(detail).toContain(name)
    expect(detail).toContain('Did you mean "numpy"?')
  })

  it('names the dialects that there are', async () => {
    const { type, detail } = await refusal('huber/source/sql?dialect=duckbd', 404)
    expect(type).toBe('urn:lossd:problem:unknown-target')
    expect(detail).toContain('dialects are duckdb')
  })

  it('shows the place in the formula that a target cannot say', async () => {
    const { type, detail, errors } = await refusal('supcon/source/sql', 409)
    expect(type).toBe('urn:lossd:problem:cannot-write')
    expect(detail).toContain('rename, line')
    expect(errors![0]).toMatchObject({
      pointer: '/formula',
      line: expect.any(Number),
      column: expect.any(Number),
    })
  })

  it.each([
    ['t"; DROP TABLE x; --', 'table'],
    ['a\u0000b', 'table'],
    ['', 'table'],
    ['x/*', 'table'],
    ['a\\', 'table'],
    ['t\u202e', 'table'],
    [`${'x'.repeat(2000)}`, 'table'],
    ['y"; DROP TABLE x; --', 'predictions'],
    ['y\n', 'predictions'],
  ])('refuses the name %j of a %s', async (name, member) => {
    const { errors } = await refusal(`huber/source/sql?${member}=${encodeURIComponent(name)}`, 422)
    expect(errors![0]!.pointer).toBe(`/${member}`)
  })

  it('doubles a quote in a name', async () => {
    const text = await (await get(`huber/source/sql?table=${encodeURIComponent('a"b')}`)).text()
    expect(text).toContain('FROM "a""b"')
  })

  it('refuses what is not an option, and columns of what has none', async () => {
    expect((await refusal('huber/source/sql?tabel=t', 422)).detail).toContain('Did you mean "table"?')
    expect((await refusal('huber/source/numpy?predictions=y', 422)).errors![0]!.pointer).toBe('/predictions')
    expect((await refusal('huber/source/sql?params={"delta":-1}', 422)).errors![0]!.pointer).toBe(
      '/params/delta',
    )
    expect((await refusal('huber/source/sql?params=[', 422)).errors![0]!.pointer).toBe('/params')
    expect((await refusal('huber/source/sql?gradients=nothing', 422)).errors![0]!.pointer).toBe('/gradients')
    expect(
      (await refusal('cross_entropy/source/sql?predictions=a,b&targets=c,d', 422)).errors![0]!.pointer,
    ).toBe('/targets')
  })
})

describe('a loss that is sent along', () => {
  const formula = 'log1p(((predictions - targets) / scale)^2)'

  it('is a formula whose other names are inputs', async () => {
    const response = await post({ target: 'numpy', formula, params: { scale: 2 } })
    const text = await response.text()
    expect(response.status, text).toBe(200)
    expect(text).toContain('def formula(predictions, targets, *, scale=2.0, reduction="mean"):')
  })

  it('is a definition', async () => {
    const inputs = { predictions: { differentiable: true }, targets: {} }
    const definition = { inputs, params: { scale: { type: 'number', default: 1 } }, formula }
    const response = await post({
      target: 'sql',
      definition,
      columns: { predictions: 'y_hat' },
      params: { scale: 3 },
    })
    const text = await response.text()
    expect(response.status, text).toBe(200)
    expect(text).toContain('"y_hat"')
  })

  it('keeps its own text in the comment, whatever that is', async () => {
    const hostile = `${formula} # */ """ \r; DROP TABLE t; -- \u2028 SELECT 1`
    for (const { name, family } of TARGETS) {
      const text = await (await post({ target: name, formula: hostile, params: { scale: 2 } })).text()
      const plain = await (await post({ target: name, formula, params: { scale: 2 } })).text()
      for (const end of ['*/', '"""']) expect(text.split(end), name).toHaveLength(plain.split(end).length)
      const lines = text.split(/[\r\n\u2028\u2029]/).filter((line) => line.includes('DROP TABLE'))
      expect(lines.length, name).toBeGreaterThan(0)
      if (family === 'sql') for (const line of lines) expect(line).toMatch(/^--/)
    }
  })

  it('has errors with a place', async () => {
    const response = await post({ target: 'numpy', formula: 'predictions +' })
    expect(response.status).toBe(422)
    expect(((await response.json()) as Refusal).errors![0]).toMatchObject({ pointer: '/formula', line: 1 })
  })
})

describe('any request', () => {
  const text = fc.oneof(
    fc.constantFrom(
      '',
      'x',
      'double',
      '__proto__',
      'constructor',
      'a.b',
      "'; DROP TABLE t; --",
      '\u0000',
      '[',
      '["a"',
      '9',
    ),
    fc.string({ maxLength: 20, unit: 'grapheme' }),
    fc.string({ minLength: 3000, maxLength: 3000 }),
  )
  const anything = fc.oneof(text, fc.jsonValue({ maxDepth: 2 }))
  const name = fc.oneof(fc.constantFrom('predictions', 'targets', 'scale'), text)
  const hostile = fc.oneof(
    anything,
    fc.dictionary(name, fc.oneof(anything, fc.double(), fc.array(text, { maxLength: 3 })), { maxKeys: 3 }),
  )
  const plain = fc.record({
    target: fc.constantFrom(...TARGETS.map((target) => target.name)),
    formula: fc.constantFrom(
      'scale * abs(predictions - targets)',
      'log1p(((predictions - targets) / scale)^2)',
    ),
    params: fc.record({ scale: fc.oneof(fc.double(), fc.integer()) }),
  })
  const members =
    'target formula definition params axes columns table name dialect precision gradients optional per_class x'.split(
      ' ',
    )
  /** A request that could be met, but for one or two members. */
  const body = fc
    .tuple(plain, fc.dictionary(fc.constantFrom(...members), hostile, { minKeys: 0, maxKeys: 2 }))
    .map(([request, changes]) => ({ ...request, ...changes }))

  it('gets source, or a problem document that says what is wrong with it', async () => {
    const statuses = new Map<number, number>()
    await fc.assert(
      fc.asyncProperty(body, async (asked) => {
        const response = await post(asked)
        statuses.set(response.status, 1 + (statuses.get(response.status) ?? 0))
        const found = await response.text()
        if (response.status === 200) {
          expect(found.length).toBeGreaterThan(100)
          return
        }
        expect([400, 404, 409, 413, 422], `${response.status} ${found}`).toContain(response.status)
        expect(JSON.parse(found).type).toMatch(/^urn:lossd:problem:/)
      }),
      { numRuns: depth(400, 2000) },
    )
    expect(statuses.get(200)).toBeGreaterThan(10)
    expect(statuses.get(422)).toBeGreaterThan(100)
  }, 120_000)
})
