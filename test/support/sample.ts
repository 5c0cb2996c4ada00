/**
 * Draws random inputs for any loss from its definition: kinds, axes, couplings. Seeded, so that failures can be
 * reproduced.
 */
import {
  expandLoss,
  type InputSpec,
  KIND_OF_SOFT_LABELS,
  type Kind,
  type Loss,
  type Params,
} from '../../src/losses/define.ts'
import { batchAxisOf, declaredSizes } from '../../src/losses/program.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'

export interface SampleOptions {
  /** Sizes of axes by name, instead of the usual ones. */
  readonly sizes?: Readonly<Record<string, number>>
  readonly seed: number
  readonly precision?: 'float32' | 'float64'
  /** Size of the first axis. */
  readonly rows?: number
  readonly params?: Params
  /** Draws an element instead of the default distribution of the kind. */
  readonly draw?: (random: () => number, kind: Kind) => number | undefined
  /** Leaves out the optional inputs. */
  readonly bare?: boolean
  /** As in `Reading`. */
  readonly perClass?: boolean
}

/** Sizes of axes by name. All others have size 3. */
const SIZES: Readonly<Record<string, number>> = {
  classes: 4,
  dim: 5,
  items: 4,
  time: 8,
  labels: 2,
  bins: 5,
  head_size: 4,
  last: 2,
  width_0: 2,
  members: 4,
  tokens: 4,
  true_points: 4,
  width: 4,
  steps: 4,
  moments: 5,
  channels: 2,
  tasks: 2,
}

/** mulberry32: small, fast, and good enough to draw test inputs. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** One tensor for every input of the loss. */
export function sampleTensors(loss: Loss, options: SampleOptions): Map<string, DecodedTensor> {
  const random = randomFrom(options.seed)
  const rest = loss.couples === 'element' ? [options.rows ?? 3, 2] : []
  const { inputs } = expandLoss(loss, { ...defaultsOf(loss), ...options.params })
  const first = batchAxisOf({ inputs })
  const declared = declaredSizes({ inputs })
  const sizeOf = (axis: string) => options.sizes?.[axis] ?? usualSizeOf(axis)
  const shapeOf = (axes: readonly string[]) =>
    axes.flatMap((axis, place) => {
      if (axis === '...') return rest.length > 0 || place === 0 ? rest : [3]
      const source = declared[axis] ?? axis
      return [source === first ? (options.rows ?? 3) : sizeOf(source)]
    })
  const entries = Object.entries(inputs).flatMap(([name, spec]) => {
    if (spec.optional && options.bare === true) return []
    const { axes, kind } = readingOf(spec, loss, options)
    const shape = spec.trailing ? rest.slice(-1) : shapeOf(axes)
    if (spec.except !== undefined)
      return [[name, withoutFirst(sampleTensor(random, kind, shape, options))] as const]
    if (spec.atMost !== undefined) return [[name, lengths(random, shape, SIZES[spec.atMost]!)] as const]
    return [[name, sampleTensor(random, kind, shape, options)] as const]
  })
  return new Map(entries)
}

/** The name of an axis may be a number, which is then its size. */
function usualSizeOf(axis: string): number {
  return SIZES[axis] ?? (/^\d+$/.test(axis) ? Number(axis) : 3)
}

/** The same numbers as float64, which the interpreter then computes in. Labels stay integers. */
export function widened(tensors: ReadonlyMap<string, DecodedTensor>): Map<string, DecodedTensor> {
  return new Map(
    [...tensors].map(([name, tensor]) => [
      name,
      tensor.dtype === 'float32'
        ? { ...tensor, dtype: 'float64', data: Float64Array.from(tensor.data) }
        : tensor,
    ]),
  )
}

/** The kind and the shape that an input is drawn with. */
function readingOf(spec: InputSpec, loss: Loss, { params, perClass }: SampleOptions) {
  const kind = spec.kindFor({ ...defaultsOf(loss), ...params })
  if (perClass !== true || !spec.perClass) return { axes: spec.axes, kind }
  return { axes: Object.values(loss.inputs)[0]!.axes, kind: KIND_OF_SOFT_LABELS[kind] ?? kind }
}

/** One of the forms that a loss's inputs can have. */
export interface Reading {
  /** Inputs that may have the shape of the first input do: one number per class instead of one per row. */
  readonly perClass: boolean
}

/** Both forms, if there are two. */
export function readingsOf({ inputs }: Loss): readonly Reading[] {
  const hasBoth = Object.values(inputs).some(({ perClass }) => perClass)
  return hasBoth ? [{ perClass: false }, { perClass: true }] : [{ perClass: false }]
}

/** Labels from 1 on, where 0 is the label that must not occur. */
function withoutFirst(tensor: DecodedTensor): DecodedTensor {
  return { ...tensor, data: Int32Array.from(tensor.data, (label) => 1 + (label % 3)) }
}

/** At least half of the maximum, so that the labels fit into the time steps. */
function lengths(random: () => number, shape: number[], most: number): DecodedTensor {
  const data = Int32Array.from({ length: shape[0]! }, () => Math.ceil(((1 + random()) / 2) * most))
  return { dtype: 'int32', shape, data, encoding: 'nested', typed: true }
}

/** The default values of the parameters. */
export function defaultsOf(loss: Loss): Params {
  return Object.fromEntries(
    Object.entries(loss.params.properties).map(([name, schema]) => [name, schema.default]),
  )
}

function sampleTensor(
  random: () => number,
  kind: Kind,
  shape: number[],
  options: SampleOptions,
): DecodedTensor {
  const count = shape.reduce((product, size) => product * size, 1)
  const ofRow = ROWS[kind]
  const numbers =
    ofRow === undefined || count === 0
      ? Array.from({ length: count }, () => options.draw?.(random, kind) ?? DRAW[kind](random))
      : Array.from({ length: count / shape.at(-1)! }, () => ofRow(random, shape.at(-1)!)).flat()
  if (WHOLE.has(kind)) {
    return { dtype: 'int32', shape, data: Int32Array.from(numbers), encoding: 'nested', typed: true }
  }
  const precision = options.precision ?? 'float32'
  const data = precision === 'float64' ? Float64Array.from(numbers) : Float32Array.from(numbers)
  return { dtype: precision, shape, data, encoding: 'nested', typed: true }
}

const uniform = (low: number, high: number) => (random: () => number) => low + (high - low) * random()

/** Away from the edges of the kinds, where finite differences would step outside. */
const DRAW: Readonly<Record<Kind, (random: () => number) => number>> = {
  real: uniform(-3, 3),
  positive: uniform(0.1, 3),
  nonnegative: uniform(0.1, 4),
  probability: uniform(0.02, 0.98),
  simplex: uniform(0.02, 0.98),
  logprob: uniform(-4, -0.01),
  sign: (random) => (random() < 0.5 ? -1 : 1),
  binary: (random) => (random() < 0.5 ? 0 : 1),
  class: (random) => Math.floor(random() * 3),
  class_or_probability: (random) => Math.floor(random() * 4),
  class_or_binary: (random) => Math.floor(random() * 4),
  count: (random) => 1 + Math.floor(random() * 3),
  index_list: (random) => Math.floor(random() * 4),
  box: uniform(0, 4),
}

const WHOLE: ReadonlySet<Kind> = new Set([
  'class',
  'class_or_probability',
  'class_or_binary',
  'count',
  'index_list',
])

/** Kinds whose numbers depend on each other along the last axis. */
const ROWS: Readonly<Partial<Record<Kind, (random: () => number, width: number) => number[]>>> = {
  /** Distinct classes in any order, then -1. */
  index_list: (random, width) => {
    const classes = Array.from({ length: width }, (_, i) => ({ i, at: random() })).sort((a, b) => a.at - b.at)
    const listed = Math.floor(random() * (width + 1))
    return classes.map(({ i }, place) => (place < listed ? i : -1))
  },
  /** A corner, and the opposite one to its lower right. */
  box: (random) => {
    const [x, y] = [4 * random(), 4 * random()]
    return [x, y, x + 0.2 + 3 * random(), y + 0.2 + 3 * random()]
  },
}
