/** For every loss: parameters that would be ignored are rejected, and rows of weight 0 are not validated. */
import type { TSchema } from '@sinclair/typebox'
import { beforeAll, describe, expect, it } from 'vitest'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import { Problem } from '../../src/errors.ts'
import { type InputLayout, print } from '../../src/language/ir.ts'
import {
  type DependsOnParam,
  expandLoss,
  KIND_OF_SOFT_LABELS,
  type Loss,
  type Params,
} from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { createProgramSource } from '../../src/losses/program.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { bitsOf } from '../support/close.ts'
import { sampled } from '../support/depth.ts'
import { check, evaluate, nested, openInterpreter } from '../support/evaluate.ts'
import { choicesOf } from '../support/params.ts'
import { defaultsOf, readingsOf, sampleTensors } from '../support/sample.ts'

const { losses } = await loadCatalog()
const programs = createProgramSource()
let engines: readonly Engine[]
beforeAll(async () => {
  engines = [await openInterpreter(), (await compiled.open('test')) as Engine]
})

type Tensors = ReadonlyMap<string, DecodedTensor>

const problemOf = (run: () => unknown): Problem | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
}

// What has no say

/** A value other than the default, for parameters other than words and booleans, which `choicesOf` covers. */
function otherValue(schema: TSchema): number | number[] | undefined {
  if (schema.type === 'array') return [2]
  const parts: readonly TSchema[] = schema.anyOf ?? [schema]
  const number = parts.find(({ type }) => type === 'number' || type === 'integer')
  if (number === undefined) return undefined
  return number.type === 'integer' ? (schema.default === 1 ? 2 : 1) : schema.default === 0.4 ? 0.3 : 0.4
}

/** All inputs as classes where they may be classes, and as probabilities. */
function layoutsOf(loss: Loss, tensors: Tensors): Record<string, InputLayout>[] {
  const { layouts } = { layouts: check(loss, tensors).job.program.inputs }
  const [first] = Object.entries(loss.inputs)
  const soft = Object.entries(layouts).filter(
    ([name]) => KIND_OF_SOFT_LABELS[loss.inputs[name]!.kind] !== undefined,
  )
  if (soft.length === 0) return [layouts]
  const real = soft.map(
    ([name]) => [name, { type: 'real' as const, axes: layouts[first![0]]!.axes }] as const,
  )
  return [layouts, { ...layouts, ...Object.fromEntries(real) }]
}

/** Whether a parameter changes the result. */
function isHeard(
  loss: Loss,
  inputs: Record<string, InputLayout>,
  params: Params,
  name: string,
  value: unknown,
) {
  const made = (given: Params) => {
    const expanded = expandLoss(loss, given)
    const wants = Object.keys(inputs).filter((input) => expanded.inputs[input]?.differentiable)
    return programs(expanded, { inputs, params: given, wants, hessians: [] })
  }
  const [one, other] = [made(params), made({ ...params, [name]: value } as Params)]
  return Object.hasOwn(one.scalars, name)
    ? one.program.scalars.includes(name)
    : print(one.program) !== print(other.program)
}

/** What an input that may be classes, or numbers for each class, holds. */
const kindIn = (loss: Loss, inputs: Record<string, InputLayout>, name: string) =>
  inputs[name]!.type === 'index' ? 'class' : KIND_OF_SOFT_LABELS[loss.inputs[name]!.kind]

/** The position of the classes, which the layouts determine here. */
const OF_LAYOUT: ReadonlySet<string> = new Set(['class_axis', 'cutoffs'])

describe.each(losses.map((loss) => [loss.name, loss] as const))('%s', (_, loss) => {
  it('rejects every parameter that has no effect in combination with others', () => {
    const tensors = sampleTensors(loss, { seed: 1 })
    for (const inputs of layoutsOf(loss, tensors)) {
      for (const choice of choicesOf(loss)) {
        const params = { ...defaultsOf(loss), ...choice }
        for (const [name, schema] of Object.entries(loss.params.properties)) {
          const value = otherValue(schema)
          if (value === undefined || OF_LAYOUT.has(name)) continue
          const only = schema.onlyWith as DependsOnParam | undefined
          const found =
            only === undefined ? undefined : (params[only.param] ?? kindIn(loss, inputs, only.param))
          const allowed = only === undefined || only.values.includes(found as string)
          expect(isHeard(loss, inputs, params, name, value), `${name} beside ${JSON.stringify(choice)}`).toBe(
            allowed,
          )
        }
      }
    }
  })

  // What a row of weight 0 holds

  const [first] = Object.values(loss.inputs)
  const hasRows = (name: string) =>
    loss.inputs[name]!.axes[0] === first!.axes[0] && !loss.inputs[name]!.trailing
  const choices = choicesOf(loss)
  if (loss.couples === 'batch') return

  it.each(sampled(choices, 12))(
    'ignores a row of weight 0, even with invalid values, with %j',
    async (params) => {
      for (const engine of engines) {
        const precision = engine === engines[0] ? 'float64' : 'float32'
        for (const [seed, reading] of [1, 2].flatMap((n) =>
          readingsOf(loss).map((one) => [n, one] as const),
        )) {
          const tensors = sampleTensors(loss, { seed, precision, params, bare: seed === 2, ...reading })
          const place = seed % 3
          const weights = nested(
            [0, 1, 2].map((row) => (row === place ? 0 : row + 0.5)),
            precision,
          )
          const without = new Map(
            [...tensors, ['sample_weight', weights] as const].map(([name, tensor]) => {
              return [name, name === 'sample_weight' || hasRows(name) ? withoutRow(tensor, place) : tensor]
            }),
          )
          for (const nonfinite of ['propagate', 'error']) {
            const options = { params, nonfinite }
            const sum = { ...options, reduction: 'sum' }
            const want = await evaluate(engine, loss, without, sum)
            for (const name of [...tensors.keys()].filter(hasRows)) {
              for (const junk of JUNK) {
                const spoilt = spoil(tensors, name, place, junk).set('sample_weight', weights)
                const what = `${name} ${junk} ${nonfinite}`
                const got = await evaluate(engine, loss, spoilt, sum)
                expect(bitsOf(got.loss.data), what).toBe(bitsOf(want.loss.data))
                for (const [input, { data }] of want.gradients) {
                  if (!hasRows(input)) continue
                  const own = got.gradients.get(input)!
                  expect(bitsOf(withoutRow(own, place).data), `${what}: ${input}`).toBe(bitsOf(data))
                  expect(rowOf(own, place).every((x) => x === 0)).toBe(true)
                }
                const mean = await evaluate(engine, loss, spoilt, { ...options, reduction: 'weighted_mean' })
                expect(mean.members.finite, what).toBe(true)
              }
            }
          }
        }
      }
    },
  )

  it.each(choices.slice(0, 1))('still rejects invalid values in any other row', (params) => {
    const tensors = sampleTensors(loss, { seed: 1, params })
    for (const name of [...tensors.keys()].filter(hasRows)) {
      const weighted = (weights: number[]) =>
        spoil(tensors, name, 1, 255).set('sample_weight', nested(weights, 'float32'))
      const refused = (weights: number[]) =>
        problemOf(() => check(loss, weighted(weights), { params })) !== undefined
      expect(refused([0, 1, 0]), name).toBe(
        problemOf(() => check(loss, spoil(tensors, name, 1, 255), { params })) !== undefined,
      )
      expect(refused([1, 0, 1]), name).toBe(false)
    }
  })
})

const JUNK = [255, -3, 0.5, Number.NaN, Number.POSITIVE_INFINITY]

function spoil(tensors: Tensors, name: string, row: number, junk: number): Map<string, DecodedTensor> {
  const tensor = tensors.get(name)!
  // As bare JSON numbers, which may be anything.
  const data = tensor.data instanceof Int32Array ? Float64Array.from(tensor.data) : tensor.data.slice()
  const width = data.length / 3
  data.fill(junk, row * width, (row + 1) * width)
  const bare = tensor.data instanceof Int32Array ? ({ dtype: 'float32', typed: false } as const) : {}
  return new Map(tensors).set(name, { ...tensor, ...bare, data })
}

function rowOf({ data }: Pick<DecodedTensor, 'data'>, row: number): number[] {
  const width = data.length / 3
  return Array.from(data.slice(row * width, (row + 1) * width))
}

function withoutRow<T extends Pick<DecodedTensor, 'data' | 'shape'>>(tensor: T, row: number): T {
  const kept = [0, 1, 2].filter((one) => one !== row).flatMap((one) => rowOf(tensor, one))
  const Numbers = tensor.data.constructor as Float64ArrayConstructor
  return { ...tensor, shape: [tensor.shape[0]! - 1, ...tensor.shape.slice(1)], data: Numbers.from(kept) }
}
