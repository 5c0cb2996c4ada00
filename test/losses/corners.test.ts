/**
 * Corner cases where formulas that are right on paper fail in floating point: small, large, equal, empty. Numbers are
 * by hand.
 */
import { describe, expect, it } from 'vitest'
import type { Params } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { Answer } from '../../src/wire/define.ts'
import { expectClose } from '../support/close.ts'
import { describeCorners } from '../support/corners.ts'
import { evaluate, nested, openInterpreter } from '../support/evaluate.ts'

const catalog = await loadCatalog()
const engine = await openInterpreter()

/** Unreduced. If the loss has classes, inputs called targets or labels with integers are class indices. */
async function answerOf(
  name: string,
  inputs: Readonly<Record<string, unknown>>,
  params: Params = {},
): Promise<Answer> {
  const loss = catalog.find(name)!
  const tensors = Object.entries(inputs).map(([input, value]) => [input, nested(value)] as const)
  return evaluate(engine, loss, new Map(tensors), { reduction: 'none', params })
}

describeCorners([
  [
    'log_cosh keeps the digits of tiny errors: e^2/2 and e',
    'log_cosh',
    { predictions: [1e-3, 1e-9], targets: [0, 0] },
    {},
    { loss: [4.999999166666689e-7, 5e-19], predictions: [9.999996666668e-4, 1e-9] },
  ],
  [
    'log_cosh is |e| - ln 2 far away',
    'log_cosh',
    { predictions: [1e4], targets: [0] },
    {},
    { loss: [1e4 - Math.LN2], predictions: [1] },
  ],
  [
    'a triplet of equal points rests, for any p',
    'triplet_margin',
    { anchor: [[0, 0]], positive: [[0, 0]], negative: [[0, 0]] },
    { p: 3, epsilon: 0 },
    { loss: [1], anchor: [0, 0], positive: [0, 0], negative: [0, 0] },
  ],
  [
    'a coordinate without difference rests, also for p < 1',
    'triplet_margin',
    { anchor: [[0, 0]], positive: [[0, 4]], negative: [[0, 1]] },
    { p: 0.5, epsilon: 0 },
    { loss: [4], anchor: [0, 0], positive: [0, 1], negative: [0, -1] },
  ],
  [
    'an empty region that is predicted empty is no loss, also without smoothing',
    'dice',
    { predictions: [[[0, 0]]], targets: [[[0, 0]]] },
    { activation: 'none', smooth: 0 },
    { loss: [0], predictions: [0, 0] },
  ],
  [
    'a cosine does not overflow before its vectors do',
    'cosine_embedding',
    { input1: [[1e100, 0]], input2: [[1e100, 1e100]], targets: [1] },
    {},
    { loss: [1 - Math.SQRT1_2] },
  ],
  [
    'a zero vector has cosine 0',
    'cosine_similarity',
    { predictions: [[0, 0]], targets: [[3, 4]] },
    {},
    { loss: [1], predictions: [-0.6e8, -0.8e8] },
  ],
  [
    'a zero embedding has cosine 0 to all, and rests',
    'nt_xent',
    {
      embeddings: [
        [1, 0],
        [0, 0],
        [0, 1],
      ],
      labels: [0, 0, 1],
    },
    { temperature: 1 },
    { loss: [Math.LN2, Math.LN2, 0], embeddings: [0, 0.5, 0, 0, 0.5, 0] },
  ],
  [
    'without a negative there is nothing to contrast',
    'nt_xent',
    {
      embeddings: [
        [1, 0],
        [0, 1],
      ],
      labels: [0, 0],
    },
    {},
    { loss: [0, 0], embeddings: [0, 0, 0, 0] },
  ],
  [
    'without a positive there is nothing to pull',
    'nt_xent',
    {
      embeddings: [
        [1, 0],
        [0, 1],
      ],
      labels: [0, 1],
    },
    {},
    { loss: [0, 0], embeddings: [0, 0, 0, 0] },
  ],
  [
    'a rate of 0 is right about a count of 0',
    'poisson_nll',
    { predictions: [0], targets: [0] },
    { log_input: false, epsilon: 0 },
    { loss: [0], predictions: [1] },
  ],
  [
    'a variance below epsilon keeps its gradient',
    'gaussian_nll',
    { predictions: [0], targets: [0], variance: [0] },
    { epsilon: 0.5 },
    { loss: [Math.log(0.5) / 2], variance: [1] },
  ],
  [
    'a probability that is 0 or 1 and right costs nothing, wrong 100 as in PyTorch',
    'binary_cross_entropy',
    { predictions: [0, 1, 0], targets: [0, 1, 1] },
    {},
    { loss: [0, 0, 100], predictions: [1, -1, -1e12] },
  ],
  [
    'focal loss fades to 0 where the model is sure, and is linear where it is surely wrong',
    'sigmoid_focal',
    { predictions: [1e4, -1e4, -1e4, 1e4], targets: [1, 0, 1, 0] },
    { gamma: 0.5, alpha: null },
    { loss: [0, 0, 1e4, 1e4], predictions: [0, 0, -1, 1] },
  ],
  [
    // 1 - p and -ln p of the first class are 2 e^-40 both, and the loss is (1 - p)^gamma times -ln p.
    'softmax_focal sees past the last digit of 1',
    'softmax_focal',
    { predictions: [[40, 0, 0]], targets: [[1, 0, 0]] },
    { gamma: 0.5 },
    { loss: [(2 * Math.exp(-40)) ** 1.5] },
  ],
  [
    'smooth_l1 with beta 0 is l1, at rest on its corner',
    'smooth_l1',
    { predictions: [0, 2], targets: [0, 0] },
    { beta: 0 },
    { loss: [0, 2], predictions: [0, 1] },
  ],
  [
    'a target of 0 counts nothing, also against a logarithm of 0',
    'kl_div',
    { predictions: [Number.NEGATIVE_INFINITY], targets: [0] },
    {},
    { loss: [0], predictions: [0] },
  ],
])

describe('at a corner', () => {
  it('a probability target of 0 silences a masked class', async () => {
    const inputs = { predictions: [[0, Number.NEGATIVE_INFINITY, 0]], targets: [[0.5, 0, 0.5]] }
    const answer = await answerOf('cross_entropy', inputs)
    expectClose(answer.loss.data, [Math.LN2], { relative: 1e-15 })
    expect(Array.from(answer.gradients.get('predictions')!.data)).toEqual([0, 0, 0])
  })
})
