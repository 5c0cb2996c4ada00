/**
 * The promise that batches stand on: a job that shares a launch gets bit for bit what it gets alone, whatever the formula and
 * whoever shares it. Thousands of random formulas, with neighbors that hold NaN and infinities.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assemble, split } from '../../src/batching/assemble.ts'
import type { Job, JobSlice } from '../../src/batching/job.ts'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import { isUnavailable } from '../../src/engines/define.ts'
import { customLoss, type Definition } from '../../src/losses/custom.ts'
import type { Loss } from '../../src/losses/define.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { bitsOf } from '../support/close.ts'
import { depth } from '../support/depth.ts'
import { check, openInterpreter } from '../support/evaluate.ts'
import { matrix } from '../support/random.ts'
import { randomFrom } from '../support/sample.ts'

/** Host ops: sorting, cumulative sums, systems of equations, alignments. */
const whole = fc
  .tuple(
    matrix,
    fc.constantFrom(
      (x: string) => `sort(${x}, columns)`,
      (x: string) => `cumsum(${x}, columns) * cummax(y, columns)`,
      (x: string) => `window_mean(x * 0 + ${x}, 3, columns) * conv(y, [0.5, s, v], columns)`,
      (x: string) =>
        `${SQUARE}\nsum(solve_lower(a, x * 0 + ${x}, columns, wide) * diag(a, wide, columns), wide)`,
      (x: string) => `${SQUARE}\nsum(solve_upper(a, x * 0 + ${x}, columns, wide)^2, wide)`,
      (x: string) => `soft_dtw((x - y[columns -> wide])^2 + tanh(${x}), 0.5, columns, wide)`,
    ),
  )
  .map(([inner, around]) => around(inner))

const SQUARE = 'a = x * y[columns -> wide] + (index(columns) == index(wide) ? 3 : 0)'

/** Random formulas, half of them without reads across rows, and some with a sum over columns. */
const expressions = fc.oneof({ arbitrary: matrix, weight: 4 }, { arbitrary: whole, weight: 1 })

const formulas = fc
  .tuple(expressions, fc.boolean(), fc.boolean(), fc.boolean())
  .map(([text, isOwn, isSummed, isSquare]) => {
    const own = isOwn
      ? text
          .replaceAll(', rows)', ', columns)')
          .replaceAll('size(rows)', '3')
          .replaceAll('others', 'other_columns')
          .replaceAll('rows -> other', 'columns -> other')
      : text
    // An input with a second axis of the size of columns.
    const within = isSquare ? own.replaceAll(/\by\b/g, 'sum(z, other_columns)') : own
    const [last, ...lines] = within.split('\n').reverse()
    const value = isSummed ? `sum(x * 0 + ${last}, columns)` : `x * 0 + ${last}`
    return [...lines.reverse(), value].join('\n')
  })

const definitionOf = (formula: string): Definition => ({
  inputs: {
    x: { axes: 'rows,columns', differentiable: true },
    y: { axes: 'rows,columns' },
    z: { axes: 'rows,columns,other_columns=columns' },
    v: { axes: 'rows', differentiable: true },
    i: { axes: 'rows', kind: 'class', places: 'columns' },
  },
  params: { s: { type: 'number', default: 0.75 } },
  formula,
})

/** The loss, if the formula is valid: v has no columns that could be renamed. */
function lossOf(formula: string): Loss | undefined {
  try {
    return customLoss(definitionOf(formula))
  } catch {
    return undefined
  }
}

const STRANGE = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38, 1e-40]

function jobOf(
  loss: Loss,
  rows: number,
  columns: number,
  seed: number,
  isStrange: boolean,
  reduction = 'sum',
): Job {
  const random = randomFrom(seed)
  const number = () =>
    isStrange && random() < 0.3 ? STRANGE[Math.floor(random() * STRANGE.length)]! : 3 * random() - 1.5
  const real = (shape: number[]): DecodedTensor => ({
    dtype: 'float32',
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, number),
    encoding: 'nested',
    typed: true,
  })
  const places = Int32Array.from({ length: rows }, () => Math.floor(random() * columns))
  const i: DecodedTensor = { dtype: 'int32', shape: [rows], data: places, encoding: 'nested', typed: true }
  const tensors = {
    x: real([rows, columns]),
    y: real([rows, columns]),
    z: real([rows, columns, columns]),
    v: real([rows]),
    i,
  }
  return check(loss, new Map(Object.entries(tensors)), { reduction }).job
}

const kept = ({ values, denominators, gradients }: JobSlice) => ({
  values: bitsOf(values),
  denominators: denominators && bitsOf(denominators),
  gradients: Object.fromEntries(Object.entries(gradients).map(([name, data]) => [name, bitsOf(data)])),
})

let engines: Readonly<Record<string, Engine>>
beforeAll(async () => {
  const opened = await compiled.open('test')
  if (isUnavailable(opened)) throw new Error(opened.unavailable)
  engines = { compiled: opened, interpreter: await openInterpreter() }
})
afterAll(async () => {
  await Promise.all(Object.values(engines).map((engine) => engine.close()))
})

describe.each([
  ['interpreter', depth(500, 1500)],
  ['compiled', depth(200, 500)],
] as const)('on the %s engine', (name, numRuns) => {
  it('random custom losses get the same bits in a batch as alone', async () => {
    const seen = { formulas: 0, merged: 0, coupled: 0 }
    await fc.assert(
      fc.asyncProperty(
        formulas,
        fc.integer({ min: 1, max: 1e6 }),
        fc.integer({ min: 1, max: 9 }),
        async (formula, seed, columns) => {
          const loss = lossOf(formula)
          if (loss === undefined) return
          seen.formulas++
          const rows = [1 + (seed % 5), 1 + (seed % 3), 2]
          const jobs = rows.map((count, place) => jobOf(loss, count, columns, seed + place, place === 1)) as [
            Job,
            ...Job[],
          ]
          if (jobs[0].mergeKey === undefined) {
            seen.coupled++
            return
          }
          expect(jobs.map(({ mergeKey }) => mergeKey)).toEqual(jobs.map(() => jobs[0].mergeKey))
          seen.merged++
          const run = async (batch: readonly [Job, ...Job[]]) => {
            const result = await engines[name]!.run(assemble(batch))
            const slices = split(batch, result).map(kept)
            result.release?.()
            return slices
          }
          const together = await run(jobs)
          for (const [place, job] of jobs.entries())
            expect((await run([job]))[0], formula).toEqual(together[place])
        },
      ),
      { numRuns, seed: 20261129 },
    )
    // The generator must produce enough of both kinds.
    expect(seen.merged).toBeGreaterThan(numRuns / 5)
    expect(seen.coupled).toBeGreaterThan(numRuns / 20)
  }, 240_000)
})

describe('one number as the cotangent of all values', () => {
  it.each([
    'x - mean(x, columns)',
    'sum(x * 0.1 + y, columns) + x',
    'x * 0.1 + sum(x, columns) * 0.7',
    'y * v * 0.3 - sum(0.7 * v + x, columns)',
    'window_mean(x, 3, columns) + sum(shift(x * 0.3, 1, columns), columns)',
  ])('gives the bits of one number for each: %s', async (formula) => {
    for (const columns of [1, 3, 9, 70, 131]) {
      const loss = customLoss(definitionOf(formula))
      const jobs = [3, 1, 2].map((rows, seed) => jobOf(loss, rows, columns, seed, false, 'mean'))
      const batch = jobs as [Job, ...Job[]]
      const together = split(batch, await engines.compiled!.run(assemble(batch))).map(kept)
      for (const [place, job] of jobs.entries())
        expect(split([job], await engines.compiled!.run(assemble([job]))).map(kept)).toEqual([
          together[place],
        ])
    }
  })
})
