/**
 * What a source is run on: for each loss the requests that change its program, and for each of them ordinary, extreme and
 * tied inputs with the service's float64 answer.
 */
import type { TSchema } from '@sinclair/typebox'
import { interpret } from '../../src/language/interpret.ts'
import type { Kind, Loss, Params } from '../../src/losses/define.ts'
import type { SourceRequest } from '../../src/sources/contract.ts'
import type { NumericArray } from '../../src/tensor.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
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
}

/** All units of a loss. */
export function unitsOf(loss: Loss): Unit[] {
  const optional = Object.keys(loss.inputs).filter((name) => loss.inputs[name]!.optional)
  const perClass = Object.keys(loss.inputs).filter((name) => loss.inputs[name]!.perClass)
  const plain = variationsOf(loss).map((params) => unit(loss, params, [], []))
  const others = [
    ...(optional.length > 0 ? [unit(loss, {}, optional, [])] : []),
    ...readingsOf(loss).flatMap((reading) => (reading.perClass ? [unit(loss, {}, [], perClass)] : [])),
  ]
  return [...plain, ...others]
}

/** The unit of the defaults alone. */
export function usualUnitOf(loss: Loss): Unit {
  return unit(loss, {}, [], [])
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

function unit(loss: Loss, params: Params, optional: readonly string[], perClass: readonly string[]): Unit {
  const request = { loss, params: { ...defaultsOf(loss), ...params }, optional, perClass }
  const made = MODES.flatMap((mode) => caseOf(loss, params, optional, perClass, mode))
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
  readonly draw?: (random: () => number, kind: Kind) => number | undefined
}

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

const MODES: readonly Mode[] = [
  { label: 'ordinary' },
  { label: 'extreme', draw: fromTable(EXTREME) },
  { label: 'tied', draw: fromTable(TIED) },
]

/** Rows of a case: enough that every pair of extremes is likely to meet. */
const ROWS = { element: 60, other: 6 } as const

function caseOf(
  loss: Loss,
  params: Params,
  optional: readonly string[],
  perClass: readonly string[],
  mode: Mode,
): Case[] {
  const rows = loss.couples === 'element' ? ROWS.element : ROWS.other
  const seed = seedOf(`${loss.name} ${mode.label}`)
  const tensors = sampleTensors(loss, {
    seed,
    rows,
    params,
    precision: 'float64',
    bare: optional.length === 0,
    perClass: perClass.length > 0,
    ...(mode.draw === undefined ? {} : { draw: mode.draw }),
  })
  const { job } = check(loss, tensors, { params, reduction: 'none' })
  const { values, gradients } = interpret(job.program, job)
  return [{ label: mode.label, tensors, inputs: job.inputs, sizes: job.sizes, values, gradients }]
}

function seedOf(text: string): number {
  return [...text].reduce((hash, letter) => (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0, 7)
}
