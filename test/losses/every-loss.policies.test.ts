/**
 * Promises of every loss: rows of weight 0 may contain anything, gradients do not depend on each other, nothing is
 * ignored.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import { expandLoss, type Kind, type Loss, type Params } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { bitsOf } from '../support/close.ts'
import { sampled } from '../support/depth.ts'
import { check, evaluate } from '../support/evaluate.ts'
import { MISFIT } from '../support/misfit.ts'
import { companyOf } from '../support/params.ts'
import { defaultsOf, type Reading, readingsOf, sampleTensors } from '../support/sample.ts'

const { losses } = await loadCatalog()
let engine: Engine
beforeAll(async () => {
  engine = (await compiled.open('test')) as Engine
})

type Tensors = ReadonlyMap<string, DecodedTensor>

const ROWS = 3

/** Fills the last row of each input that has rows with invalid numbers. */
function spoiled(loss: Loss, tensors: Tensors): Tensors {
  const [first] = Object.values(loss.inputs)[0]!.axes
  const entries = [...tensors].map(([name, tensor]) => {
    const spec = loss.inputs[name]
    const misfit = spec === undefined ? undefined : MISFIT[spec.kindFor(defaultsOf(loss))]
    if (misfit === undefined || spec!.axes[0] !== first || spec!.trailing) return [name, tensor] as const
    const data = tensor.data.slice()
    data.fill(misfit, (data.length / ROWS) * (ROWS - 1))
    return [name, { ...tensor, data }] as const
  })
  return new Map(entries)
}

const weights: DecodedTensor = {
  dtype: 'float32',
  shape: [ROWS],
  data: Float32Array.of(1, 0.5, 0),
  encoding: 'nested',
  typed: true,
}

const bitsOfAnswer = async (loss: Loss, tensors: Tensors, options: Record<string, unknown>) => {
  const { loss: value, gradients } = await evaluate(engine, loss, tensors, options)
  return [...gradients].map(([name, { data }]) => [name, bitsOf(data)]).concat([['loss', bitsOf(value.data)]])
}

const apart = losses.filter(({ couples, expand }) => couples !== 'batch' && expand === undefined)

describe('a row of weight 0 has no effect, whatever it contains', () => {
  const readings = apart.flatMap((loss) => readingsOf(loss).map((reading) => ({ loss, reading })))
  it.each(readings.map((one) => [one.loss.name, one.reading, one] as const))(
    '%s, %j',
    async (_name, reading, { loss }) => {
      const tensors = new Map([
        ...sampleTensors(loss, { seed: 31, rows: ROWS, bare: true, ...reading }),
        ['sample_weight', weights],
      ])
      const options = { reduction: 'sum' }
      const want = await bitsOfAnswer(loss, tensors, options)
      expect(await bitsOfAnswer(loss, spoiled(loss, tensors), options)).toEqual(want)
    },
  )
})

/** All numbers of one kind are equal, so that there are as many ties as possible. */
function tied(loss: Loss, params: Params, reading: Reading): Tensors {
  const tensors = sampleTensors(loss, { seed: 41, rows: ROWS, params, bare: true, ...reading })
  const { inputs } = expandLoss(loss, { ...defaultsOf(loss), ...params })
  const same: Readonly<Partial<Record<Kind, number>>> = {
    real: 1,
    logprob: -1,
    probability: 0.5,
    positive: 1,
    nonnegative: 1,
  }
  const [firstBox] = [...tensors].filter(([name]) => inputs[name]!.kind === 'box')
  const entries = [...tensors].map(([name, tensor]) => {
    const kind = inputs[name]!.kindFor({ ...defaultsOf(loss), ...params })
    if (kind === 'box') return [name, { ...tensor, data: firstBox![1].data.slice() }] as const
    const value = same[kind]
    return [name, value === undefined ? tensor : { ...tensor, data: tensor.data.map(() => value) }] as const
  })
  return new Map(entries)
}

function settingsOf(loss: Loss): Params[] {
  const words = Object.entries(loss.params.properties).flatMap(([name, schema]) => {
    const { anyOf, type, default: standard } = schema
    const values =
      type === 'boolean' ? [!standard] : (anyOf ?? []).map((part: { const?: unknown }) => part.const)
    return values
      .filter((value: unknown) => value !== undefined && value !== standard)
      .map((value: string | boolean) => ({ ...companyOf(schema), [name]: value }))
  })
  return [{}, ...words]
}

const cases = losses.flatMap((loss) => settingsOf(loss).map((params) => ({ loss, params })))

describe('a gradient does not depend on which others are requested, even at ties', () => {
  it.each(sampled(cases, 2).map((one) => [one.loss.name, JSON.stringify(one.params), one] as const))(
    '%s %s',
    async (_name, _params, { loss, params }) => {
      for (const reading of readingsOf(loss)) {
        const tensors = tied(loss, params, reading)
        const together = await evaluate(engine, loss, tensors, { reduction: 'none', params })
        for (const [name, { data }] of together.gradients) {
          const alone = await evaluate(engine, loss, tensors, {
            reduction: 'none',
            params,
            gradients: [name],
          })
          expect(bitsOf(alone.gradients.get(name)!.data), name).toBe(bitsOf(data))
        }
      }
    },
  )
})

describe('no parameter is silently ignored', () => {
  it.each(cases.map((one) => [one.loss.name, JSON.stringify(one.params), one] as const))(
    '%s %s',
    (_name, _params, { loss, params }) => {
      const tensors = sampleTensors(loss, { seed: 51, rows: ROWS, params })
      const { scalars } = check(loss, tensors, { params }).job
      for (const [name, schema] of Object.entries(loss.params.properties)) {
        const isNumber = schema.type === 'number' && schema.structural !== true
        if (!isNumber || name in params || name in scalars) continue
        const [low, high] = [
          schema.minimum ?? schema.exclusiveMinimum ?? 0,
          schema.maximum ?? schema.exclusiveMaximum ?? 1,
        ]
        const sent = { ...params, [name]: (low + Math.min(high, low + 1)) / 2 }
        expect(() => check(loss, tensors, { params: sent }), name).toThrow('has no effect')
      }
    },
  )
})
