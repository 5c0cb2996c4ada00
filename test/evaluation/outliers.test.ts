/**
 * All sums have the same lowest digit, which depends on the largest loss of all slices. Whatever is in other slices, what
 * is said of a slice is what would be said of it alone, or nothing.
 */
import { expect, it } from 'vitest'
import type { Estimate } from '../../src/evaluation/result.ts'
import { State } from '../../src/evaluation/state.ts'
import { type SeriesMeaning, summarize } from '../../src/evaluation/summarize.ts'
import { randomFrom } from '../support/sample.ts'

const ROWS = 50

/** The estimate of a slice beside two rows of another, one of which has a loss of this size. */
function besideOutlier(losses: Float64Array, outlier: number, replicates: number): Estimate {
  const state = new State({
    hasBuckets: replicates > 0,
    series: [{ hasShares: false, hasSketch: false, worst: 0 }],
  })
  const all = Float64Array.of(...losses, ...(outlier === 0 ? [] : [outlier, 1]))
  const slices = Int32Array.from(all, (_, i) => state.sliceOf([i < losses.length ? 'small' : 'wild']))
  const hashes = Uint32Array.from(all, (_, i) => i * 2654435761)
  state.add({ slices, hashes, series: [{ losses: all, values: all, shares: undefined }], rowOf: (i) => i })
  const series: SeriesMeaning[] = [{ kind: 'loss', loss: 'l', params: {} }]
  const question = { series, files: [], by: ['k'], replicates, seed: 1, quantiles: [], computedBy: 'test' }
  return summarize(state, question).losses[0]!.slices.find(({ key }) => key.k === 'small')!
}

const drawn = (scale: number) => {
  const random = randomFrom(7)
  return Float64Array.from({ length: ROWS }, () => scale * (random() - 0.5) ** 2)
}

it.each([0, 300])(
  'an outlier elsewhere changes nothing, or leaves it unsaid, with %d replicates',
  (replicates) => {
    // Other rows are other draws.
    const digits = replicates === 0 ? 2 : 0
    let [said, unsaid] = [0, 0]
    for (const scale of [1e-9, 1, 1e9]) {
      const alone = besideOutlier(drawn(scale), 0, replicates)
      for (let exponent = -20; exponent < 280; exponent += 4) {
        const found = besideOutlier(drawn(scale), 10 ** exponent, replicates)
        if (found.mean !== null) expect(found.mean / alone.mean!).toBeCloseTo(1, 8)
        if (found.standard_error === null) {
          unsaid++
          continue
        }
        said++
        expect(found.standard_error / alone.standard_error!, `${scale} 1e${exponent}`).toBeCloseTo(1, digits)
        const width = found.interval![1] - found.interval![0]
        expect(width / (alone.interval![1] - alone.interval![0])).toBeCloseTo(1, digits)
      }
    }
    expect(said).toBeGreaterThan(10)
    expect(unsaid).toBeGreaterThan(20)
  },
)

it.each([0, 300])('losses that are all equal have no spread, with %d replicates', (replicates) => {
  for (const loss of [0, 0.1, 1e30]) {
    const found = besideOutlier(new Float64Array(ROWS).fill(loss), 0, replicates)
    expect(found.mean).toBeCloseTo(loss, 12)
    expect(found.standard_error! / (loss || 1)).toBeLessThan(1e-7)
  }
  expect(besideOutlier(new Float64Array(ROWS), 1e200, replicates).mean).toBe(0)
})
