/** Formulas nobody wrote: compiled, they are what the interpreter says, in every shape, merged and in slices. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Arena } from '../../../src/engines/compiled/arena.ts'
import { openCompiled } from '../../../src/engines/compiled/engine.ts'
import { layoutOf, writeArguments } from '../../../src/engines/compiled/kernel.ts'
import { KernelCache } from '../../../src/engines/compiled/kernels.ts'
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
import { bitsOf, expectClose } from '../../support/close.ts'
import { SCOPE } from '../../support/formulas.ts'
import { randomFrom } from '../../support/sample.ts'

const engine = openCompiled({ reason: 'test', threads: 0, memoryBytes: 2 ** 31, log: () => {} })

/** Expressions over x, y [rows, columns], v [rows], s and the place of an element. */
const matrix: fc.Arbitrary<string> = fc.letrec((tie) => ({
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

function batchOf(text: string, rows: number, columns: number, seed: number): Batch {
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

function definition({ program, sizes, inputs, scalars, cotangent }: Batch) {
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
function expectNear(got: ArrayLike<number>, want: Float64Array, what: string) {
  const largest = want.reduce((most, x) => Math.max(most, Math.abs(x)), 1)
  if (largest > 1e6) return
  want.forEach((w, i) => {
    if (!(Math.abs(got[i]! - w) <= 2e-4 * largest)) expect.fail(`${what}[${i}]: ${got[i]}, expected ${w}`)
  })
}

describe('a random formula', () => {
  it('compiled is what the interpreter says, value and gradient', async () => {
    const cases = fc.record({
      text: matrix,
      rows: fc.integer({ min: 1, max: 9 }),
      columns: fc.integer({ min: 1, max: 21 }),
      seed: fc.nat(),
    })
    await fc.assert(
      fc.asyncProperty(cases, async ({ text, rows, columns, seed }) => {
        const batch = batchOf(text, rows, columns, seed)
        const [got, want] = [await engine.run(batch), definition(batch)]
        expectNear(got.values, want.values, text)
        for (const [name, data] of Object.entries(want.gradients)) {
          expectNear(got.gradients[name]!, data, `${name} of ${text}`)
        }
      }),
      { numRuns: 150 },
    )
  })
})

const SHAPES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 64, 100, 257]

describe('every length of a row', () => {
  const text = 'logsumexp(x, columns) * y + max(x * y, columns) - softplus(x) * v'
  it.each(SHAPES)('%i columns', async (columns) => {
    const batch = batchOf(text, 6, columns, columns)
    const [got, want] = [await engine.run(batch), definition(batch)]
    expectClose(got.values, want.values, { relative: 2e-5 })
    for (const name of ['x', 'v'])
      expectClose(got.gradients[name]!, want.gradients[name]!, { relative: 2e-5 })
  })
})

describe('slices', () => {
  it('of rows give the bits of the whole', () => {
    const batch = batchOf('softplus(x) * tanh(y) + logsumexp(x, columns)', 70, 13, 5)
    const kernel = new KernelCache({ relaxed: false }).kernelFor(batch)
    const sizes = withRenamed(batch.program, batch.sizes)
    const runIn = (bounds: readonly number[]) => {
      const arena = new Arena()
      const layout = layoutOf(kernel, sizes)
      arena.reserve(bytesFor(layout, bounds.length))
      copyInputs(kernel, layout, batch, arena)
      const slices = bounds.slice(1).map((last, index) => ({ index, first: bounds[index]!, last }))
      const run = instantiate(kernel.module, arena.memory)
      for (const at of writeArguments(kernel, layout, argumentsOf(batch, sizes), arena, slices)) run(at)
      const { values, gradients } = resultsOf(kernel, layout, arena)
      return [values, gradients.x!, gradients.v!].map((data) => bitsOf(Float32Array.from(data)))
    }
    expect(kernel.plan.separable).toBe('rows')
    expect(runIn([0, 16, 48, 64, 70])).toEqual(runIn([0, 70]))
  })
})

describe('long sums', () => {
  it('the sum of 1e7 elements is right to 1e-6', async () => {
    const count = 10_000_000
    const scope = {
      inputs: { x: { type: 'real', axes: ['n'] } },
      absent: [],
      params: {},
      axes: ['n'],
    } as const
    const program = lower(parse('mean(x, n)'), scope, [])
    const x = Float32Array.from({ length: count }, (_, i) => 0.1 + (i % 1000) * 1e-3)
    const shared = {
      programKey: 'mean',
      program,
      precision: 'float32' as const,
      sizes: { n: count },
      scalars: {},
    }
    const { values } = await engine.run({ ...shared, inputs: { x: [x] }, cotangent: [Float32Array.of(1)] })
    const exact = x.reduce((total, term) => total + term, 0) / count
    expect(Math.abs(values[0]! - exact) / exact).toBeLessThan(1e-6)
  })

  it('an infinity among many terms stays one', async () => {
    const batch = batchOf('x', 1, 1000, 3)
    ;(batch.inputs.x![0] as Float32Array)[500] = Number.POSITIVE_INFINITY
    const program = lower(parse('sum(x, columns)'), SCOPE, [])
    const { values } = await engine.run({
      ...batch,
      program,
      programKey: 'sum',
      inputs: { x: batch.inputs.x! },
    })
    expect(values[0]).toBe(Number.POSITIVE_INFINITY)
  })
})
