/** Random formulas and batches, and how accurately their precision can compute them. */
import fc from 'fast-check'
import { expect } from 'vitest'
import type { Batch } from '../../src/engines/contract.ts'
import { type Interpreted, interpret } from '../../src/language/interpret.ts'
import {
  elementsOf,
  type InputLayout,
  type Node,
  type Op,
  type Program,
  sizesWithRenamedAxes,
} from '../../src/language/ir.ts'
import { lower } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import type { NumericArray, Precision } from '../../src/tensor.ts'
import { argumentsOf, definition } from './definition.ts'
import { SCOPE } from './formulas.ts'
import { randomFrom } from './sample.ts'

const LEAVES = [
  'x',
  'y',
  'v',
  's',
  '0.5',
  '2',
  'index(columns)',
  'size(rows)',
  'pick(x, i, columns)',
  'pick(y, 1, columns)',
] as const

/** More kinds of expressions, given any expression. */
type More = (any: fc.Arbitrary<string>) => Readonly<Record<string, fc.Arbitrary<string>>>

const AXIS = fc.constantFrom('columns', 'columns', 'rows')

function expressions(leaves: readonly string[], more: More = () => ({})): fc.Arbitrary<string> {
  return fc.letrec((tie) => {
    const any = tie('any') as fc.Arbitrary<string>
    const kinds = {
      leaf: fc.constantFrom(...leaves),
      unary: fc
        .tuple(fc.constantFrom('exp', 'tanh', 'sigmoid', 'softplus', 'abs', 'relu', 'sin'), any)
        .map(([name, inner]) => `${name}(${inner})`),
      binary: fc
        .tuple(any, fc.constantFrom('+', '-', '*'), any)
        .map(([left, sign, right]) => `(${left} ${sign} ${right})`),
      guarded: fc
        // Only values that are read are compared: rounding decides comparisons of sums that are equal.
        .tuple(tie('leaf'), tie('leaf'), any, any)
        .map(([a, b, yes, no]) => `(${a} < ${b} ? ${yes} : ${no})`),
      reduced: fc
        .tuple(fc.constantFrom('sum', 'mean', 'max', 'min', 'logsumexp', 'var'), AXIS, any)
        .map(([name, axis, inner]) => `${name}(x * 0.1 + ${inner}, ${axis})`),
      counted: fc
        .tuple(tie('leaf'), tie('leaf'), fc.constantFrom('columns', 'rows', 'rows, columns'), any)
        .map(([a, b, axes, inner]) => `(any(${a} < ${b}, ${axes}) ? count(${b} < ${a}, columns) : ${inner})`),
      moved: fc
        .tuple(any, fc.constantFrom(-4, -1, 1, 2), AXIS)
        .map(([inner, steps, axis]) => `shift(x * 0 + ${inner}, ${steps}, ${axis})`),
      paired: any.map((inner) => `sum(tanh(v[rows -> others] - ${inner}), others)`),
      ...more(any),
    }
    const choices = Object.keys(kinds).map((name) => tie(name))
    return { ...kinds, any: fc.oneof({ maxDepth: 4, depthSize: 'small' }, ...choices) }
  }).any as fc.Arbitrary<string>
}

/** Expressions over x, y [rows, columns], v [rows], s and the index of an element. */
export const matrix = expressions(LEAVES)

/**
 * Expressions over the same and u [columns] that move what is along an axis (windows, convolutions, shifts, ops on a whole axis), times
 * factors along the other axis: what comes between two moves is where values go through memory.
 */
export const alongAxes: fc.Arbitrary<string> = fc.letrec((tie) => {
  const factor = fc.constantFrom('v', 'u', 's', 'y', 'tanh(x)', 'mean(y, columns)')
  const any = tie('any') as fc.Arbitrary<string>
  const covered = fc.oneof(
    fc.constantFrom('x', 'y'),
    any.map((inner) => `(x + ${inner})`),
    any.map((inner) => `(y * ${inner})`),
  )
  const kinds = {
    leaf: fc.constantFrom('x', 'y', 'x * y'),
    scaled: fc.tuple(any, factor).map(([inner, by]) => `${inner} * ${by}`),
    shifted: fc
      .tuple(covered, fc.constantFrom(-2, -1, 1, 1, 4), AXIS)
      .map(([inner, steps, axis]) => `shift(${inner}, ${steps}, ${axis})`),
    windowed: fc
      .tuple(fc.constantFrom('window_mean', 'window_sum'), covered, fc.constantFrom(2, 3), AXIS)
      .map(([name, inner, width, axis]) => `${name}(${inner}, ${width}, ${axis})`),
    convolved: fc
      .tuple(covered, factor, AXIS)
      .map(([inner, weight, axis]) => `conv(${inner}, [0.25, ${weight}, 1], ${axis})`),
    normalized: covered.map((inner) => `softmax(${inner}, columns)`),
    reduced: fc
      .tuple(fc.constantFrom('sum', 'mean', 'logsumexp'), covered, AXIS)
      .map(([name, inner, axis]) => `${name}(${inner}, ${axis})`),
    running: fc.tuple(covered, AXIS).map(([inner, axis]) => `cumsum(${inner}, ${axis})`),
    backward: fc
      .tuple(covered, factor)
      .map(([inner, decay]) => `reverse_recurrence(${inner}, ${decay} / 4, columns)`),
    permuted: fc
      .tuple(fc.constantFrom('gather', 'scatter'), covered)
      .map(([name, inner]) => `${name}(${inner}, order(y, columns), columns)`),
    mixed: matrix.map((inner) => `sin(${inner})`),
  }
  const frequent = ['scaled', 'shifted', 'windowed', 'convolved']
  const choices = [...Object.keys(kinds), ...frequent].map((name) => tie(name))
  const moved = fc.oneof(
    ...['shifted', 'windowed', 'windowed', 'convolved', 'running'].map((name) => tie(name)),
  )
  return {
    ...kinds,
    any: fc.oneof({ maxDepth: 4, depthSize: 'small' }, ...choices),
    whole: fc.tuple(moved, factor).map(([inner, by]) => `${inner} * ${by}`),
  }
}).whole as fc.Arbitrary<string>

/** Numbers in the array of a precision. */
export function realsOf(
  precision: Precision,
  length: number,
  at: (place: number) => number,
): Float32Array | Float64Array {
  const numbers = Array.from({ length }, (_, place) => at(place))
  return precision === 'float64' ? Float64Array.from(numbers) : Float32Array.from(numbers)
}

/** A formula summed over its columns, with random inputs. With an even seed, all values share one cotangent. */
export function batchOf(
  text: string,
  rows: number,
  columns: number,
  seed: number,
  precision: Precision = 'float32',
): Batch {
  const random = randomFrom(seed)
  const draw = (count: number) => realsOf(precision, count, () => 3 * random() - 1.5)
  const program = lower(parse(`sum(x * 0 + ${text}, columns)`), SCOPE, ['x', 'v'])
  const all: Record<string, NumericArray> = {
    x: draw(rows * columns),
    y: draw(rows * columns),
    v: draw(rows),
    i: Int32Array.from({ length: rows }, () => Math.floor(random() * (columns + 2)) - 1),
  }
  const inputs = Object.fromEntries(Object.keys(program.inputs).map((name) => [name, [all[name]!]]))
  return {
    programKey: text,
    program,
    precision,
    sizes: { rows, columns },
    inputs,
    scalars: { s: 0.75 },
    cotangent: [seed % 2 === 0 ? realsOf(precision, 1, () => 0.5) : draw(rows)],
  }
}

/**
 * Checks that results are as close to the definition as their precision allows. Rounding itself tells how close that is
 * (stochastic arithmetic: Vignes 1993): the definition runs again with the result of every operation changed by a
 * few roundings, and a result may differ by as much as it moves then. Real faults differ by whole terms.
 */
export function expectNear(got: Results, batch: Batch, what: string): void {
  const want = definition(batch)
  if (!isRepresentable(batch)) return
  const rounded = Array.from({ length: ROUNDED_RUNS }, (_, seed) => interpretRounded(batch, seed))
  for (const [name, data] of results(want)) {
    const others = rounded.map((one) => results(one).get(name)!)
    const largest = data.reduce((most, x) => Math.max(most, Math.abs(x)), 1)
    const moved = Math.max(...others.map((other) => farthest(other, data)))
    const allowed = CLOSE[batch.precision] * largest + 10 * moved
    const own = results(got).get(name)!
    const at = data.findIndex((w, i) => !(Math.abs(own[i]! - w) <= allowed))
    if (at >= 0)
      expect.fail(`${name} of ${what}, at ${at}: ${own[at]}, expected ${data[at]} within ${allowed}`)
  }
}

export interface Results {
  readonly values: ArrayLike<number>
  readonly gradients: Readonly<Record<string, ArrayLike<number>>>
}

function results<Data>(of: { values: Data; gradients: Readonly<Record<string, Data>> }): Map<string, Data> {
  return new Map(Object.entries({ value: of.values, ...of.gradients }))
}

function farthest(one: Float64Array, other: Float64Array): number {
  return one.reduce((most, x, i) => Math.max(most, Math.abs(x - other[i]!)), 0)
}

const CLOSE: Readonly<Record<Precision, number>> = { float32: 1e-5, float64: 1e-13 }
const REPRESENTABLE: Readonly<Record<Precision, number>> = { float32: 1e30, float64: 1e290 }

/** Whether every intermediate number fits into the precision: float64 continues where float32 has overflowed. */
function isRepresentable(batch: Batch): boolean {
  const { program } = batch
  const everyNode = Object.fromEntries(program.nodes.map((_, id) => [`node ${id}`, id]))
  const { gradients } = interpret({ ...program, gradients: everyNode }, argumentsOf(batch))
  return Object.values(gradients).every((data) =>
    data.every((x) => Math.abs(x) < REPRESENTABLE[batch.precision]),
  )
}

const ROUNDED_RUNS = 3
/** The relative error of one operation: the functions of the kernels may be off by some ulp of 2^-24 or 2^-53. */
const ROUNDING: Readonly<Record<Precision, number>> = { float32: 2 ** -22, float64: 2 ** -51 }
/** Operations that are exact or that select (max, sign, comparisons) are left as they are. */
const ROUNDS: ReadonlySet<Op> = new Set<Op>([
  'exp',
  'expm1',
  'log',
  'log1p',
  'sqrt',
  'sigmoid',
  'tanh',
  'softplus',
  'sin',
  'cos',
  'add',
  'sub',
  'mul',
  'div',
  'pow',
  'mul_no_nan',
  'reduce_sum',
  'contract',
])

/** The definition with each operation's result multiplied by 1 + a random rounding, element by element. */
function interpretRounded(batch: Batch, seed: number): Interpreted {
  const args = argumentsOf(batch)
  const { program, factors } = withRoundings(batch.program)
  const random = randomFrom(seed)
  const sizes = sizesWithRenamedAxes(batch.program, batch.sizes)
  const drawn = Object.entries(factors).map(([name, { axes }]) => {
    const draw = () => 1 + ROUNDING[batch.precision] * (2 * random() - 1)
    return [name, Float64Array.from({ length: elementsOf(axes, sizes) }, draw)] as const
  })
  return interpret(program, { ...args, inputs: { ...args.inputs, ...Object.fromEntries(drawn) } })
}

/** A program that multiplies the result of each rounding operation by an additional input, its factor. */
function withRoundings(program: Program): { program: Program; factors: Program['inputs'] } {
  const nodes: Node[] = []
  const factors: Record<string, InputLayout> = {}
  const place: number[] = []
  for (const node of program.nodes) {
    const id = nodes.push({ ...node, args: node.args.map((arg) => place[arg]!) }) - 1
    place.push(ROUNDS.has(node.op) ? rounded(id, node.axes) : id)
  }
  return { program: moved(), factors }

  function rounded(id: number, axes: readonly string[]): number {
    const name = `rounding ${id}`
    factors[name] = { type: 'real', axes }
    const factor = nodes.push({ op: 'input', args: [], type: 'real', axes, name }) - 1
    return nodes.push({ op: 'mul', args: [id, factor], type: 'real', axes }) - 1
  }

  function moved(): Program {
    const gradients = Object.entries(program.gradients).map(([name, id]) => [name, place[id]!])
    const inputs = { ...program.inputs, ...factors }
    return {
      ...program,
      nodes,
      inputs,
      value: place[program.value]!,
      gradients: Object.fromEntries(gradients),
    }
  }
}

/** A formula over rows and columns, up to so many of each, and a seed for its numbers. */
export const matrixCases = (rows: number, columns: number) =>
  fc.record({
    text: matrix,
    rows: fc.integer({ min: 1, max: rows }),
    columns: fc.integer({ min: 1, max: columns }),
    seed: fc.nat(),
  })
