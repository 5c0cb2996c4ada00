/**
 * Intervals of 95 % contain the true mean in 94 to 96 of 100 simulated sets. A thorough run simulates as many for the
 * bootstrap as for standard errors, which takes a minute.
 */
import { describe, expect, it } from 'vitest'
import { studentQuantile } from '../../src/evaluation/intervals.ts'
import { hashOfText, hashRows, randomWords } from '../../src/evaluation/random.ts'
import type { Evaluation } from '../../src/evaluation/result.ts'
import { State, type StateOptions } from '../../src/evaluation/state.ts'
import { type Question, type SeriesMeaning, summarize } from '../../src/evaluation/summarize.ts'
import { depth } from '../support/depth.ts'

const SETS = depth(300, 2000)
/** Each resamples 200 times. */
const RESAMPLED_SETS = depth(60, 2000)
/** With few sets, the share itself is uncertain. Two standard deviations are 1 % with 2,000 sets, and 6 % with 60. */
const slackOf = (sets: number) => 2 * Math.sqrt((0.95 * 0.05) / sets)
const ROWS = 400
/** A second or two each, on a machine that does nothing else. */
const TIMEOUT_MS = 240_000

/** Normal and exponential numbers. */
function numbersOf(seed: number) {
  const next = randomWords(seed)
  const uniform = () => (next() + 0.5) / 2 ** 32
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
  return { uniform, normal, exponential: () => -Math.log(uniform()) }
}

interface Simulated {
  readonly losses: readonly Float64Array[]
  readonly weights?: Float64Array
  readonly keys?: Int32Array
  readonly clusters?: Int32Array
}

function evaluationOf(
  { losses, weights, keys, clusters }: Simulated,
  replicates: number,
  seed: number,
  keepsRows = false,
): Evaluation {
  const options: StateOptions = {
    hasBuckets: replicates > 0,
    keepsRows,
    series: losses.map(() => ({ hasShares: weights !== undefined, hasSketch: false, worst: 0 })),
  }
  const state = new State(options)
  const rows = losses[0]!.length
  const hashes = new Uint32Array(rows)
  hashRows(0, rows, seed, hashes, 0)
  clusters?.forEach((cluster, i) => {
    hashes[i] = hashOfText(String(cluster), seed)
  })
  state.add({
    slices: Int32Array.from({ length: rows }, (_, i) => state.sliceOf(keys === undefined ? [] : [keys[i]!])),
    hashes,
    series: losses.map((own) => ({
      losses: own,
      values: weights === undefined ? own : own.map((loss, i) => loss * weights[i]!),
      shares: weights,
    })),
    rowOf: (i) => i,
  })
  const series = losses.map((): SeriesMeaning => ({ kind: 'loss', loss: 'l', params: {} }))
  const question: Question = {
    series,
    files: [],
    by: keys === undefined ? [] : ['key'],
    replicates,
    seed,
    quantiles: [],
    computedBy: 'simulation',
  }
  return summarize(state, question)
}

/** The share of simulated sets whose interval contains the true value. */
function coverage(
  simulate: (seed: number) => Simulated,
  truth: number,
  replicates: number,
  read = ({ losses }: Evaluation) => losses[0]!.overall,
  keepsRows = false,
): number {
  let covered = 0
  const sets = replicates === 0 ? SETS : RESAMPLED_SETS
  for (let set = 0; set < sets; set++) {
    const [low, high] = read(evaluationOf(simulate(set * 31 + 5), replicates, set, keepsRows)).interval!
    if (low <= truth && truth <= high) covered++
  }
  return covered / sets
}

function means(seed: number): Simulated {
  const { normal } = numbersOf(seed)
  return { losses: [Float64Array.from({ length: ROWS }, () => normal() ** 2)] }
}

function weightedMeans(seed: number): Simulated {
  const { normal, uniform } = numbersOf(seed)
  const weights = Float64Array.from({ length: ROWS }, uniform)
  // A row's loss grows with its weight: E[w (w + e^2)] / E[w] = (1/3 + 1/2) / (1/2).
  return { weights, losses: [weights.map((weight) => weight + normal() ** 2)] }
}

function differences(seed: number): Simulated {
  const { normal } = numbersOf(seed)
  const hard = Float64Array.from({ length: ROWS }, () => normal() ** 2)
  return { losses: [hard.map((one) => one + 0.1 + 0.2 * normal() - one)] }
}

function slices(seed: number): Simulated {
  const { normal, uniform } = numbersOf(seed)
  const keys = Int32Array.from({ length: 6 * ROWS }, () => Math.floor(uniform() * 2))
  return { keys, losses: [Float64Array.from(keys, (key) => key + normal() ** 2)] }
}

/** Rows of a cluster have a part in common. */
function clustered(seed: number): Simulated {
  const { normal } = numbersOf(seed)
  const clusters = Int32Array.from({ length: ROWS * 3 }, (_, i) => Math.floor(i / 3))
  const common = Float64Array.from({ length: ROWS }, normal)
  return { clusters, losses: [Float64Array.from(clusters, (cluster) => common[cluster]! + 0.5 * normal())] }
}

const inSlice = ({ losses }: Evaluation) => losses[0]!.slices[1]!
const CASES = {
  means: [means, 1, undefined],
  'weighted means': [weightedMeans, 5 / 3, undefined],
  differences: [differences, 0.1, undefined],
  slices: [slices, 2, inSlice],
} as const

describe('intervals of 95 %', { timeout: TIMEOUT_MS }, () => {
  for (const [name, [simulate, truth, read]] of Object.entries(CASES)) {
    it(`of ${name} from standard errors cover 94 to 96 %`, () => {
      const share = coverage(simulate, truth, 0, read)
      expect(Math.abs(share - 0.95)).toBeLessThanOrEqual(slackOf(SETS))
    })

    it(`of ${name} from the bootstrap of buckets cover 94 to 96 %`, () => {
      const share = coverage(simulate, truth, 200, read)
      expect(Math.abs(share - 0.95)).toBeLessThanOrEqual(slackOf(RESAMPLED_SETS))
    })

    it(`of ${name} from the bootstrap of rows cover 94 to 96 %`, () => {
      const share = coverage(simulate, truth, 200, read, true)
      expect(Math.abs(share - 0.95)).toBeLessThanOrEqual(slackOf(RESAMPLED_SETS))
    })
  }

  it('of clustered rows cover 94 to 96 % if clusters are resampled, and far too few if rows are', () => {
    const share = coverage(clustered, 0, 200)
    expect(Math.abs(share - 0.95)).toBeLessThanOrEqual(slackOf(RESAMPLED_SETS))
    const ofRows = coverage((seed) => ({ losses: clustered(seed).losses }), 0, 0)
    expect(ofRows).toBeLessThan(0.8)
  })
})

describe("the quantile of Student's t", () => {
  it.each([
    [1, 12.7062],
    [4, 2.77645],
    [5, 2.57058],
    [10, 2.22814],
    [30, 2.04227],
    [1000, 1.96234],
  ])('with %i degrees of freedom is %d', (degrees, quantile) => {
    expect(studentQuantile(degrees)).toBeCloseTo(quantile, 2)
  })
})
