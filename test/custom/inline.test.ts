/** Custom losses that are sent with the request, over a real socket, in both formats. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Kept, ROBUST, startKeeper } from '../support/custom.ts'
import { f32, readSafetensors, safetensors } from '../support/server.ts'

let server: Kept
beforeAll(async () => {
  server = await startKeeper({ store: 'none' })
})
afterAll(() => server.close())

const evaluate = (body: object | string) => server.send('POST', '/v1/losses:evaluate', body)
const { name: _, ...definition } = ROBUST
const pair = { predictions: [1, 5], targets: [0, 0] }

describe('a formula alone', () => {
  it('uses the tensors as inputs and params as parameters', async () => {
    const formula = 'log1p(((predictions - targets) / scale)^2)'
    const { body } = await evaluate({ formula, params: { scale: 2 }, ...pair })
    expect(body.loss).toBeCloseTo((Math.log1p(0.25) + Math.log1p(6.25)) / 2, 6)
    expect(body.gradients.predictions[0]).toBeCloseTo(0.2, 6)
    expect(body.gradients.targets[0]).toBeCloseTo(-0.2, 6)
  })

  it('gives bit for bit the result of the same formula in the catalog', async () => {
    const formula = 'r = abs(predictions - targets)\nr <= delta ? r * r / 2 : delta * (r - delta / 2)'
    const body = {
      predictions: [
        [0.3, -2],
        [1.5, 7],
      ],
      targets: [
        [0, 0],
        [1, 1],
      ],
      params: { delta: 1.5 },
      reduction: 'none',
    }
    const own = await evaluate({ formula, ...body, gradients: ['predictions'] })
    const catalog = await server.send('POST', '/v1/losses/huber', { ...body, gradients: ['predictions'] })
    expect(own.body).toEqual(catalog.body)
  })

  it('accepts named axes, and treats a tensor used as an index as class indices', async () => {
    const formula = '-log_softmax(pick(x, label, classes) - logsumexp(x, classes) + 0 * x, classes)'
    const simple = '-pick(log_softmax(x, classes), label, classes)'
    const body = {
      axes: { x: 'rows,classes', label: 'rows' },
      x: [
        [1, 2, 3],
        [3, 2, 1],
      ],
      label: [2, 2],
      reduction: 'none',
    }
    const { body: answer } = await evaluate({ formula: simple, ...body })
    const catalog = await server.send('POST', '/v1/losses/cross_entropy', {
      predictions: body.x,
      targets: body.label,
      reduction: 'none',
    })
    expect(answer.loss).toEqual(catalog.body.loss)
    expect(answer.gradients.x).toEqual(catalog.body.gradients.predictions)
    const outside = await evaluate({ formula: simple, ...body, label: [2, 3] })
    expect([outside.status, outside.body.errors[0].pointer]).toEqual([422, '/label/1'])
    expect((await evaluate({ formula, ...body })).status).toBe(200)
  })

  it('accepts spaces in axes', async () => {
    const body = { formula: 'sum(x * t, classes)', x: [[1, 2]], t: 2, reduction: 'none' }
    const close = await evaluate({ ...body, axes: { x: 'rows,classes=2', t: '' } })
    const wide = await evaluate({ ...body, axes: { x: ' rows, classes = 2 ', t: ' ' } })
    expect([wide.status, wide.body]).toEqual([200, close.body])
  })

  it('may be a list of lines', async () => {
    const lines = ['r = (predictions - targets) / scale', '', 'log1p(r^2)']
    const params = { scale: 2 }
    const listed = await evaluate({ formula: lines, params, ...pair })
    const text = await evaluate({ formula: lines.join('\n'), params, ...pair })
    expect([listed.status, listed.body]).toEqual([200, text.body])
  })

  it('accepts integers from which indices are computed', async () => {
    const body = { axes: { x: 'rows,classes', label: 'rows' }, x: [[1, 2, 3]], reduction: 'none' }
    const of = async (formula: string, label: number[]) => (await evaluate({ formula, ...body, label })).body
    expect((await of('pick(x, label - 1, classes)', [3])).loss).toEqual([3])
    expect((await of('shift(x, label, classes)', [1])).loss).toEqual([[0, 1, 2]])
    expect((await of('pick(x[classes -> k], label, k)', [2])).loss).toEqual([3])
    expect((await of('pick(x[classes -> k], label, k)', [3])).errors[0].pointer).toBe('/label/0')
  })

  it('accepts words, booleans and null as parameters', async () => {
    const formula = 'form == squared ? r2 : given(cap) ? min(abs(predictions), cap) : abs(predictions)'
    const lines = `r2 = predictions^2\n${formula}`
    const of = async (params: object) =>
      (await evaluate({ formula: lines, params, predictions: [3] })).body.loss
    expect(await of({ form: 'squared', cap: null })).toBe(9)
    expect(await of({ form: 'absolute', cap: null })).toBe(3)
    expect(await of({ form: 'absolute', cap: 2 })).toBe(2)
  })

  it('may have one value for the whole batch, and then rejects sample weights', async () => {
    const body = { formula: 'mean((x - y)^2, rows)', axes: { x: 'rows', y: 'rows' }, x: [1, 3], y: [1, 1] }
    expect((await evaluate(body)).body).toMatchObject({ loss: 2, gradients: { x: [0, 2] } })
    const weighted = await evaluate({ ...body, sample_weight: [1, 0] })
    expect([weighted.status, weighted.body.errors[0].pointer]).toEqual([422, '/sample_weight'])
  })
})

describe('a definition', () => {
  it('is validated on every request, and supports all options', async () => {
    const { body } = await evaluate({
      definition,
      ...pair,
      params: { scale: 2 },
      hessian: 'diagonal',
      explain: true,
    })
    expect(Object.keys(body)).toEqual([
      'loss',
      'gradients',
      'hessian',
      'denominator',
      'count',
      'finite',
      'explain',
    ])
    expect(body.gradients).toHaveProperty('predictions')
    expect(body.gradients).not.toHaveProperty('targets')
    const { body: wrong } = await evaluate({ definition, ...pair, params: { scale: -1 } })
    expect(wrong.errors[0].pointer).toBe('/params/scale')
  })

  it('may contain lists of lines, and errors name the line', async () => {
    const inputs = { x: { axes: 'rows', differentiable: true }, mask: { axes: 'rows', kind: 'binary' } }
    const lines = { inputs, formula: ['y = x^2', 'mask == 1 ? y : 0'], denominator: ['m = mask', 'm'] }
    const request = { x: [1, 2, 3], mask: [1, 0, 1] }
    expect((await evaluate({ definition: lines, ...request })).body).toMatchObject({
      loss: 5,
      denominator: 2,
    })
    const faults = async (change: object) =>
      (await evaluate({ definition: { ...lines, ...change }, ...request })).body.errors[0]
    expect(await faults({ formula: ['y = x^2', 'mask == 1 ? z : 0'] })).toEqual({
      pointer: '/definition/formula/1',
      line: 2,
      column: 13,
      detail: '"z" is not known here\n  mask == 1 ? z : 0\n              ^',
    })
    expect(await faults({ denominator: ['m = mask', 'n'] })).toMatchObject({
      pointer: '/definition/denominator/1',
      line: 2,
      column: 1,
    })
    expect(await faults({ formula: ['x', 3] })).toEqual({
      pointer: '/definition/formula/1',
      detail: 'must be a string: one line',
    })
    expect(await faults({ formula: ['y = x\ny'] })).toEqual({
      pointer: '/definition/formula/0',
      detail: 'contains a line break: split it into two strings',
    })
    expect(await faults({ denominator: 3 })).toEqual({
      pointer: '/definition/denominator',
      detail: 'must be a string, or a list of strings: one per line',
    })
    expect((await faults({ formula: [] })).detail).toMatch(/^the formula is empty/)
  })

  it('need not declare indices: an input that is used as an index contains indices', async () => {
    const of = (label: object, formula = '-pick(log_softmax(x, words), label, words)') => ({
      inputs: { x: { axes: 'rows,words', differentiable: true }, label: { axes: 'rows', ...label } },
      formula,
    })
    const request = { x: [[1, 2, 3]], label: [2], gradients: ['x'], reduction: 'none' }
    const stated = await evaluate({ definition: of({ kind: 'class', places: 'words' }), ...request })
    for (const label of [{}, { kind: 'class' }, { places: 'words', kind: 'class' }])
      expect((await evaluate({ definition: of(label), ...request })).body).toEqual(stated.body)
    const outside = await evaluate({ definition: of({}), ...request, label: [3] })
    expect(outside.body.errors[0]).toEqual({
      pointer: '/label/0',
      detail: 'must be an integer from 0 to 2, got 3',
    })
    const moved = of({}, 'pick(x, label - 1, words)')
    expect((await evaluate({ definition: moved, ...request, label: [3] })).body.loss).toEqual([3])
    const real = await evaluate({ definition: of({ kind: 'real' }), ...request })
    expect(real.body.errors[0]).toMatchObject({ pointer: '/definition/formula', line: 1, column: 30 })
  })

  it('may declare labels before the predictions', async () => {
    const inputs = {
      label: { axes: 'rows', kind: 'class_or_probability' },
      x: { axes: 'rows,classes', differentiable: true },
    }
    const definition = { inputs, formula: '-pick(log_softmax(x, classes), label, classes)' }
    const { status, body } = await evaluate({ definition, x: [[1, 1]], label: [1] })
    expect([status, body.loss]).toEqual([200, expect.closeTo(Math.LN2, 6)])
  })

  it('may have its own denominator', async () => {
    const masked = {
      inputs: { x: { axes: 'rows', differentiable: true }, mask: { axes: 'rows', kind: 'binary' } },
      formula: 'mask == 1 ? x^2 : 0',
      denominator: 'mask',
    }
    const { body } = await evaluate({ definition: masked, x: [1, 2, 3], mask: [1, 0, 1] })
    expect(body).toMatchObject({ loss: 5, denominator: 2 })
  })

  it.each([
    ['abs(x)', 5],
    ['e', 1],
    ['w * stop_gradient(x) + x * w', 24],
    ['x > 0 ? w : t', 13],
    ['sum(w * x, rows)', 9],
  ])(
    'is rejected with the denominator %s, which depends on an input that has a gradient',
    async (denominator, column) => {
      const real = { axes: 'rows', differentiable: true }
      const inputs = { x: real, t: real, w: { axes: 'rows' } }
      const tensors = { x: [1, 2], t: [1, 1], w: [1, 1] }
      const { status, body } = await evaluate({
        definition: { inputs, formula: ['e = x - t', 'w * e^2'], denominator },
        ...tensors,
      })
      expect([status, body.errors[0].pointer, body.errors[0].line]).toEqual([
        422,
        '/definition/denominator',
        1,
      ])
      expect(body.errors[0].column).toBe(column)
      expect(body.errors[0].detail).toMatch(/^the denominator depends on "[xt]", which has a gradient/)
    },
  )

  it.each([
    ['w', 2],
    ['w * (x > 1 ? 1 : 0)', 1],
    ['stop_gradient(abs(x))', 3],
    ['0 * x + 1', 2],
    ['floor(x) * w', 3],
  ])('may have the denominator %s, which depends on none', async (denominator, sum) => {
    const inputs = { x: { axes: 'rows', differentiable: true }, w: { axes: 'rows' } }
    const definition = { inputs, formula: 'w * x^2', denominator }
    const { body } = await evaluate({ definition, x: [1, 2], w: [1, 1] })
    expect([body.loss, body.denominator]).toEqual([expect.closeTo(5 / sum, 6), sum])
  })

  it('has one row for batchmean if the inputs with the first axis are not in the request', async () => {
    const inputs = {
      weights: { axes: 'rows', optional: true },
      path: { axes: 'steps', differentiable: true },
    }
    const request = { definition: { inputs, formula: 'path^2' }, path: [1, 3], reduction: 'batchmean' }
    const { status, body } = await evaluate(request)
    expect([status, body.denominator, body.loss]).toEqual([200, 1, 10])
    expect(body.gradients.path).toEqual([2, 6])
  })

  it.each(['mean', 'sum', 'batchmean', 'none'])(
    'is one row with the reduction %s if none of its inputs is in the request, in both formats',
    async (reduction) => {
      const inputs = { x: { axes: 'rows', optional: true } }
      const members = { definition: { inputs, formula: '3' }, reduction, gradients: false }
      const { status, body } = await evaluate(members)
      expect([status, body.loss, body.count, body.finite]).toEqual([200, 3, 1, true])
      const response = await fetch(`${server.url}/v1/losses:evaluate`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-safetensors' },
        body: safetensors({}, members),
      })
      expect([...readSafetensors(Buffer.from(await response.arrayBuffer())).tensors]).toEqual([['loss', [3]]])
    },
  )

  it('may have no rows if another axis is declared as large as the rows', async () => {
    const z = { shape: [0, 0], dtype: 'float32', data: [] }
    const request = { formula: 'z^2', axes: { z: 'rows,o=rows' }, z }
    const { status, body } = await evaluate({ ...request, reduction: 'none' })
    expect([status, body.loss.data, body.finite], JSON.stringify(body)).toEqual([200, [], true])
    const mean = await evaluate(request)
    expect([mean.status, mean.body.type]).toEqual([422, 'urn:lossd:problem:empty-batch'])
  })

  it('has warnings in its explanation', async () => {
    const { body } = await evaluate({ formula: ['e = exp(x)', 'log(-e)'], x: [1], explain: true })
    expect(body.explain.warnings).toEqual([
      {
        pointer: '/formula/1',
        line: 2,
        column: 1,
        detail: 'log is never finite here: its argument is never above 0\n  log(-e)\n  ^',
      },
    ])
    expect((await evaluate({ formula: 'log(x)', x: [1], explain: true })).body.explain).not.toHaveProperty(
      'warnings',
    )
  })

  it('is cached: the second request gives the same result', async () => {
    const answers = []
    for (let i = 0; i < 3; i++) answers.push((await evaluate({ definition, ...pair })).body)
    expect(answers[1]).toEqual(answers[0])
    expect(answers[2]).toEqual(answers[0])
    const spaced = JSON.stringify({ definition, ...pair }, null, 2)
    expect((await evaluate(spaced)).body).toEqual(answers[0])
  })
})

describe('in safetensors', () => {
  const tensors = {
    predictions: { dtype: 'F32', shape: [2], bytes: f32(1, 5) },
    targets: { dtype: 'F32', shape: [2], bytes: f32(0, 0) },
  }
  const send = async (metadata: Record<string, unknown>, raw: Record<string, string> = {}) => {
    const body = Object.keys(raw).length === 0 ? safetensors(tensors, metadata) : withRaw(raw)
    const headers = { 'content-type': 'application/x-safetensors' }
    const response = await fetch(`${server.url}/v1/losses:evaluate`, { method: 'POST', headers, body })
    expect(response.status, await response.clone().text()).toBe(200)
    return readSafetensors(Buffer.from(await response.arrayBuffer()))
  }
  const withRaw = (raw: Record<string, string>) => {
    const made = safetensors(tensors, {})
    const length = Number(made.readBigUInt64LE(0))
    const header = JSON.parse(made.subarray(8, 8 + length).toString())
    const text = Buffer.from(JSON.stringify({ ...header, __metadata__: raw }))
    const size = Buffer.alloc(8)
    size.writeBigUInt64LE(BigInt(text.length))
    return Buffer.concat([size, text, made.subarray(8 + length)])
  }

  it('a formula is text or a JSON string; a definition is JSON', async () => {
    const formula = 'log1p((predictions - targets)^2)'
    const loss = (Math.log1p(1) + Math.log1p(25)) / 2
    const lines = ['e = predictions - targets', 'log1p(e^2)']
    const answers = [
      await send({ formula }),
      await send({}, { formula }),
      await send({ definition }),
      await send({ formula: lines }),
    ]
    for (const { tensors: found } of answers) expect(found.get('loss')![0]).toBeCloseTo(loss, 6)
  })
})

describe('errors have a position', () => {
  const x = [[1, 2]]
  const axes = { x: 'rows,classes' }
  it.each([
    [
      'an unknown name',
      { formula: 'x + prediction', x: [1], predictions: [1] },
      1,
      5,
      'Did you mean "predictions"',
    ],
    ['an unknown axis', { formula: 'sum(x, class)', axes, x }, 1, 8, 'Did you mean "classes"'],
    [
      'a reduction over an axis that is not there',
      { formula: 'sum(x, classes)', x: [1] },
      1,
      8,
      'no axis "classes"',
    ],
    ['a boolean where a number is needed', { formula: 'x + (x < 1)', x: [1] }, 1, 6, 'number'],
    ['a number where a condition is needed', { formula: 'x ? 1 : 2', x: [1] }, 1, 1, 'condition'],
    ['a real number used as an index', { formula: 'pick(x, 1.5, classes)', axes, x }, 1, 9, 'index'],
    ['an operator without a value', { formula: 'y = x\ny +* 2', x: [1] }, 2, 4, 'expected a value'],
    ['an open bracket', { formula: '(x', x: [1] }, 1, 3, ')'],
    ['a module', { formula: 'np.abs(x)', x: [1] }, 1, 1, 'abs(x)'],
    ['an if', { formula: 'if x > 0 then x else 0', x: [1] }, 1, 1, '?'],
    ['an ampersand', { formula: 'x > 0 & x < 1 ? 1 : 0', x: [1] }, 1, 7, 'and'],
    ['too many nodes', { formula: `x${' + x'.repeat(600)}`, x: [1] }, 1, undefined, 'more than 512'],
    ['too deep', { formula: `${'('.repeat(100)}x${')'.repeat(100)}`, x: [1] }, 1, undefined, 'deep'],
    ['too long', { formula: 'x'.repeat(5000), x: [1] }, 1, 1, 'bytes'],
  ])('%s', async (_what, body, line, column, words) => {
    const { status, body: problem } = await evaluate(body)
    expect([status, problem.type]).toEqual([422, 'urn:lossd:problem:formula-invalid'])
    const [error] = problem.errors
    expect(error.pointer).toBe('/formula')
    expect(error.line).toBe(line)
    if (column !== undefined) expect(error.column).toBe(column)
    expect(error.detail).toContain(words)
    expect(error.detail).toMatch(/\n.*\n *\^$/)
  })

  it.each([
    [
      'two sizes for one axis',
      { formula: 'x * y', axes: { x: 'rows', y: 'rows' }, x: [1, 2], y: [1] },
      'shape-mismatch',
      '/y',
    ],
    ['a tensor that the formula does not read', { formula: 'x', x: [1], z: [1] }, 'unknown-name', '/z'],
    [
      'a parameter that it does not read',
      { formula: 'x', x: [1], params: { s: 1 } },
      'unknown-name',
      '/params/s',
    ],
    ['axes of no tensor', { formula: 'x', x: [1], axes: { z: 'rows' } }, 'unknown-name', '/axes/z'],
    ['axes that are no names', { formula: 'x', x: [1], axes: { x: 'rows;' } }, 'invalid-value', '/axes/x'],
    ['both a formula and a definition', { formula: 'x', definition, x: [1] }, 'missing-input', '/definition'],
    ['neither', { x: [1] }, 'missing-input', '/formula'],
    ['a formula that is a number', { formula: 3, x: [1] }, 'invalid-value', '/formula'],
    ['a line that is a number', { formula: ['x', 3], x: [1] }, 'invalid-value', '/formula/1'],
    ['two lines in one', { formula: ['y = x\ny'], x: [1] }, 'invalid-value', '/formula/0'],
    ['a line with an error', { formula: ['y = x', 'y +'], x: [1] }, 'formula-invalid', '/formula/1'],
    [
      'a definition of 64 KiB',
      { definition: { ...definition, about: 'x'.repeat(70_000) }, ...pair },
      'payload-too-large',
      '/definition',
    ],
  ])('%s', async (_what, body, code, pointer) => {
    const { body: problem } = await evaluate(body)
    expect([problem.type, problem.errors[0].pointer]).toEqual([`urn:lossd:problem:${code}`, pointer])
  })
})
