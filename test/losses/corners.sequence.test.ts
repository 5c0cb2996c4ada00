/** Corner cases of CTC: padding, impossible alignments, repeated labels. */
import { describe, expect, it } from 'vitest'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { bitsOf } from '../support/close.ts'
import { evaluate, nested, openInterpreter } from '../support/evaluate.ts'

const ctc = (await loadCatalog()).find('ctc')!
const engine = await openInterpreter()

const logits = [
  [0.3, -1, 0.5],
  [1, 0.2, -0.4],
  [-0.7, 0.1, 2],
]
const request = (parts: Record<string, unknown>): Map<string, DecodedTensor> =>
  new Map(Object.entries(parts).map(([name, value]) => [name, nested(value)]))
const answerOf = (parts: Record<string, unknown>, options = {}) =>
  evaluate(engine, ctc, request(parts), { reduction: 'none', ...options })

describe('ctc', () => {
  it('ignores everything beyond a length', async () => {
    const plain = await answerOf({
      predictions: [logits],
      targets: [[1, 2]],
      input_lengths: [3],
      target_lengths: [2],
    })
    const nothing = [Number.NaN, Number.POSITIVE_INFINITY, 0]
    const padded = await answerOf({
      predictions: [[...logits, nothing, nothing]],
      targets: [[1, 2, -1, 999]],
      input_lengths: [3],
      target_lengths: [2],
    })
    expect(bitsOf(padded.loss.data)).toBe(bitsOf(plain.loss.data))
    const { data } = padded.gradients.get('predictions')!
    expect(bitsOf(data.slice(0, 9))).toBe(bitsOf(plain.gradients.get('predictions')!.data))
    expect(Array.from(data.slice(9), Math.abs)).toEqual(Array(6).fill(0))
  })

  // optax answers about 1e5 here, Keras on TensorFlow 708.
  it('is infinite for an impossible alignment, or 0 with zero_infinity, with gradient 0', async () => {
    const impossible = { predictions: [logits], targets: [[1, 1]], input_lengths: [2], target_lengths: [2] }
    const infinite = await answerOf(impossible)
    expect(Array.from(infinite.loss.data)).toEqual([Number.POSITIVE_INFINITY])
    expect(infinite.members.finite).toBe(false)
    const zero = await answerOf(impossible, { params: { zero_infinity: true } })
    expect(Array.from(zero.loss.data)).toEqual([0])
    for (const { gradients } of [infinite, zero])
      expect(gradients.get('predictions')!.data.every((g) => g === 0)).toBe(true)
  })

  it('rejects a length beyond the data', async () => {
    const long = { predictions: [logits], targets: [[1]], input_lengths: [4], target_lengths: [1] }
    await expect(answerOf(long)).rejects.toThrow('/input_lengths/0: must be an integer from 0 to 3, got 4')
    const labels = { ...long, input_lengths: [3], target_lengths: [2] }
    await expect(answerOf(labels)).rejects.toThrow('/target_lengths/0: must be an integer from 0 to 1, got 2')
  })

  it('rejects an invalid label within the length', async () => {
    const wrong = { predictions: [logits], targets: [[1, 7]], input_lengths: [3], target_lengths: [2] }
    await expect(answerOf(wrong)).rejects.toThrow('/targets/0/1: must be an integer from 0 to 2, got 7')
  })
})
