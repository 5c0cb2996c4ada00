/** POST :analyze, :check and :constant, GET /explanation: what is proved of a loss, over HTTP. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { depth } from '../support/depth.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer({ store: 'none' })
})
afterAll(() => server.close())

// biome-ignore lint/suspicious/noExplicitAny: each test knows its response.
type Json = any

const ask = async (path: string, body: unknown): Promise<{ status: number; body: Json }> => {
  const response = await fetch(`${server.url}/v1/losses${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: response.status, body: await response.json() }
}

const expectRefused = async (path: string, sent: object, code: string, pointer: string) => {
  const { status, body } = await ask(path, sent)
  expect(status, JSON.stringify(body)).toBe(422)
  expect({ type: body.type, at: body.errors[0].pointer }).toEqual({
    type: `urn:lossd:problem:${code}`,
    at: pointer,
  })
}

describe('POST /v1/losses:analyze', () => {
  it('proves of a loss of the catalog what the literature says', async () => {
    const { status, body } = await ask(':analyze', { loss: 'huber', params: { delta: 1.345 } })
    expect(status).toBe(200)
    const { convex, lipschitz, differentiable, efficiency } = body.properties
    expect(convex.verdict).toBe('proved')
    expect(lipschitz).toMatchObject({ verdict: 'proved', evidence: { bound: 1.345 } })
    expect(differentiable.verdict).toBe('proved')
    expect(efficiency.evidence.efficiency).toBeCloseTo(0.95, 3)
  })

  it('analyses a formula that is sent alone', async () => {
    const { status, body } = await ask(':analyze', {
      formula: 'log1p(((predictions - targets) / scale)^2)',
      params: { scale: 2 },
      of: 'predictions',
    })
    expect(status).toBe(200)
    expect(body.properties.convex.verdict).toBe('refuted')
    expect(body.properties.redescending.verdict).toBe('proved')
  })

  it('answers equal questions from memory', async () => {
    const question = { loss: 'log_cosh', properties: ['symmetric'] }
    const [first, second] = [await ask(':analyze', question), await ask(':analyze', question)]
    expect(second.body).toEqual(first.body)
  })

  it('holds its budget to within a fifth', async () => {
    const { body } = await ask(':analyze', { loss: 'supcon', budgetMs: 600 })
    expect(body.elapsedMs).toBeLessThan(720)
  })

  it('tells of each verdict as soon as it is found, and answers in the end', async () => {
    const response = await fetch(`${server.url}/v1/losses:analyze`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ loss: 'huber', params: { delta: 1.7 } }),
    })
    expect(response.headers.get('content-type')).toMatch('text/event-stream')
    const events = (await response.text())
      .split('\n\n')
      .filter((text) => text !== '')
      .map((text) => /^event: (.*)\ndata: (.*)$/.exec(text)!)
      .map(([, event, data]) => ({ event, data: JSON.parse(data!) as Json }))
    const { event, data } = events.at(-1)!
    expect(event).toBe('analysis')
    const told = events.slice(0, -1).map((one) => [one.data.property, one.data.verdict])
    expect(Object.fromEntries(told)).toEqual(
      Object.fromEntries(Object.entries<Json>(data.properties).map(([name, { verdict }]) => [name, verdict])),
    )
    expect(events.slice(0, -1).every((one) => one.event === 'verdict')).toBe(true)
  })

  it('tells what is wrong with a question in the events, too', async () => {
    const response = await fetch(`${server.url}/v1/losses:analyze`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ loss: 'hinge', domain: { targets: [3, 4] } }),
    })
    const text = await response.text()
    expect(text).toMatch(/^event: problem\ndata: \{.*"type":"urn:lossd:problem:invalid-value"/)
  })

  it('writes a table for whoever asks for text', async () => {
    const response = await fetch(`${server.url}/v1/losses:analyze`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/plain' },
      body: JSON.stringify({ loss: 'l1' }),
    })
    expect(await response.text()).toMatch(/✓ convex +proved/)
  })

  it.each([
    [{}, 422, 'missing-input'],
    [{ loss: 'huber', formula: 'x' }, 422, 'missing-input'],
    [{ loss: 'hubert' }, 404, 'unknown-loss'],
    [{ loss: 'huber', params: { dleta: 1 } }, 422, 'unknown-name'],
    [{ loss: 'huber', params: { delta: -1 } }, 422, 'param-invalid'],
    [{ loss: 'huber', of: 'target' }, 422, 'unknown-name'],
    [{ loss: 'huber', domain: { predictions: [2, 1] } }, 422, 'invalid-value'],
    [{ loss: 'huber', budget: 1 }, 422, 'unknown-name'],
    [{ formula: 'foo(x' }, 422, 'formula-invalid'],
    [{ loss: 'hinge', domain: { targets: [3, 4] } }, 422, 'invalid-value'],
  ])('%j: %i %s', async (body, status, code) => {
    const answer = await ask(':analyze', body)
    expect(answer.body.type).toBe(`urn:lossd:problem:${code}`)
    expect(answer.status).toBe(status)
  })
})

describe('a custom loss', () => {
  const real = (axes: string) => ({ axes, kind: 'real', differentiable: true })
  const [x, series] = [real('...'), real('rows,time')]
  /** Part of the language -> a loss with it, and whether it is convex. */
  const LOSSES: readonly [string, object, 'proved' | 'refuted' | 'unknown'][] = [
    ['shift', { inputs: { x: series }, formula: 'sum(abs(x - shift(x, 1, time)), time)' }, 'proved'],
    ['shift back', { inputs: { x: series }, formula: 'sum(-(x - shift(x, -2, time))^2, time)' }, 'refuted'],
    ['conv', { inputs: { x: series }, formula: 'sum(conv(x, [1, -2, 1], time)^2, time)' }, 'proved'],
    [
      'solve_lower',
      {
        inputs: { x: real('rows,i'), l: { axes: 'i,j', kind: 'real' } },
        formula: 'sum(solve_lower(l, x, i, j)^2, j)',
      },
      'unknown',
    ],
    [
      'solve_upper',
      { inputs: { x: real('rows,i'), u: real('i,j') }, formula: 'sum(abs(solve_upper(u, x, i, j)), j)' },
      'unknown',
    ],
    ['diag', { inputs: { x: real('rows,i,j') }, formula: 'sum(exp(diag(x, i, j)), i)' }, 'proved'],
    [
      'soft_dtw',
      { inputs: { x: series, y: real('rows,steps') }, formula: 'soft_dtw((x - y)^2, 0.5, time, steps)' },
      'unknown',
    ],
    ['atan2', { inputs: { x, y: x }, formula: 'atan2(x, y)^2' }, 'unknown'],
    ['lbeta', { inputs: { x, y: x }, formula: 'lbeta(x, y)' }, 'unknown'],
    ['a scalar input', { inputs: { x, s: real('') }, formula: '(x - s)^2' }, 'proved'],
    [
      'an axis that has the size of another',
      {
        inputs: { x: real('rows,others=rows') },
        formula: 'logsumexp(x, others) - sum(x, others) / size(rows)',
      },
      'proved',
    ],
    ['an axis with a size', { inputs: { x: real('rows,row=3') }, formula: 'sum(x^2, row)' }, 'proved'],
    ['lines', { inputs: { x, y: x }, formula: ['e = x - y', 'sqrt(1 + e^2)'] }, 'proved'],
    ['a function of its own', { inputs: { x, y: x }, formula: 'f(u) = softplus(u)\nf(x) + f(-x)' }, 'proved'],
  ]

  it.each(LOSSES)('with %s is analysed, and nothing false is claimed', async (_, definition, convex) => {
    const { status, body } = await ask(':analyze', { definition, properties: ['convex', 'differentiable'] })
    expect(status, JSON.stringify(body)).toBe(200)
    expect(body.properties.convex, JSON.stringify(body.properties.convex)).toMatchObject({ verdict: convex })
    if (convex === 'unknown') expect(body.properties.differentiable?.verdict).not.toBe('proved')
  })

  it.each(LOSSES)('with %s has a gradient that is checked', async (_, definition) => {
    const { status, body } = await ask(':check', { definition })
    expect(status, JSON.stringify(body)).toBe(200)
    expect(body).toMatchObject({ passes: true, served: { passes: true }, differences: { passes: true } })
  })

  it('is analysed with all of its properties', async () => {
    for (const [name, definition] of LOSSES) {
      const { status, body } = await ask(':analyze', { definition, budgetMs: 300 })
      expect(status, `${name}: ${JSON.stringify(body)}`).toBe(200)
    }
  }, 30_000)

  it('gets square matrices by default, and is not analysed with others', async () => {
    const definition = { inputs: { x: real('rows,i,j') }, formula: 'sum(diag(x, i, j)^2, i)' }
    const square = await ask(':analyze', { definition, sizes: { j: 3 }, properties: ['convex'] })
    expect(square.body.sizes).toMatchObject({ i: 3, j: 3 })
    const { status, body } = await ask(':analyze', { definition, sizes: { i: 2, j: 3 } })
    expect(status).toBe(422)
    expect(body.detail).toMatch('must have the same size')
  })

  it('may be a formula of lines that names axes and words', async () => {
    const { status, body } = await ask(':analyze', {
      formula: ['near = mode == soft ? softplus(x[rows -> others] - x) : x', 'sum(near, others)'],
      axes: { x: 'rows' },
      params: { mode: 'soft' },
    })
    expect(status, JSON.stringify(body)).toBe(200)
    expect(Object.keys(body.properties)).toContain('convex')
  })
})

describe('POST :check', () => {
  it.each(['huber', 'cross_entropy', 'binary_cross_entropy_with_logits', 'log_cosh', 'contrastive', 'dice'])(
    'finds nothing wrong with the gradient of %s',
    async (loss) => {
      const { status, body } = await ask(`/${loss}:check`, {})
      expect(status, JSON.stringify(body)).toBe(200)
      expect(body).toMatchObject({ passes: true, served: { passes: true }, differences: { passes: true } })
      expect(body.differences.compared).toBeGreaterThan(0)
    },
  )

  it("checks the caller's own tensors, and leaves out what is next to a kink", async () => {
    const { body } = await ask('/l1:check', { predictions: [1, 2, 3], targets: [1, 0, 5] })
    expect(body.leftOut).toMatchObject([{ element: 0 }])
    expect(body.differences).toMatchObject({ passes: true, compared: 2 })
  })

  it('checks every loss of the catalog, and tells which of them ask for another gradient', async () => {
    const { losses } = (await (await fetch(`${server.url}/v1/losses`)).json()) as Json
    const part = losses.filter((_: Json, place: number) => place % 5 === 0)
    for (const { name } of depth(part, losses)) {
      const { status, body } = await ask(`/${name}:check`, {})
      expect(status, name).toBe(200)
      expect(body.served.passes, name).toBe(true)
      expect(body.passes || body.hasSurrogate, `${name}: ${JSON.stringify(body)}`).toBe(true)
      expect(body.differences.compared, name).toBeGreaterThan(0)
    }
  }, 120_000)

  it('compares some of many rows, and names them as the caller does', async () => {
    const n = 1000
    const predictions = Array.from({ length: n }, (_, i) => Math.sin(i))
    const { body } = await ask('/mse:check', { predictions, targets: predictions.map((x) => x - 0.5) })
    expect(body).toMatchObject({ passes: true, elements: n, served: { compared: 128 } })
    const { element, input } = body.differences.worst
    expect(Math.fround(predictions[element]!)).toBe(input)
  })

  it('finds a gradient that is not the derivative', async () => {
    const { body } = await ask(':check', {
      formula: 'straight_through(predictions^2, predictions)',
      predictions: [3, -2],
    })
    expect(body.passes).toBe(false)
    expect(body.differences.worst).toMatchObject({ got: expect.closeTo(6, 4), expected: 1 })
    expect(body.complexStep.passes).toBe(false)
  })
})

describe('POST :check of a wrong body', () => {
  const sum = { formula: 'x^2 + y', x: [1, 2], y: [1, 2] }
  it.each([
    [':check', { ...sum, axes: { x: null } }, 'invalid-value', '/axes/x'],
    [':check', { ...sum, axes: { rows: 0 } }, 'invalid-value', '/axes/rows'],
    [':check', { ...sum, axes: { x: [] } }, 'invalid-value', '/axes/x'],
    [':check', { ...sum, axes: [1] }, 'invalid-value', '/axes'],
    [':check', { ...sum, gradients: false }, 'invalid-value', '/gradients'],
    [':check', { ...sum, gradients: [] }, 'invalid-value', '/gradients'],
    [':check', { ...sum, gradients: ['y'] }, 'invalid-value', '/gradients'],
    ['/mse:check', { gradients: false }, 'invalid-value', '/gradients'],
    // Without tensors it draws some, and still reads the rest of the body.
    ['/mse:check', { foo: 1 }, 'unknown-name', '/foo'],
  ])('%s %j is %s at %s', async (path, body, code, pointer) => {
    await expectRefused(path, body, code, pointer)
  })
})

describe('POST :constant', () => {
  const targets = [1, 2, 4, 8, 100]

  it.each([
    ['mse', {}, 23],
    ['l1', {}, 4],
    ['quantile', { quantile: 0.25 }, 2],
    ['poisson_nll', {}, Math.log(23)],
  ])('finds what %s estimates', async (loss, params, want) => {
    const { status, body } = await ask(`/${loss}:constant`, { targets, params })
    expect(status, JSON.stringify(body)).toBe(200)
    expect(body.constant).toBeCloseTo(want, 9)
    expect(body.optimality).toBe('proved')
  })

  it('finds the log odds of weighted labels', async () => {
    const { body } = await ask('/binary_cross_entropy_with_logits:constant', {
      targets: [1, 0, 0],
      sample_weight: [3, 1, 1],
    })
    expect(body.constant).toBeCloseTo(Math.log(3 / 2), 9)
  })

  it("solves Huber's equation", async () => {
    const { body } = await ask('/huber:constant', { targets: [0, 1, 2, 50], params: { delta: 1 } })
    // psi: (c - 0 clipped) + (c - 1) + (c - 2) - 1 = 0 with c in [1, 2]: 1 + (c - 1) + (c - 2) - 1 = 0.
    expect(body.constant).toBeCloseTo(1.5, 9)
  })

  it('finds the logits of several classes', async () => {
    const { body } = await ask('/cross_entropy:constant', { targets: [0, 0, 1, 2, 2, 2] })
    expect(body, JSON.stringify(body)).toHaveProperty('constant')
    const [a, b, c] = body.constant
    expect(a - b).toBeCloseTo(Math.log(2), 7)
    expect(c - b).toBeCloseTo(Math.log(3), 7)
  })

  it('finds that of a formula, for the input that is not sent', async () => {
    const { status, body } = await ask(':constant', {
      formula: 'log1p(((targets - predictions) / scale)^2)',
      params: { scale: 2 },
      targets: [0, 0.5, 1],
    })
    expect(status, JSON.stringify(body)).toBe(200)
    expect(body).toMatchObject({
      of: 'predictions',
      constant: expect.closeTo(0.5, 9),
      optimality: 'stationary',
    })
  })

  it('finds that of a definition, by classes and weights', async () => {
    const definition = {
      inputs: {
        scores: { axes: 'rows,classes', kind: 'real', differentiable: true },
        targets: { axes: 'rows', kind: 'class' },
      },
      formula: 'logsumexp(scores, classes) - pick(scores, targets, classes) + 0.01 * sum(scores^2, classes)',
    }
    const { status, body } = await ask(':constant', {
      definition,
      targets: [0, 1, 2],
      sample_weight: [2, 1, 1],
    })
    expect(status, JSON.stringify(body)).toBe(200)
    expect(body).toMatchObject({ of: 'scores', optimality: 'proved' })
    const [a, b, c] = body.constant
    expect(b).toBeCloseTo(c, 8)
    // Stationary: p - share + 0.02 x = 0.
    const total = Math.exp(a) + Math.exp(b) + Math.exp(c)
    expect(Math.exp(a) / total - 0.5 + 0.02 * a).toBeCloseTo(0, 8)
    expect(body.gap).toBeLessThan(1e-8)
  })

  it.each([
    ['huber', { delta: 1 }, { targets: [0, 1, 2, 50] }],
    ['l1', {}, { targets: [3, 1, 2] }],
    ['quantile', { quantile: 0.25 }, { targets: [1, 2, 4, 8, 100] }],
    ['hinge', {}, { targets: [1, 1, -1] }],
    ['cross_entropy', {}, { targets: [0, 0, 1, 2, 2, 2] }],
    ['mse', {}, { targets: [1000, 2000, 4000], sample_weight: [1, 0, 3] }],
  ])('proves that nothing is better for %s', async (loss, params, rest) => {
    const { body } = await ask(`/${loss}:constant`, { params, ...rest })
    expect(body, JSON.stringify(body)).toMatchObject({ optimality: 'proved' })
    expect(body.gap).toBeLessThanOrEqual(1e-8 * Math.max(1, Math.abs(body.value)))
  })

  const squares = { formula: '(x - y)^2', y: [1, 2] }
  it.each([
    [':constant', { ...squares, y: [] }, 'empty-batch', '/y'],
    [':constant', { ...squares, y: [[]] }, 'empty-batch', '/y'],
    ['/mse:constant', { targets: [] }, 'empty-batch', '/targets'],
    [':constant', { ...squares, y: 'NaN' }, 'invalid-value', '/y'],
    ['/mse:constant', { targets: [1, 'Infinity'] }, 'invalid-value', '/targets'],
    [
      '/mse:constant',
      { targets: [1, 2], domain: { predictions: null } },
      'invalid-value',
      '/domain/predictions',
    ],
    [':constant', { ...squares, domain: { x: ['1', '2'] } }, 'invalid-value', '/domain/x'],
    [':constant', { ...squares, domain: { a: 1 } }, 'unknown-name', '/domain/a'],
    [':constant', { ...squares, domain: { toString: [1, 2] } }, 'unknown-name', '/domain/toString'],
    [':constant', { ...squares, domain: [1] }, 'invalid-value', '/domain'],
    [':constant', { ...squares, axes: { x: null } }, 'invalid-value', '/axes/x'],
    [':constant', { ...squares, budgetMs: 'x' }, 'invalid-value', '/budgetMs'],
    [':constant', { ...squares, budgetMs: 1e9 }, 'invalid-value', '/budgetMs'],
    [':constant', { ...squares, classes: {} }, 'invalid-value', '/classes'],
    ['/cross_entropy:constant', { targets: [0, 1], classes: 1e9 }, 'too-expensive', '/classes'],
    ['/cross_entropy:constant', { targets: [0, 1e9] }, 'too-expensive', '/targets'],
    ['/cross_entropy:constant', { targets: 0, classes: 3 }, 'shape-mismatch', '/targets'],
  ])('%s %j is %s at %s', async (path, body, code, pointer) => {
    await expectRefused(path, body, code, pointer)
  })

  it('ends within its budget, and answers the best that it has found', async () => {
    const many = Array.from({ length: 20_000 }, (_, i) => Math.sin(i) * 50)
    const start = performance.now()
    const { status, body } = await ask('/welsch:constant', { targets: many, budgetMs: 100 })
    expect(status, JSON.stringify(body)).toBe(200)
    expect(body.optimality).not.toBe('proved')
    expect(performance.now() - start).toBeLessThan(5000)
  })

  it('finds the init_score of fifty thousand targets', async () => {
    const many = Array.from({ length: 50_000 }, (_, i) => Math.sin(i) * 50)
    const { status, body } = await ask('/huber:constant', { targets: many })
    expect(status, JSON.stringify(body)).toBe(200)
    expect(body.constant).toBeCloseTo(0, 1)
  })

  it('leaves out a target of weight 0, even if it is NaN', async () => {
    const { body } = await ask('/mse:constant', { targets: [1, 'NaN'], sample_weight: [1, 0] })
    expect(body.constant).toBe(1)
  })

  it('reads more labels than a call may have arguments', async () => {
    const targets = Array.from({ length: 200_000 }, (_, i) => (i === 199_999 ? 1e9 : i % 2))
    await expectRefused('/cross_entropy:constant', { targets }, 'too-expensive', '/targets')
  })

  it('does not call a minimum of a loss that is not convex proved', async () => {
    const { body } = await ask('/barron_robust:constant', { targets: [0, 0, 9, 9], params: { alpha: -2 } })
    expect(body.optimality).not.toBe('proved')
  })
})

describe('GET /explanation', () => {
  it('says in words what the verdicts mean', async () => {
    const response = await fetch(`${server.url}/v1/losses/l1/explanation`)
    const body: Json = await response.json()
    const texts = body.sentences.map(({ text }: { text: string }) => text)
    expect(texts).toContain('It is convex: every local minimum in this input is global.')
    expect(texts).toContain('The slope jumps: at 0 from -1 to 1.')
  })

  it('draws the loss, its gradient and its second derivative', async () => {
    const response = await fetch(`${server.url}/v1/losses/huber/explanation?format=html`)
    expect(response.headers.get('content-type')).toMatch('text/html')
    expect((await response.text()).match(/<svg/g)).toHaveLength(3)
  })
})

describe('docs/analysis.md', () => {
  const text = readFileSync(new URL('../../docs/analysis.md', import.meta.url), 'utf8')
  const examples = [
    ...text.matchAll(
      /curl -s localhost:8080\/v1\/losses(\S+) [^\n]*\n([^']*)'\n```\n```json\n([^\n]*)\n```/g,
    ),
  ]

  it('has an example for each route', () => {
    expect(examples.map(([, path]) => path!.replace(/.*:/, ''))).toEqual(['analyze', 'check', 'constant'])
  })

  it.each(examples.map(([, path, body, answer]) => [path!, body!, answer!]))(
    '%s with %s answers what it says',
    async (path, body, answer) => {
      const got = await ask(path, JSON.parse(body))
      expect(got.body).toMatchObject(
        JSON.parse(answer, (_, x) => (typeof x === 'number' ? expect.closeTo(x, 6) : x)),
      )
    },
  )
})
