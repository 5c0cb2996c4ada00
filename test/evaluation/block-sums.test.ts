/** Blocks that are added up in WebAssembly have the sums of rows that are added one by one, bit for bit. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BlockSums } from '../../src/evaluation/block-sums.ts'
import { hashRows } from '../../src/evaluation/random.ts'
import type { LossReport } from '../../src/evaluation/result.ts'
import { State, type StateOptions } from '../../src/evaluation/state.ts'
import { type Question, summarize } from '../../src/evaluation/summarize.ts'
import { depth } from '../support/depth.ts'

const BLOCK = 32
const SEED = 5

interface Row {
  readonly loss: number
  readonly share: number
  /** Below 0: a row that does not count. */
  readonly key: number
}

const options = (hasShares: boolean, hasBuckets: boolean): StateOptions => ({
  hasBuckets,
  series: [
    { hasShares, hasSketch: true, worst: 3 },
    { hasShares: false, hasSketch: false, worst: 0 },
  ],
})

const question = (replicates: number): Question => ({
  series: [
    { kind: 'loss', loss: 'l', params: {} },
    { kind: 'loss', loss: 'negative', params: {} },
  ],
  files: ['a', 'b', 'c'],
  by: ['key'],
  replicates,
  seed: 7,
  quantiles: [0.1, 0.5, 0.9],
  computedBy: 'test',
})

/** Blocks of rows, as a file has them. */
function blocksOf(rows: readonly Row[]): Row[][] {
  return Array.from({ length: Math.ceil(rows.length / BLOCK) }, (_, i) =>
    rows.slice(i * BLOCK, (i + 1) * BLOCK),
  )
}

function oneByOne(rows: readonly Row[], first: number, opts: StateOptions): State {
  const state = new State(opts)
  const slices = Int32Array.from(rows, ({ key }) => (key < 0 ? -1 : state.sliceOf([key])))
  const hashes = new Uint32Array(rows.length)
  hashRows(first, rows.length, SEED, hashes, 0)
  const losses = Float64Array.from(rows, ({ loss }) => loss)
  const shares = opts.series[0]!.hasShares ? Float64Array.from(rows, ({ share }) => share) : undefined
  const values =
    shares === undefined ? losses : losses.map((loss, i) => (shares[i] === 0 ? 0 : loss * shares[i]!))
  const negative = losses.map((loss) => -loss)
  state.add({
    slices,
    hashes: opts.hasBuckets ? hashes : undefined,
    series: [
      { values, losses, shares },
      { values: negative, losses: negative, shares: undefined },
    ],
    rowOf: (i) => first + i,
  })
  return state
}

function inBlocks(rows: readonly Row[], first: number, opts: StateOptions): State {
  const state = new State(opts)
  const sums = new BlockSums(state, BLOCK)
  let at = first
  for (const block of blocksOf(rows)) {
    const { slices } = sums
    for (const [i, { key }] of block.entries()) slices[i] = key < 0 ? -1 : state.sliceOf([key])
    const [own, negative] = [sums.rowsOf(0), sums.rowsOf(1)]
    for (const [i, { loss, share }] of block.entries()) {
      own.losses[i] = loss
      negative.losses[i] = -loss
      if (own.shares === undefined) continue
      own.shares[i] = share
      own.values[i] = share === 0 ? 0 : loss * share
    }
    const start = at
    sums.add(block.length, { first: start, seed: SEED }, (i) => start + i)
    at += block.length
  }
  sums.drain()
  return state
}

const loss = fc.oneof(
  fc.double({ min: -10, max: 10, noNaN: true }),
  fc.double({ noNaN: true }),
  fc.constantFrom(0, -0, 5e-324, 1e-300, 2 ** 479, 2 ** 959, Number.POSITIVE_INFINITY),
)
const usual = fc.double({ min: 0, max: 1000, noNaN: true })
const rowsOf = (losses: fc.Arbitrary<number>, most: number) =>
  fc.array(
    fc.record({
      loss: losses,
      share: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1e6, noNaN: true })),
      key: fc.integer({ min: -1, max: most }),
    }),
    { maxLength: 150 },
  )

describe('block sums', () => {
  for (const hasShares of [false, true])
    for (const hasBuckets of [false, true])
      it(`are those of rows one by one${hasShares ? ', with weights' : ''}${hasBuckets ? ', with buckets' : ''}`, () => {
        const opts = options(hasShares, hasBuckets)
        const check = (rows: readonly Row[], first: number) => {
          const asked = question(hasBuckets ? 20 : 0)
          expect(summarize(inBlocks(rows, first, opts), asked)).toEqual(
            summarize(oneByOne(rows, first, opts), asked),
          )
        }
        // The second place is where the lower half of places overflows.
        const place = fc.constantFrom(0, 2 ** 34 - 40, 2 ** 34 + 2 ** 32 - 20)
        fc.assert(fc.property(rowsOf(loss, 5), place, check), {
          numRuns: hasBuckets ? depth(8, 20) : depth(50, 100),
        })
        fc.assert(fc.property(rowsOf(usual, 70), place, check), {
          numRuns: hasBuckets ? depth(8, 20) : depth(50, 100),
        })
      })

  it('have one sketch for all where there are many slices', () => {
    const rows = Array.from({ length: 2000 }, (_, i) => ({
      loss: Math.abs(Math.sin(i)) * 5,
      share: 1,
      key: i % 700,
    }))
    const opts = options(false, true)
    expect(summarize(inBlocks(rows, 0, opts), question(5))).toEqual(
      summarize(oneByOne(rows, 0, opts), question(5)),
    )
  })

  it('have the rows whose share is 0 in no extreme, quantile or bin, among no worst rows, and in no interval', () => {
    const counting = [2, 5].map((loss) => ({ loss, share: 1, key: 0 }))
    const others = [0, 9, Number.POSITIVE_INFINITY].map((loss) => ({ loss, share: 0, key: 0 }))
    const rows = [...others, ...counting, ...others.map((row) => ({ ...row, key: 1 }))]
    for (const summed of [inBlocks, oneByOne]) {
      const [{ overall, slices, distribution, worst }] = summarize(
        summed(rows, 0, options(true, false)),
        question(0),
      ).losses as [LossReport]
      expect(overall).toMatchObject({ rows: 8, weight: 2, mean: 3.5, standard_error: 1.5, min: 2, max: 5 })
      expect(distribution!.reduce((sum, { count }) => sum + count, 0)).toBe(2)
      expect(worst!.map(({ loss }) => loss)).toEqual([5, 2])
      const nothing = { mean: null, standard_error: null, interval: null, min: null, max: null }
      expect(slices[1]).toEqual({ key: { key: 1 }, rows: 3, weight: 0, ...nothing })
    }
  })

  it('have no interval where one row counts', () => {
    const rows = [1, 0, 0].map((share) => ({ loss: 2, share, key: 0 }))
    for (const summed of [inBlocks, oneByOne]) {
      const { losses } = summarize(summed(rows, 0, options(true, false)), question(0))
      expect(losses[0]!.overall).toMatchObject({ mean: 2, standard_error: null, interval: null })
    }
  })

  it('ignore what rows contain that do not count', () => {
    const rows = [1, Number.NaN, 3].map((x, i) => ({ loss: x, share: x, key: i === 1 ? -1 : 0 }))
    const { losses } = summarize(inBlocks(rows, 0, options(true, false)), question(0))
    expect(losses[0]!.overall).toMatchObject({ rows: 2, weight: 4, mean: 2.5, min: 1, max: 3 })
  })
})
