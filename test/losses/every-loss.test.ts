/**
 * The conformance suite of the losses: promises of every loss, derived from its definition. A new loss is tested
 * automatically.
 */
import { existsSync, readFileSync } from 'node:fs'
import type { TSchema } from '@sinclair/typebox'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../../src/engines/contract.ts'
import { expandLoss, type Kind, type Loss, type Params } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { bitsOf, expectClose } from '../support/close.ts'
import { depth } from '../support/depth.ts'
import { evaluate, nested, openInterpreter } from '../support/evaluate.ts'
import { companyOf } from '../support/params.ts'
import { defaultsOf, readingsOf, sampleTensors } from '../support/sample.ts'

/** The published signature of a loss, written by hand, so that it does not change unnoticed. */
interface CatalogEntry {
  readonly name: string
  readonly family: string
  readonly couples: string
  readonly inputs: readonly {
    name: string
    axes: string
    kind: string
    differentiable: boolean
    optional?: boolean
  }[]
  readonly params: Readonly<Record<string, unknown>>
  readonly aliases: readonly string[]
}

const contract: CatalogEntry[] = JSON.parse(readFileSync(new URL('catalog.json', import.meta.url), 'utf8'))
const { losses } = await loadCatalog()
let engine: Engine
beforeAll(async () => {
  engine = await openInterpreter()
})

type Tensors = Map<string, DecodedTensor>

const replaced = (tensors: Tensors, name: string, change: (data: Float64Array) => void): Tensors => {
  const tensor = tensors.get(name)!
  const data = Float64Array.from(tensor.data)
  change(data)
  return new Map(tensors).set(name, { ...tensor, data })
}

const differentiableOf = (loss: Loss, params: Params = {}) => {
  const { inputs } = expandLoss(loss, { ...defaultsOf(loss), ...params })
  return Object.keys(inputs).filter((name) => inputs[name]!.differentiable)
}

/** The defaults, and variants with one parameter changed: the other boolean, every other word, a number near its default. */
function variationsOf(loss: Loss): Params[] {
  const moved = Object.entries(loss.params.properties).flatMap(([name, schema]) =>
    alternativesTo(schema).map((value) => ({ ...companyOf(schema), [name]: value })),
  )
  return [{}, ...moved]
}

/** Each is well within the range of every parameter of its kind. Integers (an axis, a label) are not changed. */
function alternativesTo(schema: TSchema): (number | boolean | string | number[])[] {
  if (schema.type === 'array') return [[2]]
  const words = (schema.anyOf ?? [])
    .map((part: TSchema) => part.const)
    .filter((word: unknown) => word !== undefined)
  if (words.length > 0) return words.filter((word: string) => word !== schema.default)
  if (typeof schema.default === 'boolean') return [!schema.default]
  if (schema.default === null)
    return [schema.anyOf?.some((part: TSchema) => part.type === 'integer') ? 2 : 0.3]
  if (schema.type === 'integer') return []
  if (schema.default === 0 || schema.default < 1e-3) return [0.05]
  return [0.7 * schema.default, ...(schema.exclusiveMaximum === undefined && !schema.anyOf ? [] : [0.9])]
}

const firstAxisOf = (loss: Loss) => Object.values(loss.inputs)[0]!.axes[0]

/** Values at several steps from x -> slope at x. */
type Differences = (x: number, at: (step: number) => Promise<number>) => Promise<number>

const h = 1e-5
/** Both rules below have an error of about h^2 f''' plus 1e-16 / h of rounding. */
const byDifferences = { relative: 1e-6, absolute: 1e-6 }
const central: Differences = async (_, at) => ((await at(h)) - (await at(-h))) / (2 * h)
/** Three points from x into [0, 1], because the service rejects numbers outside. */
const inward: Differences = async (x, at) => {
  const step = x > 0.5 ? -h : h
  return (-3 * (await at(0)) + 4 * (await at(step)) - (await at(2 * step))) / (2 * step)
}

/** The first of three rows gets the ignored label. */
const ignoring = (targets: DecodedTensor): DecodedTensor => {
  return { ...targets, data: Int32Array.from(targets.data).fill(-100, 0, targets.data.length / 3) }
}

const withoutFirst = (tensor: DecodedTensor): DecodedTensor => {
  const shape = [tensor.shape[0]! - 1, ...tensor.shape.slice(1)]
  return { ...tensor, shape, data: tensor.data.slice(tensor.data.length / 3) }
}

/** Losses whose value overflows although it is correct: e^1e4 is not a float64. */
const isBeyond = (
  { limits: { overflow: { above = Infinity, below = -Infinity } = {} } = {} }: Loss,
  x: number,
) => x > above || x < below

/** A class that is never the last one. */
const LABELS: Partial<Record<Kind, number>> = { class: 1, class_or_probability: 1, class_or_binary: 1 }

/**
 * By definition, the gradient treats a factor of the value as constant, so it is not the slope. Such losses are tested
 * against the reference values of their frameworks instead.
 */
const isDetached = (loss: Loss, given: Params) => {
  const detached = loss.limits?.detached
  if (detached === undefined || detached === true) return detached === true
  const { [detached.param]: value } = { ...defaultsOf(loss), ...given }
  return detached.values.includes(value as string)
}

it.each(
  losses.filter(({ limits }) => limits?.detached !== undefined).map((loss) => [loss.name, loss] as const),
)('%s, whose gradient is not its slope, has reference values of a framework', (name) =>
  expect(existsSync(new URL(`../oracles/${name}.json`, import.meta.url))).toBe(true),
)

describe.each(losses.map((loss) => [loss.name, loss] as const))('%s', (_, loss) => {
  const entry = contract.find(({ name }) => name === loss.name)
  it.runIf(entry)('has the names, shapes and parameters in the catalog', () => {
    const inputs = Object.entries(loss.inputs).map(([name, { axes, kind, differentiable, optional }]) => {
      return { name, axes: axes.join(','), kind, differentiable, ...(optional ? { optional } : {}) }
    })
    const { name, family, couples, aliases } = loss
    const { reference: _reference, ...wanted } = entry as CatalogEntry & { reference: string }
    expect({ name, family, couples, inputs, params: defaultsOf(loss), aliases }).toEqual(wanted)
  })

  it('documents every input and parameter, and its source', () => {
    for (const [name, { about }] of Object.entries(loss.inputs)) expect(about, name).toMatch(/\w/)
    for (const [name, schema] of Object.entries(loss.params.properties))
      expect(schema.description, name).toMatch(/\w/)
    expect(loss.references.length).toBeGreaterThan(0)
    expect(loss.examples.length).toBeGreaterThan(0)
  })

  it('passes its examples', async () => {
    for (const example of loss.examples) {
      const tensors = new Map(Object.entries(example.inputs).map(([name, value]) => [name, nested(value)]))
      const reduction = example.reduction ?? 'none'
      const wants = example.gradients === undefined ? false : Object.keys(example.gradients)
      const options = { reduction, gradients: wants, params: example.params ?? {} }
      const answer = await evaluate(engine, loss, tensors, options)
      // Examples are written with up to 16 digits; some of ours pass through an epsilon of 1e-12.
      expectClose(answer.loss.data, nested(example.loss).data, { relative: 1e-9, what: 'loss' })
      for (const [name, gradient] of Object.entries(example.gradients ?? {})) {
        expectClose(answer.gradients.get(name)!.data, nested(gradient).data, { relative: 1e-9, what: name })
      }
    }
  })

  it.each(variationsOf(loss).filter((params) => !isDetached(loss, params)))(
    'has the gradient of central differences, with %j',
    async (params) => {
      // The only input whose range depends on a parameter and is not validated: a negative rate gives NaN, as in
      // PyTorch.
      const isRate = loss.name === 'poisson_nll' && params.log_input === false
      for (const seed of depth([1, 4], [1, 2, 3, 4])) {
        const draw = (random: () => number, kind: Kind) =>
          isRate && kind === 'real' ? 0.1 + 3 * random() : undefined
        const perClass = seed >= 3
        const options = { seed, precision: 'float64', bare: seed % 2 === 1, params, draw, perClass } as const
        const tensors = sampleTensors(loss, options)
        const isOffered = (name: string) =>
          perClass && loss.inputs[name]?.kind === 'class_or_probability' ? [name] : []
        const gradients = [
          ...differentiableOf(loss, params).filter((input) => tensors.has(input)),
          ...[...tensors.keys()].flatMap(isOffered),
        ]
        const answer = await evaluate(engine, loss, tensors, { reduction: 'sum', params, gradients })
        for (const name of gradients) {
          const numeric = await slopes(tensors, name, params, central)
          expectClose(answer.gradients.get(name)!.data, numeric, {
            ...byDifferences,
            what: `${name}, seed ${seed}`,
          })
        }
      }
    },
  )

  // For targets of exactly 0 or 1, which are common, formulas often use other branches than in between.
  const { targets } = loss.inputs
  const softened = targets?.kind === 'probability' && targets.differentiable
  if (softened)
    it('gives probabilities of 0 and 1 the limit of the slope', async () => {
      const draw = (random: () => number, kind: Kind) => {
        return kind === 'probability' && random() < 0.5 ? Math.round(random()) : undefined
      }
      for (const seed of [9, 10]) {
        const tensors = sampleTensors(loss, { seed, precision: 'float64', draw })
        // A prediction of 0 or 1 is itself a kink, so only targets are exactly 0 or 1 here.
        const between = (data: Float64Array) => data.set(data.map((p) => 0.1 + 0.8 * p))
        const hard =
          loss.inputs.predictions!.kind === 'probability'
            ? replaced(tensors, 'predictions', between)
            : tensors
        const { gradients } = await evaluate(engine, loss, hard, { reduction: 'sum' })
        const numeric = await slopes(hard, 'targets', {}, inward)
        expectClose(gradients.get('targets')!.data, numeric, {
          ...byDifferences,
          what: `targets, seed ${seed}`,
        })
      }
    })

  async function slopes(
    tensors: Tensors,
    name: string,
    params: Params,
    rule: Differences,
  ): Promise<number[]> {
    const at = (place: number) => async (step: number) => {
      const moved = replaced(tensors, name, (data) => {
        data[place]! += step
      })
      const answer = await evaluate(engine, loss, moved, { reduction: 'sum', gradients: false, params })
      return answer.loss.data[0]!
    }
    const found: number[] = []
    for (const [place, x] of tensors.get(name)!.data.entries()) found.push(await rule(x, at(place)))
    return found
  }

  it.each(readingsOf(loss))(
    'is consistent: none sums to sum, mean is sum / denominator, with %j',
    async (reading) => {
      const tensors = sampleTensors(loss, { seed: 5, precision: 'float64', ...reading })
      const [none, sum, mean] = await Promise.all(
        ['none', 'sum', 'mean'].map((reduction) => evaluate(engine, loss, tensors, { reduction })),
      )
      const total = Array.from(none!.loss.data).reduce((a, b) => a + b, 0)
      expectClose(sum!.loss.data, [total], { relative: 1e-12 })
      // Some means first divide each row by its length.
      const lengths = loss.meanPer === undefined ? undefined : tensors.get(loss.meanPer)!.data
      const scaled = Array.from(none!.loss.data, (value, row) => value / (lengths?.[row] ?? 1))
      const denominator = mean!.members.denominator as number
      // If every list is too short for a pair, nothing counts, and the mean is 0.
      const meanOf = denominator === 0 ? 0 : scaled.reduce((a, b) => a + b, 0) / denominator
      expectClose(mean!.loss.data, [meanOf], { relative: 1e-12 })
    },
  )

  it.each(readingsOf(loss))('ignores a row of weight 0, whatever it contains, with %j', async (reading) => {
    const tensors = sampleTensors(loss, { seed: 6, precision: 'float64', ...reading })
    const first = differentiableOf(loss)[0]!
    const poisoned = replaced(tensors, first, (data) => data.fill(Number.NaN, 0, data.length / 3))
    // In a coupled batch a row also occurs in the terms of other rows; its weight applies only to its own term.
    if (loss.couples === 'batch') return
    const weighted = (inputs: Tensors) => new Map(inputs).set('sample_weight', nested([0, 1, 2]))
    const clean = await evaluate(engine, loss, weighted(tensors), { reduction: 'sum' })
    const answer = await evaluate(engine, loss, weighted(poisoned), { reduction: 'sum' })
    expect(bitsOf(answer.loss.data)).toBe(bitsOf(clean.loss.data))
    for (const [name, { data }] of answer.gradients)
      expect(bitsOf(data), name).toBe(bitsOf(clean.gradients.get(name)!.data))
  })

  it.each(readingsOf(loss))('confines a NaN to its own row, with %j', async (reading) => {
    if (loss.couples === 'batch') return
    const tensors = sampleTensors(loss, { seed: 7, precision: 'float64', ...reading })
    const poisoned = replaced(tensors, differentiableOf(loss)[0]!, (data) =>
      data.fill(Number.NaN, 0, data.length / 3),
    )
    const [clean, answer] = [
      await evaluate(engine, loss, tensors, { reduction: 'none' }),
      await evaluate(engine, loss, poisoned, { reduction: 'none' }),
    ]
    const rest = (data: Parameters<typeof bitsOf>[0]) => bitsOf(data.subarray(data.length / 3))
    expect(rest(answer.loss.data)).toBe(rest(clean.loss.data))
    for (const [name, { data }] of answer.gradients) {
      // Inputs that all rows share, such as the weights of a layer, depend on all rows.
      if (loss.inputs[name]!.axes[0] !== firstAxisOf(loss)) continue
      expect(rest(data), name).toBe(rest(clean.gradients.get(name)!.data))
    }
  })

  if ('ignore_index' in loss.params.properties)
    it.each([Number.NaN, 7])('ignores an ignored row that contains %d', async (junk) => {
      const isRow = (name: string) => loss.inputs[name]!.axes[0] === 'rows'
      const tensors = sampleTensors(loss, { seed: 11, precision: 'float64' })
      const ignored = new Map(tensors).set('targets', ignoring(tensors.get('targets')!))
      const first = differentiableOf(loss)[0]!
      const poisoned = replaced(ignored, first, (data) => data.fill(junk, 0, data.length / 3))
      const rest = new Map(
        [...ignored].map(([name, tensor]) => [name, isRow(name) ? withoutFirst(tensor) : tensor]),
      )
      const [answer, alone] = [
        await evaluate(engine, loss, poisoned, { reduction: 'mean', nonfinite: 'error' }),
        await evaluate(engine, loss, rest, { reduction: 'mean' }),
      ]
      expect(bitsOf(answer.loss.data)).toBe(bitsOf(alone.loss.data))
      const { data } = answer.gradients.get(first)!
      expect(Array.from(data.subarray(0, data.length / 3), Math.abs)).toEqual(Array(data.length / 3).fill(0))
      expect(bitsOf(data.subarray(data.length / 3))).toBe(bitsOf(alone.gradients.get(first)!.data))
      for (const name of differentiableOf(loss).filter((input) => !isRow(input)))
        expectClose(answer.gradients.get(name)!.data, alone.gradients.get(name)!.data, { relative: 1e-12 })
    })

  const { predictions } = loss.inputs
  const logits =
    loss.family === 'multiclass' && predictions?.axes.includes('classes') && predictions.kind !== 'simplex'
  if (logits)
    it('gives a masked class (-inf) gradient 0', async () => {
      const tensors = sampleTensors(loss, { seed: 12, precision: 'float64', draw: (_, kind) => LABELS[kind] })
      const [rows, classes, ...others] = tensors.get('predictions')!.shape as [number, number, ...number[]]
      const rest = others.reduce((product, size) => product * size, 1)
      const isMasked = (i: number) => Math.floor(i / rest) % classes === classes - 1
      const masked = replaced(tensors, 'predictions', (data) => {
        for (let i = 0; i < rows * classes * rest; i++) if (isMasked(i)) data[i] = Number.NEGATIVE_INFINITY
      })
      const answer = await evaluate(engine, loss, masked, { reduction: 'sum' })
      expect(Number.isFinite(answer.loss.data[0])).toBe(true)
      const gradient = Array.from(answer.gradients.get('predictions')!.data)
      expect(gradient.every(Number.isFinite)).toBe(true)
      expect(gradient.filter((_, i) => isMasked(i)).every((g) => g === 0)).toBe(true)
    })

  it.each([0, 1e-8, 1, -1, 88.7, -104, 1e4, -1e4])('is finite for real inputs of %d', async (x) => {
    const isInfinite = isBeyond(loss, x)
    const draw = (_: () => number, kind: Kind) =>
      kind === 'real' ? x : kind === 'logprob' ? -Math.abs(x) : undefined
    for (const reading of readingsOf(loss)) {
      const tensors = sampleTensors(loss, { seed: 8, precision: 'float64', draw, ...reading })
      const answer = await evaluate(engine, loss, tensors, { reduction: 'sum' })
      // The documented exceptions, which the response reports.
      expect(answer.members.finite).toBe(!isInfinite)
    }
  })
})

it('contains exactly the losses of the catalog', () => {
  expect(losses.map(({ name }) => name)).toEqual(expect.arrayContaining(contract.map(({ name }) => name)))
})
