/** Draws inputs for a check, by the kinds of a loss, when the caller sends none. */
import { expandLoss, type InputSpec, type Kind, type Loss, type Params } from '../losses/define.ts'
import { batchAxisOf, declaredSizes, holdsIndices } from '../losses/program.ts'

export interface Drawn {
  readonly shape: readonly number[]
  readonly isIndex: boolean
  readonly data: readonly number[]
}

const ROWS = 6
const SIZES: Readonly<Record<string, number>> = {
  classes: 4,
  dim: 4,
  items: 4,
  features: 3,
  time: 6,
  labels: 2,
  thresholds: 3,
  count: 3,
  bins: 5,
  head_size: 4,
}

const between = (low: number, high: number) => (random: () => number) => low + (high - low) * random()
const whole = (n: number) => (random: () => number) => Math.floor(random() * n)

/** Away from the ends, where a difference would step outside. */
const DRAW: Readonly<Record<Kind, (random: () => number) => number>> = {
  real: between(-3, 3),
  positive: between(0.2, 3),
  nonnegative: between(0.2, 4),
  probability: between(0.05, 0.95),
  simplex: between(0.05, 0.95),
  logprob: between(-4, -0.05),
  sign: (random) => (random() < 0.5 ? -1 : 1),
  binary: whole(2),
  class: whole(3),
  class_or_probability: whole(3),
  class_or_binary: whole(3),
  count: (random) => 1 + Math.floor(random() * 2),
  index_list: whole(3),
  box: between(0, 4),
}

/**
 * One tensor for each input that is not optional.
 *
 * @example
 * drawInputs(huber, { delta: 1 }, Math.random).predictions.shape // [6]
 */
export function drawInputs(loss: Loss, params: Params, random: () => number): Record<string, Drawn> {
  const expanded = expandLoss(loss, params)
  const [first, declared] = [batchAxisOf(expanded), declaredSizes(expanded)]
  const lengthOf = (name: string) => {
    const axis = declared[name] ?? name
    return axis === first ? ROWS : (SIZES[axis] ?? (Number(axis) || 2))
  }
  const present = Object.entries(expanded.inputs).filter(([, spec]) => !spec.optional)
  return Object.fromEntries(present.map(([name, spec]) => [name, drawn(spec, lengthOf, params, random)]))
}

function drawn(
  spec: InputSpec,
  lengthOf: (axis: string) => number,
  params: Params,
  random: () => number,
): Drawn {
  const kind = spec.kindFor(params)
  const shape = spec.axes.map(lengthOf)
  const count = shape.reduce((product, size) => product * size, 1)
  const numbers = Array.from({ length: count }, () => DRAW[kind](random))
  return {
    shape,
    isIndex: holdsIndices(spec, spec.axes),
    data: rowsOf(kind, spec, numbers, shape.at(-1) ?? 1),
  }
}

/** Numbers that depend on each other along the last axis. */
function rowsOf(kind: Kind, spec: InputSpec, numbers: readonly number[], width: number): number[] {
  const rows = Array.from({ length: numbers.length / width }, (_, i) =>
    numbers.slice(i * width, (i + 1) * width),
  )
  if (kind === 'simplex') return rows.flatMap((row) => row.map((x) => x / row.reduce((a, b) => a + b)))
  if (kind === 'box') return rows.flatMap(([x, y, w, h]) => [x, y, x + 0.2 + w, y + 0.2 + h])
  if (kind === 'index_list') return rows.flatMap((row) => row.map((_, k) => (k < row.length / 2 ? k : -1)))
  if (spec.except !== undefined) return numbers.map((x) => 1 + (x % 3))
  if (spec.atMost === 'time') return numbers.map(() => SIZES.time)
  return [...numbers]
}
