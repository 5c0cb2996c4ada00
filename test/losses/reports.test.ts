/**
 * Bugs that were reported for losses of other libraries, one of each kind: float32 on compiled kernels, against the
 * exact value.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import type { Params } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { expectClose } from '../support/close.ts'
import { evaluate, nested } from '../support/evaluate.ts'

const catalog = await loadCatalog()
let engine: Engine
beforeAll(async () => {
  engine = (await compiled.open('test')) as Engine
})
afterAll(() => engine.close())

interface Report {
  readonly what: string
  readonly loss: string
  readonly inputs: Readonly<Record<string, unknown>>
  readonly params?: Params
  /** The unreduced loss, and the gradients of its sum with respect to each input. */
  readonly want: Readonly<Record<string, number | readonly number[]>>
  /** Default: sixteen roundings. */
  readonly relative?: number
}

const REPORTS: readonly Report[] = [
  {
    what: 'the gradient of a residual far below delta is the residual',
    loss: 'huber',
    inputs: { predictions: [3e-8], targets: [0] },
    want: { predictions: 3e-8, targets: -3e-8 },
  },
  {
    what: 'also beside a large delta',
    loss: 'huber',
    inputs: { predictions: [1e-4], targets: [0] },
    params: { delta: 100 },
    want: { loss: 5e-9, predictions: 1e-4 },
  },
  {
    what: 'a small probability has the loss of ln(1 + p)',
    loss: 'binary_cross_entropy',
    inputs: { predictions: [1e-6], targets: [0] },
    want: { loss: 1.0000005e-6, predictions: 1.000001 },
  },
  {
    what: 'epsilon clips where it is exact',
    loss: 'binary_cross_entropy',
    inputs: { predictions: [0, 1], targets: [1, 0] },
    params: { epsilon: 1e-7 },
    want: { loss: [16.11809565095832, 16.11809565095832] },
  },
  {
    what: 'gains of labels of 128 do not overflow',
    loss: 'approx_ndcg',
    inputs: { predictions: [[0.1, 0.5, 0.9]], targets: [[1, 2, 128]] },
    want: { loss: -0.98701479 },
    relative: 1e-7,
  },
  {
    what: 'gains of labels of 128 do not overflow, either',
    loss: 'lambda_rank',
    inputs: { predictions: [[0.1, 0.5, 0.9]], targets: [[1, 2, 128]] },
    want: { loss: 0.5408505099219312 },
  },
  {
    what: 'an infinite logit on the right side costs nothing',
    loss: 'binary_cross_entropy_with_logits',
    inputs: { predictions: ['Infinity', 1], targets: [1, 0] },
    want: { loss: [0, 1.3132616875182228], predictions: [0, 0.7310585786300049] },
  },
  {
    what: 'a sure row keeps its loss and its gradient',
    loss: 'cross_entropy',
    inputs: { predictions: [[17, 0]], targets: [0] },
    want: { loss: 4.139937633089748e-8, predictions: [-4.1399375473943306e-8, 4.1399375473943306e-8] },
  },
  {
    what: 'with one-hot targets, too',
    loss: 'cross_entropy',
    inputs: { predictions: [[17, 0]], targets: [[1, 0]] },
    want: { loss: 4.139937633089748e-8, predictions: [-4.1399375473943306e-8, 4.1399375473943306e-8] },
  },
  {
    what: 'near rivals are no ties',
    loss: 'crammer_singer',
    inputs: { predictions: [[2e-8, 0, 0, 0]], targets: [3] },
    want: { loss: 1, predictions: [1, 0, 0, -1] },
  },
  {
    what: 'near errors are no ties',
    loss: 'lovasz',
    inputs: { predictions: [[[2e-8, 0]]], targets: [[[0, 0]]] },
    params: { mode: 'hinge' },
    want: { loss: 1, predictions: [1, 0] },
  },
  ...['dice', 'tversky'].map((loss) => ({
    what: 'a sure region keeps its loss',
    loss,
    inputs: { predictions: [[[20, -20]]], targets: [[[1, 0]]] },
    params: { smooth: 0 },
    want: { loss: 2.0611536181902033e-9 },
  })),
  {
    what: 'a sure region keeps its loss',
    loss: 'jaccard',
    inputs: { predictions: [[[20, -20]]], targets: [[[1, 0]]] },
    params: { smooth: 0 },
    want: { loss: 4.122307227883699e-9 },
  },
  ...['dice', 'jaccard', 'tversky', 'focal_tversky', 'generalized_dice'].map((loss) => ({
    what: 'an empty region with denormal probabilities rests',
    loss,
    inputs: { predictions: [[[-95, -100]]], targets: [[[0, 0]]] },
    params: { smooth: 0 },
    want: { predictions: [0, 0] },
  })),
  {
    what: 'a small amount keeps a large power finite',
    loss: 'gamma_nll',
    inputs: { predictions: [-98.25], targets: [3.75e-5] },
    want: { loss: 1.7517177689151105e38, predictions: -1.7517177689151105e38 },
  },
  {
    what: 'a small amount keeps a large power finite',
    loss: 'tweedie',
    inputs: { predictions: [-98.25], targets: [3.75e-5] },
    params: { power: 2 },
    want: { loss: 1.7517177689151105e38, predictions: -1.7517177689151105e38 },
  },
  {
    what: 'what overflows on both sides is an infinity',
    loss: 'tweedie',
    inputs: { predictions: [-60], targets: [30] },
    params: { power: 3.75 },
    want: { loss: Number.POSITIVE_INFINITY, predictions: Number.NEGATIVE_INFINITY },
  },
  {
    what: 'large counts keep the digits of what is left of them',
    loss: 'poisson_nll',
    inputs: { predictions: [1e5], targets: [100003] },
    params: { full: true, log_input: false },
    want: { loss: 6.675461255 },
  },
  {
    what: 'a target of 0 or 1 has the logit as slope, however small',
    loss: 'binary_cross_entropy_with_logits',
    inputs: { predictions: [1e-9, -3e-7], targets: [0, 1] },
    want: { targets: [-1e-9, 3e-7] },
  },
  {
    what: 'pairs that cancel leave what does not',
    loss: 'pairwise_logistic_ranking',
    inputs: { predictions: [[1e-6, 2e-6, 4e-6]], targets: [[1, 2, 3]] },
    want: { predictions: [0.999999, -0.25e-6, -0.99999875] },
    relative: 2e-6,
  },
]

describe('a bug that others have', () => {
  it.each(REPORTS.map((report) => [`${report.loss}: ${report.what}`, report] as const))(
    '%s',
    async (_, { loss, inputs, params = {}, want, relative = 16 * 2 ** -24 }) => {
      const tensors = Object.entries(inputs).map(([name, value]) => [name, nested(value, 'float32')] as const)
      const answer = await evaluate(engine, catalog.find(loss)!, new Map(tensors), {
        reduction: 'none',
        params,
      })
      const results = new Map([['loss', answer.loss], ...answer.gradients])
      for (const [result, numbers] of Object.entries(want)) {
        const got = Array.from(results.get(result)!.data as Float32Array)
        expectClose(got, [numbers].flat() as number[], { relative, absolute: 0, what: result })
      }
    },
  )

  it('cosine_similarity: a row of 300 numbers has distance 0 from itself', async () => {
    for (let seed = 1; seed <= 50; seed++) {
      const row = Array.from({ length: 300 }, (_, i) => Math.sin(seed * (i + 1)) * 3)
      const tensors = new Map(['predictions', 'targets'].map((name) => [name, nested([row], 'float32')]))
      const answer = await evaluate(engine, catalog.find('cosine_similarity')!, tensors, {})
      expect(Array.from(answer.loss.data as Float32Array)).toEqual([0])
    }
  })
})
