/**
 * What a source is run on: for each loss the requests that change its program, and for each of them ordinary, extreme and
 * tied inputs with the service's float64 answer.
 */
import type { TSchema } from '@sinclair/typebox'
import type { Job } from '../../src/batching/job.ts'
import { interpret } from '../../src/language/interpret.ts'
import { type Program, valueAxes } from '../../src/language/ir.ts'
import type { Kind, Loss, Params } from '../../src/losses/define.ts'
import { batchAxisOf } from '../../src/losses/program.ts'
import type { SourceRequest } from '../../src/sources/contract.ts'
import type { NumericArray, Precision } from '../../src/tensor.ts'
import type { Answer, DecodedTensor } from '../../src/wire/define.ts'
import { check } from '../support/evaluate.ts'
import { companyOf } from '../support/params.ts'
import { defaultsOf, readingsOf, sampleTensors } from '../support/sample.ts'

/** One structure of a loss: one source. */
export interface Unit {
  readonly label: string
  readonly request: SourceRequest
  readonly cases: readonly Case[]
}

export interface Case {
  readonly label: string
  /** As a request sends them. */
  readonly tensors: ReadonlyMap<string, DecodedTensor>
  /** As a program reads them: flat, in its layouts. */
  readonly inputs: Readonly<Record<string, NumericArray>>
  readonly sizes: Readonly<Record<string, number>>
  /** Unreduced. */
  readonly values: Float64Array
  /** Of each value. */
  readonly gradients: Readonly<Record<string, Float64Array>>
  /** The reduced losses; none for extreme inputs, whose sums are NaN, infinite, or their largest value alone. */
  readonly reduced: ReadonlyMap<Reduction, Reduced>
}

/** `weighted` is the sum of the values times `weights`, as a training loop computes it from the reduction `none`. */
export type Reduction = 'sum' | 'mean' | 'weighted'

/** The service's answer to the same request with a reduction. */
export interface Reduced {
  readonly loss: number
  readonly gradients: Readonly<Record<string, Float64Array>>
  /** What sums and gradients are multiplied by. */
  readonly scale: number
  /** One for each row of the values. */
  readonly weights?: Float64Array
}

/** All units of a loss. In float32 its numbers and parameters are such, and the answers are still those in float64. */
export function unitsOf(loss: Loss, precision: Precision = 'float64'): Unit[] {
  const optional = Object.keys(loss.inputs).filter((name) => loss.inputs[name]!.optional)
  const perClass = Object.keys(loss.inputs).filter((name) => loss.inputs[name]!.perClass)
  const plain = variationsOf(loss).map((params) => unit(loss, params, [], [], precision))
  const others = [
    ...(optional.length > 0 ? [unit(loss, {}, optional, [], precision)] : []),
    ...readingsOf(loss).flatMap((reading) =>
      reading.perClass ? [unit(loss, {}, [], perClass, precision)] : [],
    ),
  ]
  return [...plain, ...others]
}

/** The unit of the defaults alone. */
export function usualUnitOf(loss: Loss, precision: Precision = 'float64'): Unit {
  return unit(loss, {}, [], [], precision)
}

/** The defaults, and each word, truth and number that the program depends on in another value. */
function variationsOf(loss: Loss): Params[] {
  const moved = Object.entries(loss.params.properties).flatMap(([name, schema]) => {
    return alternativesTo(schema).map((value) => ({ ...companyOf(schema), [name]: value }))
  })
  return [{}, ...moved]
}

function alternativesTo(schema: TSchema): (number | boolean | string)[] {
  const parts: readonly TSchema[] = schema.anyOf ?? []
  const words = parts.map((part) => part.const).filter((word) => typeof word === 'string')
  if (words.length > 0) return words.filter((word) => word !== schema.default)
  if (typeof schema.default === 'boolean') return [!schema.default]
  if (schema.default === null) return [parts.some(({ type }) => type === 'integer') ? 2 : 0.3]
  if (schema.type !== 'number') return []
  return [schema.default === 0 || schema.default < 1e-3 ? 0.05 : 0.7 * schema.default]
}

function unit(
  loss: Loss,
  params: Params,
  optional: readonly string[],
  perClass: readonly string[],
  precision: Precision,
): Unit {
  const request = { loss, params: { ...defaultsOf(loss), ...params }, optional, perClass }
  const made = modesIn(precision).flatMap((mode) => caseOf(loss, params, optional, perClass, mode, precision))
  const label = [
    loss.name,
    ...Object.entries(params).map((pair) => pair.join('=')),
    ...optional,
    ...perClass.map((name) => `${name} per class`),
  ]
  return { label: label.join(', '), request, cases: made }
}

interface Mode {
  readonly label: string
  readonly draw?: Draw
}

type Draw = (random: () => number, kind: Kind) => number | undefined

const among = (random: () => number, numbers: readonly number[]) =>
  numbers[Math.floor(random() * numbers.length)]!

const EXTREME: Readonly<Partial<Record<Kind, readonly number[]>>> = {
  real: [0, 1e-300, -1e-30, 1e-9, 0.5, -1, 3, -20, 37, -90, 200, 710, -745, 1e4, -1e9, 1e20],
  positive: [1e-30, 1e-9, 0.5, 1, 30, 1e9, 1e20],
  nonnegative: [0, 1e-30, 1e-9, 0.5, 1, 30, 1e9],
  probability: [0, 1, 1e-300, 1e-12, 1 - 1e-12, 0.5],
  logprob: [0, -1e-30, -1e-9, -1, -30, -800],
}

/** Few different numbers, so that many are equal, and errors lie exactly at the kinks of the default parameters. */
const TIED: Readonly<Partial<Record<Kind, readonly number[]>>> = {
  real: [-1, 0, 1, 0, 2],
  positive: [1, 2],
  nonnegative: [0, 1, 2],
  probability: [0, 0.5, 1],
  logprob: [0, -1, -2],
}

const fromTable =
  (table: Readonly<Partial<Record<Kind, readonly number[]>>>) => (random: () => number, kind: Kind) => {
    const numbers = table[kind]
    return numbers === undefined ? undefined : among(random, numbers)
  }

/** Numbers of any size that the precision has, denormals included. */
function anySize(precision: Precision): Draw {
  const [least, most] = precision === 'float64' ? [-1074, 1024] : [-149, 128]
  const size = (random: () => number) => 2 ** (least + (most - least) * random())
  return (random, kind) => {
    if (kind === 'real') return random() < 0.5 ? size(random) : -size(random)
    if (kind === 'positive' || kind === 'nonnegative') return size(random)
    if (kind === 'logprob') return -size(random)
    const small = 2 ** (least * random())
    return kind === 'probability' ? (random() < 0.5 ? small : 1 - small) : undefined
  }
}

const modesIn = (precision: Precision): readonly Mode[] => [
  { label: 'ordinary' },
  { label: 'extreme', draw: fromTable(EXTREME) },
  { label: 'tied', draw: fromTable(TIED) },
  { label: 'any size', draw: anySize(precision) },
]

/** Rows of a case: enough that every pair of extremes is likely to meet. */
const ROWS = { element: 60, other: 6 } as const

function caseOf(
  loss: Loss,
  params: Params,
  optional: readonly string[],
  perClass: readonly string[],
  mode: Mode,
  precision: Precision,
): Case[] {
  const rows = loss.couples === 'element' ? ROWS.element : ROWS.other
  const seed = seedOf(`${loss.name} ${mode.label}`)
  const drawn = sampleTensors(loss, {
    seed,
    rows,
    params,
    precision: 'float64',
    bare: optional.length === 0,
    perClass: perClass.length > 0,
    ...(mode.draw === undefined ? {} : { draw: mode.draw }),
  })
  const tensors = precision === 'float64' ? drawn : narrowed(drawn)
  const { job } = check(loss, tensors, { params, reduction: 'none' })
  const { values, gradients } = interpret(job.program, inPrecision(job, precision))
  const { inputs, sizes } = job
  const reduced =
    mode.label === 'extreme' || mode.label === 'any size'
      ? new Map()
      : reducedOf(loss, params, tensors, job.program, precision)
  return [{ label: mode.label, tensors, inputs, sizes, values, gradients, reduced }]
}

/** Numbers that float32 holds exactly, still in float64: so the answers are exact. */
function narrowed(tensors: ReadonlyMap<string, DecodedTensor>): Map<string, DecodedTensor> {
  return new Map(
    [...tensors].map(([name, tensor]) => {
      if (tensor.dtype !== 'float64') return [name, tensor]
      return [name, { ...tensor, data: Float64Array.from(Float32Array.from(tensor.data)) }]
    }),
  )
}

function inPrecision(job: Job, precision: Precision): Job {
  if (precision === 'float64') return job
  const scalars = Object.entries(job.scalars).map(([name, value]) => [name, Math.fround(value)] as const)
  return { ...job, scalars: Object.fromEntries(scalars) }
}

function reducedOf(
  loss: Loss,
  params: Params,
  tensors: ReadonlyMap<string, DecodedTensor>,
  program: Program,
  precision: Precision,
): Map<Reduction, Reduced> {
  const plain = (['sum', 'mean'] as const).map((reduction) => {
    return [reduction, answerOf(loss, tensors, { params, reduction }, precision)] as const
  })
  if (!valueAxes(program).includes(batchAxisOf(loss))) return new Map(plain)
  const rows = tensors.get(Object.keys(loss.inputs)[0]!)!.shape[0]!
  const weights = Float64Array.from({ length: rows }, (_, row) => 0.5 + (row % 3))
  const weight = { dtype: 'float64', shape: [rows], data: weights, encoding: 'nested', typed: true } as const
  const all = new Map<string, DecodedTensor>([...tensors, ['sample_weight', weight]])
  const weighted = answerOf(loss, all, { params, reduction: 'sum' }, precision)
  return new Map<Reduction, Reduced>([...plain, ['weighted', { ...weighted, weights }]])
}

function answerOf(
  loss: Loss,
  tensors: ReadonlyMap<string, DecodedTensor>,
  options: Readonly<Record<string, unknown>>,
  precision: Precision,
): Reduced {
  const { job, answer } = check(loss, tensors, options)
  const found: Answer = answer(interpret(job.program, inPrecision(job, precision)))
  const gradients = [...found.gradients].map(([name, { data }]) => [name, Float64Array.from(data)] as const)
  const denominator = Number(found.members.denominator)
  return {
    loss: Number(found.loss.data[0]),
    gradients: Object.fromEntries(gradients),
    scale: denominator === 0 ? 0 : 1 / denominator,
  }
}

function seedOf(text: string): number {
  return [...text].reduce((hash, letter) => (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0, 7)
}
