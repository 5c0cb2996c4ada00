/** Formulas nobody wrote, and every loss merged with others: XLA's numbers are the definition's, in rooms half empty too. */
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { assemble, split } from '../../../src/batching/assemble.ts'
import type { Batch, Engine } from '../../../src/engines/define.ts'
import { interpret } from '../../../src/language/interpret.ts'
import { lower } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { loadCatalog } from '../../../src/losses/index.ts'
import { expectClose } from '../../support/close.ts'
import { check } from '../../support/evaluate.ts'
import { SCOPE } from '../../support/formulas.ts'
import { randomFrom, sampleTensors } from '../../support/sample.ts'
import { openTensorflow, untested } from '../../support/tensorflow.ts'

/** Expressions over x, y [rows, columns], v [rows], s and the place of an element. */
const matrix: fc.Arbitrary<string> = fc.letrec((tie) => ({
  leaf: fc.constantFrom('x', 'y', 'v', 's', '2', 'index(columns)', 'size(rows)', 'pick(x, i, columns)'),
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
      fc.constantFrom('sum', 'mean', 'max', 'min', 'logsumexp'),
      fc.constantFrom('columns', 'rows'),
      tie('any'),
    )
    .map(([name, axis, inner]) => `${name}(x * 0.1 + ${inner}, ${axis})`),
  paired: tie('any').map((inner) => `sum(tanh(v[rows -> others] - ${inner}), others)`),
  any: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    ...['leaf', 'unary', 'binary', 'guarded', 'reduced', 'reduced', 'paired'].map((name) => tie(name)),
  ),
})).any as fc.Arbitrary<string>

let made = 0

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
    // A key of its own: the first shape of a program is the one that is compiled.
    programKey: `random ${made++}`,
    program,
    precision: 'float32',
    sizes: { rows, columns },
    inputs,
    scalars: { s: 0.75 },
    cotangent: [seed % 2 === 0 ? Float32Array.of(0.5) : draw(rows)],
  }
}

function definition({ program, sizes, inputs, scalars, cotangent }: Batch) {
  const wide = Object.entries(inputs).map(([name, [data]]) => {
    return [name, data instanceof Int32Array ? data : Float64Array.from(data!)] as const
  })
  const args = { sizes, scalars, cotangent: Float64Array.from(cotangent[0]!) }
  return interpret(program, { ...args, inputs: Object.fromEntries(wide) })
}

/** Off by roundings of the largest, or of 1; what is wrong is off by whole terms. */
function expectNear(got: ArrayLike<number>, want: Float64Array, what: string) {
  const largest = want.reduce((most, x) => Math.max(most, Math.abs(x)), 1)
  if (largest > 1e6) return
  want.forEach((w, i) => {
    if (!(Math.abs(got[i]! - w) <= 2e-4 * largest)) expect.fail(`${what}[${i}]: ${got[i]}, expected ${w}`)
  })
}

describe.skipIf(untested !== undefined)('XLA', async () => {
  const engine: Engine = untested === undefined ? await openTensorflow() : (undefined as never)
  const { losses } = await loadCatalog()
  afterAll(() => engine?.close())

  it('computes a random formula as the interpreter does, value and gradient', async () => {
    const cases = fc.record({
      text: matrix,
      rows: fc.integer({ min: 1, max: 20 }),
      columns: fc.integer({ min: 1, max: 9 }),
      seed: fc.nat(),
    })
    await fc.assert(
      fc.asyncProperty(cases, async ({ text, rows, columns, seed }) => {
        const batch = batchOf(text, rows, columns, seed)
        const [got, want] = [await engine.run(batch), definition(batch)]
        expect(got.compileMs, 'it was compiled').toBeGreaterThan(0)
        expectNear(got.values, want.values, text)
        for (const [name, data] of Object.entries(want.gradients))
          expectNear(got.gradients[name]!, data, `${name} of ${text}`)
      }),
      { numRuns: 40 },
    )
  }, 120_000)

  const merging = losses.filter(({ couples, inputs }) => {
    const [first] = Object.values(inputs)[0]!.axes
    const isShared = ({ axes, trailing }: (typeof inputs)[string]) => !trailing && !axes.includes(first!)
    return couples !== 'batch' && !Object.values(inputs).some(isShared)
  })
  it.each(merging.map((loss) => [loss.name, loss] as const))(
    '%s merged is what it is alone, compiled for both, a NaN neighbour included',
    async (_name, loss) => {
      const requests = [1, 3, 13].map((rows, seed) => sampleTensors(loss, { seed, rows }))
      const draw = (_: unknown, kind: string) => (kind === 'real' ? Number.NaN : undefined)
      requests.push(sampleTensors(loss, { seed: 9, rows: 2, draw }))
      const reductions = ['mean', 'sum', 'none', 'batchmean']
      const jobs = requests.map((tensors, i) => check(loss, tensors, { reduction: reductions[i] }).job)
      // What comes for the second time is compiled.
      const run = async (batch: Batch) => {
        await engine.run(batch)
        return engine.run(batch)
      }
      const merged = split(jobs, await run(assemble([jobs[0]!, ...jobs.slice(1)])))
      for (const [place, job] of jobs.entries()) {
        const alone = await run(assemble([job]))
        expectClose(merged[place]!.values, alone.values, { relative: 1e-5 })
        for (const [name, data] of Object.entries(alone.gradients))
          expectClose(merged[place]!.gradients[name]!, data, { relative: 1e-5 })
      }
    },
  )
})
