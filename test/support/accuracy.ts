/**
 * Counts how many roundings the float32 or float64 result of an engine is away from the exact one, for any loss, on
 * numerically hard inputs: tiny, small, ordinary and large numbers, probabilities near 0 and 1, predictions close
 * to their targets.
 *
 * The exact result is that of the float64 definition, for the same float32 inputs; for float64 that of
 * exact-interpreter.ts. A result may differ from it by what one rounding of its inputs and parameters changes, and by its
 * own roundings, so the error is counted as error / (2^-24 |exact| + moved), and with 2^-53 for float64. A number smaller than 1/4096 of the largest number in its row counts as if it
 * had that size, because the row's sums are rounded relative to their largest terms.
 */
import type { Engine } from '../../src/engines/contract.ts'
import { KIND_OF_SOFT_LABELS, type Kind, type Loss, type Params } from '../../src/losses/define.ts'
import type { Precision } from '../../src/tensor.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { evaluate } from './evaluate.ts'
import { defaultsOf, type Reading, randomFrom, readingsOf, sampleTensors, widened } from './sample.ts'

/** Half of the distance between 1 and the next number. */
const ROUNDING: Readonly<Record<Precision, number>> = { float32: 2 ** -24, float64: 2 ** -53 }
/** Below this a number has fewer digits, and relative errors mean nothing. */
const SMALLEST: Readonly<Record<Precision, number>> = { float32: 1e-30, float64: 1e-90 }
const LARGEST: Readonly<Record<Precision, number>> = {
  float32: 3.4028234663852886e38,
  float64: Number.MAX_VALUE,
}
/** Number of rows that are drawn. */
export const ROWS = 16
/** A number this far below the largest of its row may carry the rounding errors of the largest. */
const FAR_BELOW = 2 ** -12
/** How many times the inputs are moved by up to one rounding. With so few steps as float64 has, two inputs often move alike. */
const MOVES: Readonly<Record<Precision, number>> = { float32: 4, float64: 8 }

export type Tensors = ReadonlyMap<string, DecodedTensor>

interface Mode {
  readonly label: string
  /** Factor for real numbers. */
  readonly scale?: number
  /** Probabilities are within this distance of 0 or 1. */
  readonly edge?: number
  /** Predictions are within this relative distance of their targets. */
  readonly close?: number
}

export const MODES: readonly Mode[] = [
  { label: 'inputs of 1e-6', scale: 1e-6 },
  { label: 'inputs of 1e-3', scale: 1e-3 },
  { label: 'inputs of 1', scale: 1 },
  { label: 'inputs of 20', scale: 20 },
  { label: 'probabilities within 1e-4 of 0 and 1', edge: 1e-4 },
  { label: 'predictions within 1e-6 of their targets', close: 1e-6 },
  { label: 'predictions within 1e-3 of their targets', close: 1e-3 },
]

/** The largest error of one result. */
export interface Inaccuracy {
  readonly result: string
  readonly params: Params
  readonly mode: string
  readonly perClass: boolean
  readonly roundings: number
  readonly got: number
  readonly exact: number
  /** Index of the number in the result. */
  readonly place: number
}

/** Result (`loss`, `gradients.predictions` ...) -> its numbers. */
export type Results = ReadonlyMap<string, ArrayLike<number>>

/** Computes a request; undefined if it does not have the loss. */
export type Answering = (loss: Loss, tensors: Tensors, params: Params) => Promise<Results | undefined>

export interface Sides {
  readonly answer: Answering
  /** The float64 definition, or for float64 something more precise. */
  readonly exact: Engine
  /** Default: float32. */
  readonly precision?: Precision
}

/** Computes requests with an engine. */
export function answersOf(engine: Engine): Answering {
  return (loss, tensors, params) => resultsOf(engine, loss, tensors, params)
}

/**
 * The largest error of each result of a loss (`loss`, `gradients.predictions` ...), over all modes and parameters.
 *
 * @example
 * await inaccuraciesOf({ answer: answersOf(kernels), exact: interpreter }, huber, 1)
 */
export async function inaccuraciesOf(sides: Sides, loss: Loss, seed: number): Promise<Inaccuracy[]> {
  const worst = new Map<string, Inaccuracy>()
  for (const one of casesOf(loss, seed, sides.precision ?? 'float32')) {
    for (const found of await measure(sides, loss, one)) {
      const before = worst.get(found.result)
      if (before === undefined || !(found.roundings <= before.roundings)) worst.set(found.result, found)
    }
  }
  return [...worst.values()]
}

function casesOf(loss: Loss, seed: number, precision: Precision): Case[] {
  const readings = readingsOf(loss).filter(({ perClass }) => perClass || !Object.hasOwn(SYMMETRIC, loss.name))
  return variantsOf(loss).flatMap((params) =>
    MODES.flatMap((mode) => readings.map((reading) => ({ params, mode, seed, precision, ...reading }))),
  )
}

/** Tested only with one target per class: with class indices of a few pixels, some slopes are exactly 0. */
const SYMMETRIC: Readonly<Record<string, string>> = {
  generalized_dice:
    'two absent classes have the same weight, and their contributions to a shared pixel cancel',
}

/** The default parameters, and variants with each number changed. */
export function variantsOf(loss: Loss): Params[] {
  const moved = Object.entries(loss.params.properties).flatMap(([name, schema]) => {
    const { type, default: standard, minimum, maximum, exclusiveMaximum, onlyWith } = schema
    if (type !== 'number' || typeof standard !== 'number' || standard === (minimum ?? 0)) return []
    const most =
      maximum ?? (exclusiveMaximum === undefined ? Number.POSITIVE_INFINITY : exclusiveMaximum * 0.9)
    const company = onlyWith === undefined ? {} : { [onlyWith.param]: onlyWith.values[0] }
    return [{ ...company, [name]: Math.min(2.5 * standard, most) }]
  })
  return [{}, ...moved]
}

interface Case extends Reading {
  readonly params: Params
  readonly mode: Mode
  readonly seed: number
  readonly precision: Precision
}

/** The tensors of a case; undefined if the mode does not apply to this loss. */
export function tensorsOf(
  loss: Loss,
  { params, mode, seed, precision, perClass }: Case,
): Tensors | undefined {
  const random = randomFrom(seed)
  const draw = (next: () => number, kind: Kind) => drawn(next, kind, mode)
  const tensors = sampleTensors(loss, { seed, precision, rows: ROWS, bare: true, params, draw, perClass })
  for (const [name, tensor] of tensors) {
    if (loss.inputs[name]?.kind === 'simplex') toSimplex(tensor)
  }
  if (mode.close === undefined) return tensors
  const reals = [...tensors].filter(([, { dtype }]) => dtype === precision)
  const [[first, a], [, b]] = [reals[0]!, reals[1] ?? reals[0]!]
  if (a === b || a.data.length !== b.data.length || loss.inputs[first]!.kind !== 'real') return undefined
  const near = b.data.map((x) => x + (2 * random() - 1) * mode.close! * Math.abs(x))
  return new Map([...tensors, [first, { ...a, data: near }]])
}

const FREE: ReadonlySet<Kind> = new Set(['real', 'positive', 'nonnegative', 'logprob'])

function drawn(random: () => number, kind: Kind, { scale = 1, edge }: Mode): number | undefined {
  if (kind === 'probability' && edge !== undefined)
    return random() < 0.5 ? random() * edge : 1 - random() * edge
  const low = { real: -3, positive: 0.1, nonnegative: 0.1, logprob: -4 }[kind as 'real']
  const high = { real: 3, positive: 3, nonnegative: 4, logprob: -0.01 }[kind as 'real']
  return FREE.has(kind) ? scale * (low + (high - low) * random()) : undefined
}

function toSimplex({ data, shape }: DecodedTensor) {
  const [row, width] = [data as Float64Array, shape.at(-1)!]
  for (let i = 0; i < row.length; i += width) {
    const sum = row.slice(i, i + width).reduce((so, x) => so + x, 0)
    for (let j = i; j < i + width; j++) row[j]! /= sum
  }
}

async function measure({ answer, exact }: Sides, loss: Loss, one: Case): Promise<Inaccuracy[]> {
  const tensors = tensorsOf(loss, one)
  if (tensors === undefined) return []
  const got = await answer(loss, tensors, one.params)
  if (got === undefined) return []
  const { want, around } = await referenceOf(exact, loss, one)
  return [...want].flatMap(([result, numbers]) => {
    if (!got.has(result)) return []
    const moves = around.map((results) => results.get(result)!)
    const width = loss.couples === 'element' ? 1 : numbers.length / ROWS
    const { precision } = one
    const worst = worstOf({ got: got.get(result)!, exact: numbers, around: moves, width, precision })
    return worst === undefined
      ? []
      : [{ result, params: one.params, mode: one.mode.label, perClass: one.perClass, ...worst }]
  })
}

/** The exact results of a case, and those of inputs that are moved by up to one rounding. */
interface Reference {
  readonly want: Results
  readonly around: readonly Results[]
}

/** Engines are measured one after the other, and the exact results are the same for all of them. */
const references = new WeakMap<Loss, Map<string, Promise<Reference>>>()

function referenceOf(exact: Engine, loss: Loss, one: Case): Promise<Reference> {
  const known = references.get(loss) ?? new Map<string, Promise<Reference>>()
  references.set(loss, known)
  const key = JSON.stringify(one)
  const found = known.get(key) ?? makeReference(exact, loss, one)
  known.set(key, found)
  return found
}

async function makeReference(exact: Engine, loss: Loss, one: Case): Promise<Reference> {
  const random = randomFrom(one.seed + 1)
  const wide = widened(tensorsOf(loss, one)!)
  const want = await resultsOf(exact, loss, wide, one.params)
  const around: Results[] = []
  for (let i = 0; i < MOVES[one.precision]; i++) {
    around.push(
      await resultsOf(
        exact,
        loss,
        moved(wide, loss, one.precision, random),
        movedParams(loss, one.params, one.precision, random),
      ),
    )
  }
  return { want, around }
}

async function resultsOf(engine: Engine, loss: Loss, tensors: Tensors, params: Params): Promise<Results> {
  const answer = await evaluate(engine, loss, tensors, { reduction: 'none', params })
  const gradients = [...answer.gradients].map(([name, { data }]) => {
    return [`gradients.${name}`, data as ArrayLike<number>] as const
  })
  return new Map([['loss', answer.loss.data as ArrayLike<number>], ...gradients])
}

interface Compared {
  readonly got: ArrayLike<number>
  readonly exact: ArrayLike<number>
  readonly around: readonly ArrayLike<number>[]
  /** Numbers per row. */
  readonly width: number
  readonly precision: Precision
}

function worstOf({ got, exact, around, width, precision }: Compared) {
  const floors = floorsOf(exact, width)
  let worst: Pick<Inaccuracy, 'roundings' | 'got' | 'exact' | 'place'> | undefined
  for (let place = 0; place < exact.length; place++) {
    const want = exact[place]!
    if (!Number.isFinite(want) || Math.abs(want) < SMALLEST[precision]) continue
    const roundings = roundingsOf(
      precision,
      got[place]!,
      want,
      around.map((one) => one[place]!),
      floors[Math.floor(place / width)]!,
    )
    if (worst === undefined || !(roundings <= worst.roundings))
      worst = { roundings, got: got[place]!, exact: want, place }
  }
  return worst
}

/** For each row, the smallest size that its numbers count as. */
function floorsOf(exact: ArrayLike<number>, width: number): number[] {
  return Array.from({ length: Math.ceil(exact.length / width) }, (_, row) => {
    const numbers = Array.from({ length: width }, (_, i) => Math.abs(exact[row * width + i] ?? 0))
    return FAR_BELOW * Math.max(...numbers.filter(Number.isFinite), 0)
  })
}

function roundingsOf(
  precision: Precision,
  got: number,
  exact: number,
  around: readonly number[],
  floor: number,
): number {
  if (Math.abs(exact) > LARGEST[precision])
    return got === Math.sign(exact) * Number.POSITIVE_INFINITY ? 0 : Number.POSITIVE_INFINITY
  const condition = Math.max(...around.map((one) => Math.abs(one - exact)))
  const roundings =
    Math.abs(got - exact) / (ROUNDING[precision] * Math.max(Math.abs(exact), floor) + condition)
  return Number.isNaN(roundings) ? Number.POSITIVE_INFINITY : roundings
}

/**
 * Up to one rounding away. In float64 the next number on either side, because anything nearer is rounded to the number itself: an input
 * that never moved would count as one that no result depends on.
 */
function jittered(random: () => number, x: number, precision: Precision): number {
  const away = 2 * random() - 1
  if (precision === 'float32') return x * (1 + away * ROUNDING.float32)
  return x + x * Math.sign(away) * 1.01 * ROUNDING.float64
}

/** Kinds whose numbers are measured or computed. Integers, labels and signs are exact. */
const ROUNDED: ReadonlySet<Kind> = new Set([...FREE, 'probability', 'simplex', 'box'])

function moved(tensors: Tensors, loss: Loss, precision: Precision, random: () => number): Tensors {
  return new Map(
    [...tensors].map(([name, tensor]) => {
      const said = loss.inputs[name]?.kind ?? 'real'
      const kind = KIND_OF_SOFT_LABELS[said] ?? said
      if (tensor.dtype !== 'float64' || !ROUNDED.has(kind)) return [name, tensor]
      const bound = kind === 'probability' || kind === 'simplex' ? 1 : Number.POSITIVE_INFINITY
      const data = (tensor.data as Float64Array).map((x) => Math.min(bound, jittered(random, x, precision)))
      return [name, { ...tensor, data }]
    }),
  )
}

function movedParams(loss: Loss, params: Params, precision: Precision, random: () => number): Params {
  const all: Params = { ...defaultsOf(loss), ...params }
  const numbers = Object.entries(all).filter(([name, value]) => {
    const { type, minimum, maximum, onlyWith } = loss.params.properties[name]!
    if (onlyWith !== undefined && !onlyWith.values.includes(all[onlyWith.param])) return false
    return type === 'number' && value !== minimum && value !== maximum && !Number.isInteger(value)
  })
  return {
    ...params,
    ...Object.fromEntries(
      numbers.map(([name, value]) => [name, jittered(random, value as number, precision)]),
    ),
  }
}

/** Losses whose error may exceed 16 roundings, and why float32 allows nothing better. */
export const BEYOND: Readonly<Record<string, { readonly roundings: number; readonly reason: string }>> = {
  circle: { roundings: 64, reason: 'gamma multiplies the rounding error of a cosine' },
  multi_similarity: { roundings: 64, reason: 'alpha and beta multiply the rounding error of a cosine' },
  supcon: { roundings: 64, reason: '1 / temperature multiplies the rounding error of a cosine' },
  nt_xent: { roundings: 64, reason: '1 / temperature multiplies the rounding error of a cosine' },
  info_nce: { roundings: 64, reason: '1 / temperature multiplies the rounding error of a dot product' },
  margin_softmax: { roundings: 64, reason: 'scale multiplies the rounding error of a cosine' },
  multiple_negatives_ranking: { roundings: 128, reason: 'scale multiplies the rounding error of a cosine' },
  sigmoid_focal: { roundings: 32, reason: 'gamma multiplies the rounding error of 1 - p' },
  asymmetric: { roundings: 32, reason: 'gamma multiplies the rounding error of p' },
  softmax_focal: { roundings: 24, reason: 'gamma multiplies the rounding error of 1 - p' },
  triplet_margin: { roundings: 64, reason: 'the slopes of two distances, each near 1, nearly cancel' },
  list_mle: {
    roundings: 32,
    reason: "the contributions of an item's own position and of the items before it nearly cancel",
  },
  cosine_embedding: {
    roundings: 32,
    reason: 'for nearly equal vectors it is the difference of two rounded directions',
  },
  generalized_dice: {
    roundings: 128,
    reason: 'the terms of a class nearly cancel if its region is nearly empty',
  },
  ctc: {
    roundings: Number.POSITIVE_INFINITY,
    reason: 'where the alignment shares equal the probabilities, the gradient is their difference',
  },
}
