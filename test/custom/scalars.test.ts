/** Inputs without axes: one number that all rows share, such as a learned temperature. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assemble, split } from '../../src/batching/assemble.ts'
import type { Job } from '../../src/batching/job.ts'
import type { Engine } from '../../src/engines/contract.ts'
import { customLoss } from '../../src/losses/custom.ts'
import type { Loss } from '../../src/losses/define.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { bitsOf, expectClose } from '../support/close.ts'
import { type Kept, startKeeper } from '../support/custom.ts'
import { availableEngines } from '../support/engines.ts'
import { check, evaluate, openInterpreter } from '../support/evaluate.ts'
import { matrix } from '../support/random.ts'
import { randomFrom } from '../support/sample.ts'
import { f32, readSafetensors, safetensors } from '../support/server.ts'

const real = (shape: readonly number[], numbers: readonly number[]): DecodedTensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(numbers),
  encoding: 'nested',
  typed: true,
})

const TEMPERED = {
  inputs: {
    t: { axes: '', differentiable: true },
    x: { axes: 'rows,classes', differentiable: true },
    label: { axes: 'rows' },
  },
  formula: '-pick(log_softmax(x / t, classes), label, classes) + log(t)',
}
const x = [
  [1, 2, 4],
  [0.5, -1, 0],
]

describe('over HTTP', () => {
  let server: Kept
  beforeAll(async () => {
    server = await startKeeper({ store: 'none' })
  })
  afterAll(() => server.close())
  const send = (body: object) => server.send('POST', '/v1/losses:evaluate', body)

  it('is a bare number, and so is its gradient: the sum over all rows', async () => {
    const request = { x, label: [2, 0], t: 2 }
    const { body } = await send({ definition: TEMPERED, ...request, reduction: 'sum' })
    const slope = (row: number[], label: number) => {
      const e = row.map((score) => Math.exp(score / 2))
      const total = e.reduce((sum, one) => sum + one)
      const mean = row.reduce((sum, score, i) => sum + (score * e[i]!) / total, 0)
      return (row[label]! - mean) / 4 + 1 / 2
    }
    expect(body.gradients.t).toBeCloseTo(slope(x[0]!, 2) + slope(x[1]!, 0), 5)
    const axes = { x: 'rows,classes', label: 'rows', t: '' }
    const short = await send({ formula: TEMPERED.formula, axes, ...request, reduction: 'sum' })
    expect(short.body).toEqual(body)
  })

  it('may be an object with the shape [], which its gradient keeps', async () => {
    const t = { shape: [], dtype: 'float64', data: [2] }
    const { body } = await send({ definition: TEMPERED, x, label: [2, 0], t, gradients: ['t'] })
    expect(body.gradients.t).toMatchObject({ shape: [], dtype: 'float64' })
    expect(body.gradients.t.data).toHaveLength(1)
  })

  it('has the shape [] in safetensors, and so has its gradient', async () => {
    const tensors = {
      x: { dtype: 'F32', shape: [2, 3], bytes: f32(...x.flat()) },
      label: { dtype: 'I32', shape: [2], bytes: Buffer.from(Int32Array.of(2, 0).buffer) },
      t: { dtype: 'F32', shape: [], bytes: f32(2) },
    }
    const response = await fetch(`${server.url}/v1/losses:evaluate`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-safetensors' },
      body: safetensors(tensors, { definition: TEMPERED }),
    })
    expect(response.status, await response.clone().text()).toBe(200)
    const { tensors: found } = readSafetensors(Buffer.from(await response.arrayBuffer()))
    const { body } = await send({ definition: TEMPERED, x, label: [2, 0], t: 2 })
    expect(Array.from(found.get('gradients.t')!)[0]).toBeCloseTo(body.gradients.t, 6)
  })

  it('counts a row of weight 0 in no gradient, whatever the row contains', async () => {
    const weighted = { x: [...x, ['NaN', 1, 2]], label: [2, 0, 1], sample_weight: [1, 1, 0] }
    const { body } = await send({ definition: TEMPERED, ...weighted, t: 2, reduction: 'sum' })
    const alone = await send({ definition: TEMPERED, x, label: [2, 0], t: 2, reduction: 'sum' })
    expect(body.gradients.t).toBe(alone.body.gradients.t)
  })
})

const definitionOf = (formula: string) => ({
  inputs: {
    t: { axes: '', differentiable: true },
    x: { axes: 'rows,columns', differentiable: true },
    y: { axes: 'rows,columns' },
    v: { axes: 'rows', differentiable: true },
    i: { axes: 'rows', kind: 'class' as const, places: 'columns' },
  },
  params: { s: { type: 'number' as const, default: 0.75 } },
  formula,
})

function lossOf(formula: string): Loss | undefined {
  try {
    return customLoss(definitionOf(formula))
  } catch {
    return undefined
  }
}

function tensorsOf(rows: number, columns: number, seed: number, t: number): Map<string, DecodedTensor> {
  const random = randomFrom(seed)
  const drawn = (...shape: number[]) =>
    real(
      shape,
      Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 3 * random() - 1.5),
    )
  const i = Int32Array.from({ length: rows }, () => Math.floor(random() * columns))
  return new Map([
    ['t', real([], [t])],
    ['x', drawn(rows, columns)],
    ['y', drawn(rows, columns)],
    ['v', drawn(rows)],
    ['i', { dtype: 'int32', shape: [rows], data: i, encoding: 'nested', typed: true }],
  ])
}

const formulas = fc.tuple(matrix, fc.constantFrom('*', '+', '-')).map(([text, sign]) => {
  return `sum(x * 0 + ${text} ${sign} t * y, columns)`
})

describe('jobs with different numbers', () => {
  const interpreter = openInterpreter()
  const bits = ({ values, gradients }: { values: Floats; gradients: Readonly<Record<string, Floats>> }) => [
    bitsOf(values),
    ...Object.entries(gradients).map(([name, data]) => [name, bitsOf(data)]),
  ]
  type Floats = Float32Array | Float64Array

  it('never share a launch, and those with equal ones get what they get alone', async () => {
    const seen = { merged: 0, apart: 0 }
    const engine = await interpreter
    await fc.assert(
      fc.asyncProperty(formulas, fc.integer({ min: 1, max: 1e6 }), async (formula, seed) => {
        const loss = lossOf(formula)
        if (loss === undefined) return
        const jobOf = (rows: number, t: number, place: number, gradients: readonly string[]): Job =>
          check(loss, tensorsOf(rows, 3, seed + place, t), { reduction: 'sum', gradients }).job
        expect(jobOf(2, 0.5, 0, ['x', 't']).mergeKey).toBeUndefined()
        const [a, b, other] = [
          jobOf(2, 0.5, 0, ['x', 'v']),
          jobOf(3, 0.5, 1, ['x', 'v']),
          jobOf(3, 0.75, 1, ['x', 'v']),
        ]
        if (a.mergeKey === undefined) return
        expect(b.mergeKey).toBe(a.mergeKey)
        seen.merged++
        if (Object.hasOwn(a.program.inputs, 't')) {
          expect(other.mergeKey).not.toBe(a.mergeKey)
          seen.apart++
        }
        const together = split([a, b], await engine.run(assemble([a, b])))
        for (const [place, job] of [a, b].entries())
          expect(bits((await engine.run(assemble([job]))) as never)).toEqual(bits(together[place] as never))
      }),
      { numRuns: 300, seed: 20261129 },
    )
    expect(seen.merged).toBeGreaterThan(60)
    expect(seen.apart).toBeGreaterThan(60)
  }, 120_000)
})

const FORMULAS = [
  TEMPERED.formula,
  'sum(x * t, classes) + t^2',
  '(x - label)^2 * exp(-t) + t',
  'sum(softplus(x - t * x[classes -> others]), others)',
  'sum(sum(x * x[rows -> others], classes) * t + max(t, 0.3), others)',
  'sort(x, classes) * t',
  'sum(x, rows, classes) * t',
]

describe.each(await availableEngines())('on $name', ({ open }) => {
  let engine: Engine
  let exact: Engine
  beforeAll(async () => {
    engine = await open()
    exact = await openInterpreter()
  })
  afterAll(() => engine.close())

  it.each(FORMULAS)('has value and gradient as defined: %s', async (formula) => {
    const loss = customLoss({ ...TEMPERED, formula })
    const tensors = new Map([
      ['t', real([], [1.5])],
      ['x', real([2, 3], x.flat())],
      ['label', { ...real([2], []), dtype: 'int32' as const, data: Int32Array.of(2, 0) }],
    ])
    if (!/pick/.test(formula)) tensors.set('label', real([2], [2, 0]))
    for (const reduction of ['mean', 'none']) {
      const [got, want] = await Promise.all(
        [engine, exact].map((one) => evaluate(one, loss, tensors, { reduction })),
      )
      expectClose(got!.loss.data, want!.loss.data, { relative: 1e-5 })
      for (const name of ['t', 'x'])
        expectClose(got!.gradients.get(name)!.data, want!.gradients.get(name)!.data, {
          relative: 1e-5,
          what: name,
        })
    }
  })
})
