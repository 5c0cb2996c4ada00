/** Formulas nobody wrote, their batches, what their definition says, and launches of kernels made for them. */
import fc from 'fast-check'
import { expect } from 'vitest'
import { Arena } from '../../../src/engines/compiled/arena.ts'
import { type Kernel, layoutOf, writeArguments } from '../../../src/engines/compiled/kernel.ts'
import {
  argumentsOf,
  bytesFor,
  copyInputs,
  instantiate,
  resultsOf,
} from '../../../src/engines/compiled/launch.ts'
import type { Batch } from '../../../src/engines/define.ts'
import { interpret } from '../../../src/language/interpret.ts'
import { withRenamed } from '../../../src/language/ir.ts'
import { lower } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { bitsOf } from '../../support/close.ts'
import { SCOPE } from '../../support/formulas.ts'
import { randomFrom } from '../../support/sample.ts'

/** Expressions over x, y [rows, columns], v [rows], s and the place of an element. */
export const matrix: fc.Arbitrary<string> = fc.letrec((tie) => ({
  leaf: fc.constantFrom(
    'x',
    'y',
    'v',
    's',
    '0.5',
    '2',
    'index(columns)',
    'pick(x, i, columns)',
    'pick(y, 1, columns)',
  ),
  unary: fc
    .tuple(fc.constantFrom('exp', 'tanh', 'sigmoid', 'softplus', 'abs', 'relu', 'sin'), tie('any'))
    .map(([name, inner]) => `${name}(${inner})`),
  binary: fc
    .tuple(tie('any'), fc.constantFrom('+', '-', '*'), tie('any'))
    .map(([left, sign, right]) => `(${left} ${sign} ${right})`),
  guarded: fc
    // Only what is read is compared: rounding decides between sums that are equal.
    .tuple(tie('leaf'), tie('leaf'), tie('any'), tie('any'))
    .map(([a, b, yes, no]) => `(${a} < ${b} ? ${yes} : ${no})`),
  reduced: fc
    .tuple(
      fc.constantFrom('sum', 'mean', 'max', 'logsumexp'),
      fc.constantFrom('columns', 'columns', 'rows'),
      tie('any'),
    )
    .map(([name, axis, inner]) => `${name}(x * 0.1 + ${inner}, ${axis})`),
  paired: tie('any').map((inner) => `sum(tanh(v[rows -> others] - ${inner}), others)`),
  any: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    tie('leaf'),
    tie('unary'),
    tie('binary'),
    tie('guarded'),
    tie('reduced'),
    tie('paired'),
  ),
})).any as fc.Arbitrary<string>

export function batchOf(text: string, rows: number, columns: number, seed: number): Batch {
  const random = randomFrom(seed)
  const draw = (count: number) => Float32Array.from({ length: count }, () => 3 * random() - 1.5)
  const program = lower(parse(`sum(x * 0 + ${text}, columns)`), SCOPE, ['x', 'v'])
  const all: Record<string, Float32Array | Int32Array> = {
    x: draw(rows * columns),
    y: draw(rows * columns),
    v: draw(rows),
    i: Int32Array.from({ length: rows }, () => Math.floor(random() * (columns + 2)) - 1),
  }
  const inputs = Object.fromEntries(Object.keys(program.inputs).map((name) => [name, [all[name]!]]))
  return {
    programKey: text,
    program,
    precision: 'float32',
    sizes: { rows, columns },
    inputs,
    scalars: { s: 0.75 },
    cotangent: [Float32Array.of(0.5)],
  }
}

export function definition({ program, sizes, inputs, scalars, cotangent }: Batch) {
  const wide = Object.entries(inputs).map(([name, [data]]) => {
    return [name, data instanceof Int32Array ? data : Float64Array.from(data!)] as const
  })
  const args = {
    sizes,
    inputs: Object.fromEntries(wide),
    scalars,
    cotangent: Float64Array.from(cotangent[0]!),
  }
  return interpret(program, args)
}

/**
 * float32 arithmetic on terms of about 1 that may cancel to nothing: off by roundings of the largest, or of 1. A wrong loop
 * is off by whole terms.
 */
export function expectNear(got: ArrayLike<number>, want: Float64Array, what: string) {
  const largest = want.reduce((most, x) => Math.max(most, Math.abs(x)), 1)
  if (largest > 1e6) return
  want.forEach((w, i) => {
    if (!(Math.abs(got[i]! - w) <= 2e-4 * largest)) expect.fail(`${what}[${i}]: ${got[i]}, expected ${w}`)
  })
}

/** A launch of one kernel, in slices that begin and end at these rows; its memory holds NaN wherever no input lies. */
export function launch(kernel: Kernel, batch: Batch, bounds: readonly number[]) {
  const sizes = withRenamed(batch.program, batch.sizes)
  const arena = new Arena()
  const layout = layoutOf(kernel, sizes)
  arena.reserve(bytesFor(layout, bounds.length))
  arena.floats.fill(Number.NaN)
  copyInputs(kernel, layout, batch, arena)
  const slices = bounds.slice(1).map((last, index) => ({ index, first: bounds[index]!, last }))
  const run = instantiate(new WebAssembly.Module(kernel.bytes), arena.memory)
  for (const at of writeArguments(kernel, layout, argumentsOf(batch, sizes), arena, slices)) run(at)
  return { ...resultsOf(kernel, layout, arena), layout, arena }
}

export function bitsIn(kernel: Kernel, batch: Batch, bounds: readonly number[]): Record<string, string> {
  const { values, gradients } = launch(kernel, batch, bounds)
  const all = Object.entries({ values, ...gradients })
  return Object.fromEntries(all.map(([name, data]) => [name, bitsOf(Float32Array.from(data))]))
}
