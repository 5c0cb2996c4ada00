/** States of parts add up to the state of the whole, bit for bit, in any order and however the rows are split. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BinnedSums, COARSE, FINE } from '../../src/evaluation/binned-sums.ts'
import { placeOf } from '../../src/evaluation/places.ts'
import { QuantileSketch } from '../../src/evaluation/quantile-sketch.ts'
import { type SliceKey, State, type StateOptions, TooManySlices } from '../../src/evaluation/state.ts'
import { type Question, summarize } from '../../src/evaluation/summarize.ts'
import { WorstRows } from '../../src/evaluation/worst-rows.ts'
import { depth } from '../support/depth.ts'

interface Row {
  readonly loss: number
  readonly weight: number
  readonly key: number
  readonly hash: number
  readonly place: number
}

const options = (hasShares: boolean, keepsRows = true): StateOptions => ({
  hasBuckets: true,
  keepsRows,
  series: [{ hasShares, hasSketch: true, worst: 3 }],
})

function stateOf(rows: readonly Row[], hasShares: boolean): State {
  const state = new State(options(hasShares))
  const slices = Int32Array.from(rows, ({ key }) => (key < 0 ? -1 : state.sliceOf([key])))
  rows.forEach(({ key, place }) => {
    if (key < 0) state.addBad('negative', place)
  })
  const shares = Float64Array.from(rows, ({ weight }) => weight)
  const losses = Float64Array.from(rows, ({ loss }) => loss)
  const values = hasShares ? losses.map((loss, i) => loss * shares[i]!) : losses
  state.add({
    slices,
    hashes: Uint32Array.from(rows, ({ hash }) => hash),
    series: [{ values, losses, shares: hasShares ? shares : undefined }],
    rowOf: (i) => rows[i]!.place,
  })
  return state
}

const question: Question = {
  series: [{ kind: 'loss', loss: 'l', params: {} }],
  files: ['f'],
  by: ['key'],
  replicates: 20,
  seed: 7,
  quantiles: [0.1, 0.5, 0.9],
  computedBy: 'test',
}

/** Of all sizes, with both signs and both zeros. */
const anyLoss = fc.oneof(
  fc.double({ noNaN: true }),
  fc.double({ min: -10, max: 10, noNaN: true }),
  fc.constantFrom(0, -0, 5e-324, 1e-300, 2 ** 959, -(2 ** 959), Number.POSITIVE_INFINITY),
)

const rowsOf = (loss: fc.Arbitrary<number>) =>
  fc
    .array(
      fc.record({
        loss,
        weight: fc.double({ min: 0, max: 1e6, noNaN: true }),
        key: fc.integer({ min: -1, max: 5 }),
        hash: fc.nat(),
      }),
      { maxLength: 60 },
    )
    .map((rows) => rows.map((row, place) => ({ ...row, place })))

/** Rows in another order, in parts. */
function shuffledParts(rows: readonly Row[], seed: readonly number[], parts: number): Row[][] {
  const shuffled = rows
    .map((row, i) => ({ row, at: seed[i % seed.length]! + i * 1e-3 }))
    .sort((a, b) => a.at - b.at)
    .map(({ row }) => row)
  const found = Array.from({ length: parts }, (): Row[] => [])
  shuffled.forEach((row, i) => {
    found[(i + Math.floor(seed[0]! * 7)) % parts]!.push(row)
  })
  return found
}

const seeds = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 60 })

describe('a state', () => {
  for (const hasShares of [false, true])
    it(`does not depend on how rows ${hasShares ? 'with weights ' : ''}are shuffled, split and merged`, () => {
      fc.assert(
        fc.property(rowsOf(anyLoss), seeds, fc.integer({ min: 1, max: 6 }), (rows, seed, parts) => {
          const whole = stateOf(rows, hasShares)
          const states = shuffledParts(rows, seed, parts).map((part) => stateOf(part, hasShares))
          const [first, ...others] = states
          for (const other of others) first!.merge(other)
          expect(summarize(first!, question)).toEqual(summarize(whole, question))
        }),
        { numRuns: depth(40, 100) },
      )
    })

  it('keeps rows up to a million of them, however they come', () => {
    const few = new State(options(false))
    const many = new State(options(false))
    const slice = [few, many].map((state) => state.sliceOf([0]))
    const addTo = (state: State, count: number, from: number) => {
      const losses = Float64Array.from({ length: count }, (_, i) => (from + i) % 7)
      const slices = new Int32Array(count).fill(slice[0]!)
      const rows = { slices, hashes: new Uint32Array(count), rowOf: (i: number) => from + i }
      state.add({ ...rows, series: [{ values: losses, losses, shares: undefined }] })
    }
    addTo(few, 600_000, 0)
    addTo(many, 400_000, 600_000)
    expect([few, many].map(({ kept }) => kept !== undefined)).toEqual([true, true])
    few.merge(many)
    const { uncertainty } = summarize(few, { ...question, replicates: 2 })
    expect([few.kept?.record().places.length, uncertainty.resampled]).toEqual([1_000_000, 'rows'])
    addTo(few, 1, 1_000_000)
    const after = summarize(few, { ...question, replicates: 2 })
    expect([few.kept, after.uncertainty.resampled]).toEqual([undefined, 'buckets'])
    const other = new State(options(false))
    other.merge(few)
    expect(other.kept).toBeUndefined()
  })

  it('may be merged in any grouping', () => {
    fc.assert(
      fc.property(rowsOf(anyLoss), seeds, (rows, seed) => {
        const parts = () => shuffledParts(rows, seed, 3).map((part) => stateOf(part, false))
        const [a, b, c] = parts()
        const [d, e, f] = parts()
        a!.merge(b!)
        a!.merge(c!)
        f!.merge(e!)
        d!.merge(f!)
        expect(summarize(a!, question)).toEqual(summarize(d!, question))
      }),
    )
  })

  it('is the same after it was stored', () => {
    fc.assert(
      fc.property(rowsOf(anyLoss), rowsOf(anyLoss), (rows, later) => {
        const state = stateOf(rows, true)
        const stored = State.restore(structuredClone(state.record()), options(true))
        expect(summarize(stored, question)).toEqual(summarize(state, question))
        state.merge(stateOf(later, true))
        stored.merge(stateOf(later, true))
        expect(summarize(stored, question)).toEqual(summarize(state, question))
      }),
      { numRuns: depth(30, 100) },
    )
  })

  it('has fewer buckets for many slices, whenever the slices come', () => {
    const rows = Array.from({ length: 600 }, (_, i) => ({
      loss: Math.sin(i),
      weight: 1,
      key: i % 150,
      hash: i * 7919,
      place: i,
    }))
    const whole = stateOf(rows, false)
    const few = stateOf(rows.slice(0, 40), false)
    expect([few.buckets, whole.buckets]).toEqual([2048, 512])
    few.merge(stateOf(rows.slice(40), false))
    expect(few.buckets).toBe(512)
    expect(summarize(few, question)).toEqual(summarize(whole, question))
  })

  it('refuses more slices than it can keep', () => {
    const state = new State(options(false))
    expect(() => {
      for (let i = 0; i < 5000; i++) state.sliceOf([i])
    }).toThrow(TooManySlices)
  })

  it('has the mean, the extremes and the counts of its rows', () => {
    const keys: SliceKey = [1]
    const rows = [1, 2, 6].map((loss, i) => ({ loss, weight: 1, key: keys[0] as number, hash: i, place: i }))
    const { losses } = summarize(stateOf(rows, false), { ...question, replicates: 0 })
    expect(losses[0]!.overall).toMatchObject({ rows: 3, mean: 3, min: 1, max: 6 })
    // The sample's standard deviation is sqrt(7).
    expect(losses[0]!.overall.standard_error).toBeCloseTo(Math.sqrt(7 / 3), 14)
  })
})

describe('binned sums', () => {
  for (const [name, bins] of Object.entries({ FINE, COARSE }))
    it(`${name} are as accurate as they say`, () => {
      fc.assert(
        fc.property(fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1 }), (terms) => {
          const sums = new BinnedSums(1, bins)
          for (const term of terms) sums.add(0, term)
          const exact = exactSum(terms)
          const largest = Math.max(...terms.map(Math.abs))
          const unit = largest * 2 ** -(bins === FINE ? 59 : 51)
          expect(Math.abs(sums.value(0) - exact)).toBeLessThanOrEqual(
            terms.length * unit + Math.abs(exact) * 2 ** -52 + largest * 2 ** -52,
          )
        }),
      )
    })

  it('hold small terms beside large ones that cancel', () => {
    const sums = new BinnedSums(1)
    for (const term of [1e12, 1, -1e12, 2]) sums.add(0, term)
    expect(sums.value(0)).toBe(3)
  })

  it('are exact for integers', () => {
    const sums = new BinnedSums(1)
    for (let i = 1; i <= 100_000; i++) sums.add(0, i)
    expect(sums.value(0)).toBe(5_000_050_000)
  })
})

/** In integers of 2^-1074. */
function exactSum(terms: readonly number[]): number {
  const total = terms.reduce((sum, term) => sum + units(term), 0n)
  return fromUnits(total)
}

function units(x: number): bigint {
  const [word] = new BigUint64Array(Float64Array.of(x).buffer)
  const exponent = Number((word! >> 52n) & 0x7ffn)
  const fraction = word! & 0xfffffffffffffn
  const size = exponent === 0 ? fraction : (fraction | (1n << 52n)) << BigInt(exponent - 1)
  return x < 0 ? -size : size
}

function fromUnits(total: bigint): number {
  const size = total < 0n ? -total : total
  const extra = Math.max(0, size.toString(2).length - 60)
  const value = Number(size >> BigInt(extra)) * 2 ** (extra - 537) * 2 ** -537
  return total < 0n ? -value : value
}

describe('a quantile sketch', () => {
  it('is off by at most 0.4 %', () => {
    const numbers = Array.from({ length: 5001 }, (_, i) => Math.exp(Math.sin(i * 12.9898) * 8))
    const sketch = new QuantileSketch()
    for (const x of numbers) sketch.add(x)
    const sorted = numbers.toSorted((a, b) => a - b)
    for (const share of [0.01, 0.1, 0.5, 0.9, 0.99]) {
      const exact = sorted[Math.ceil(share * 5001) - 1]!
      expect(Math.abs(sketch.quantile(share)! / exact - 1)).toBeLessThan(0.004)
    }
  })

  it('tells the smallest number that this share of the numbers is below or at', () => {
    const few = new QuantileSketch()
    for (const x of [1, 3]) few.add(x)
    for (const [share, exact] of [
      [0.5, 1],
      [0.51, 3],
      [0.9, 3],
    ] as const)
      expect(Math.abs(few.quantile(share)! / exact - 1)).toBeLessThan(0.004)
  })

  it('has a hundredth of the numbers in each per cent', () => {
    const sketch = new QuantileSketch()
    for (let i = 1; i <= 100; i++) sketch.add(i)
    for (let i = 1; i < 100; i++) expect(Math.abs(sketch.quantile(i / 100)! / i - 1)).toBeLessThan(0.004)
  })

  it('is off as little where most numbers are in one bin', () => {
    const alike = new QuantileSketch()
    for (let i = 0; i < 1000; i++) alike.add(1)
    alike.add(100)
    for (const share of [0.001, 0.5, 0.9, 0.999])
      expect(Math.abs(alike.quantile(share)! - 1)).toBeLessThan(0.004)
  })

  it('orders negative numbers, zero and infinity', () => {
    const sketch = new QuantileSketch()
    for (const x of [Number.POSITIVE_INFINITY, -8, 0, 3, -1]) sketch.add(x)
    expect(sketch.quantile(0)).toBeCloseTo(-8, 1)
    expect(sketch.quantile(0.4)).toBeCloseTo(-1, 1)
    expect(sketch.quantile(0.6)).toBe(0)
    expect(sketch.quantile(0.8)).toBeCloseTo(3, 1)
    expect(sketch.quantile(1)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('the worst rows', () => {
  it('are the largest, and of equal ones the first', () => {
    const losses = [3, 9, 9, 1, 9, 4, 9]
    const worst = new WorstRows(3)
    losses.toReversed().forEach((loss, i) => {
      worst.add(loss, placeOf(0, losses.length - 1 - i))
    })
    expect(worst.rows().map(({ row }) => row)).toEqual([1, 2, 4])
  })
})
