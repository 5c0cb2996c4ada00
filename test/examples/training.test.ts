/** End to end: models trained through the running server equal those trained with a local gradient. */
import { describe, expect, it } from 'vitest'
import { type GradientSource, httpJson, httpSafetensors } from '../../examples/client.ts'
import { accuracyOf, trainIris } from '../../examples/iris.ts'
import { fitLine, loadPetals } from '../../examples/robust.ts'
import { sharedServer } from '../support/server.ts'

const server = sharedServer()

/** Softmax cross-entropy in float64, implemented independently of lossd. */
const localCrossEntropy: GradientSource = async (logits, targets) => {
  const labels = targets as readonly number[]
  const rows = logits.map((row, i) => {
    const largest = Math.max(...row)
    const weights = row.map((x) => Math.exp(x - largest))
    const total = weights.reduce((a, b) => a + b)
    const probabilities = weights.map((w) => w / total)
    return {
      loss: -Math.log(probabilities[labels[i]!]!),
      gradient: probabilities.map((p, c) => (p - (c === labels[i] ? 1 : 0)) / logits.length),
    }
  })
  return {
    loss: rows.reduce((sum, row) => sum + row.loss, 0) / logits.length,
    gradient: rows.map((row) => row.gradient),
  }
}

const localHuber =
  (delta: number): GradientSource =>
  async (predictions, targets) => {
    const errors = predictions.map(([p], i) => p! - (targets as readonly (readonly number[])[])[i]![0]!)
    const clipped = errors.map((e) => Math.min(Math.max(e, -delta), delta))
    const loss = errors.reduce((sum, e, i) => sum + clipped[i]! * (e - clipped[i]! / 2), 0) / errors.length
    return { loss, gradient: clipped.map((g) => [g / errors.length]) }
  }

describe('a softmax classifier on iris', () => {
  it.each([
    ['JSON', httpJson],
    ['safetensors', httpSafetensors],
  ])('through %s gets the same weights as with a local gradient', async (_format, client) => {
    const [remote, local] = [
      await trainIris(client('cross_entropy', server.url), 200),
      await trainIris(localCrossEntropy, 200),
    ]
    remote.weights.flat().forEach((weight, i) => {
      expect(Math.abs(weight - local.weights.flat()[i]!)).toBeLessThan(1e-5)
    })
    expect(remote.losses.at(-1)!).toBeLessThan(0.1)
    expect(accuracyOf(remote.weights)).toBeGreaterThanOrEqual(0.96)
  })
})

describe('a line through data with typos', () => {
  it('fitted with huber equals the local fit and the line of the clean data', async () => {
    const points = loadPetals(true)
    const remote = await fitLine(httpSafetensors('huber', server.url, { delta: 0.2 }), points, 300)
    const local = await fitLine(localHuber(0.2), points, 300)
    expect(Math.abs(remote.slope - local.slope)).toBeLessThan(1e-5)
    expect(Math.abs(remote.intercept - local.intercept)).toBeLessThan(1e-5)
    const clean = await fitLine(httpSafetensors('mse', server.url), loadPetals(false), 300)
    // Least squares on the clean petals, the textbook line.
    expect(clean.slope).toBeCloseTo(0.4158, 3)
    expect(clean.intercept).toBeCloseTo(-0.3631, 3)
    expect(Math.abs(remote.slope - clean.slope)).toBeLessThan(0.03)
  })

  it('fitted with mse is pulled away by the outliers', async () => {
    const dragged = await fitLine(httpSafetensors('mse', server.url), loadPetals(true), 300)
    expect(Math.abs(dragged.slope - 0.4158)).toBeGreaterThan(0.2)
  })
})
