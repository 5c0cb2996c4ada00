/** Corner cases of the ranking losses, with numbers computed by hand. */
import { describe, expect, it } from 'vitest'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { expectClose } from '../support/close.ts'
import { describeCorners } from '../support/corners.ts'
import { evaluate, nested, openInterpreter } from '../support/evaluate.ts'

describeCorners([
  [
    // PyTorch takes the active side: -1 and 1.
    'a pair exactly at the margin rests',
    'margin_ranking',
    { input1: [1], input2: [0], targets: [1] },
    { margin: 1 },
    { loss: [0], input1: [0], input2: [0] },
  ],
  [
    'a pair exactly one apart rests',
    'pairwise_hinge_ranking',
    { predictions: [[1, 0]], targets: [[1, 0]] },
    {},
    { loss: [0], predictions: [0, 0] },
  ],
  [
    'a constant added to a list changes nothing, however large',
    'pairwise_mse_ranking',
    { predictions: [[1e9 + 1, 1e9]], targets: [[0, 1]] },
    {},
    { loss: [8], predictions: [8, -8] },
  ],
  [
    // rax and optax: 0 * -inf = NaN.
    'an item without relevance is silent, also with a score of -inf',
    'softmax_ranking',
    { predictions: [[0, Number.NEGATIVE_INFINITY, 0]], targets: [[1, 0, 0]] },
    {},
    { loss: [Math.LN2], predictions: [-0.5, 0, 0.5] },
  ],
  [
    // As -ln(1 / (1 + e^-40)) it would be 0.
    'an item far ahead keeps its digits',
    'unique_softmax',
    { predictions: [[40, 0]], targets: [[1, 0]] },
    {},
    { loss: [Math.log1p(Math.exp(-40))], predictions: [-Math.exp(-40), Math.exp(-40)] },
  ],
  [
    'an order that is all but certain keeps its digits, one that is all but excluded does not overflow',
    'list_mle',
    {
      predictions: [
        [50, 0],
        [0, 1e4],
      ],
      targets: [
        [1, 0],
        [1, 0],
      ],
    },
    {},
    { loss: [Math.exp(-50), 1e4], predictions: [-Math.exp(-50), Math.exp(-50), -1, 1] },
  ],
  [
    // allRank draws the order of ties; rax without a key takes this one.
    'of equal targets the earlier item counts as the better one',
    'list_mle',
    { predictions: [[0, Math.log(3)]], targets: [[1, 1]] },
    {},
    { loss: [Math.log(4)], predictions: [-0.75, 0.75] },
  ],
  [
    'a list without a relevant item has no NDCG and rests',
    'approx_ndcg',
    { predictions: [[1, 2]], targets: [[0, 0]] },
    {},
    { loss: [0], predictions: [0, 0] },
  ],
  [
    'a list without a relevant item weighs nothing, also where all pairs count',
    'lambda_rank',
    { predictions: [[1, 2]], targets: [[0, 0]] },
    { scheme: 'ndcg1' },
    { loss: [0], predictions: [0, 0] },
  ],
  [
    // allRank clips the probability at 1e-10: value 0.369 * 33.2 and gradient 0.
    'a pair that is far out of order still pulls',
    'lambda_rank',
    { predictions: [[0, 1e4]], targets: [[1, 0]] },
    {},
    {
      loss: [((1 - 1 / Math.log2(3)) * 1e4) / Math.LN2],
      predictions: [-(1 - 1 / Math.log2(3)) / Math.LN2, (1 - 1 / Math.log2(3)) / Math.LN2],
    },
  ],
  [
    'equal scores rank by position: at k = 1 only the first item is seen, and it makes no pair',
    'lambda_rank',
    { predictions: [[0, 0]], targets: [[1, 0]] },
    { k: 1 },
    { loss: [0], predictions: [0, 0] },
  ],
])

describe('padding', async () => {
  const { losses } = await loadCatalog()
  const engine = await openInterpreter()
  const padded = losses.filter(({ family, inputs }) => family === 'ranking' && inputs.mask !== undefined)

  it.each(padded.map((loss) => [loss.name, loss] as const))(
    'has no effect in %s, whatever it contains',
    async (_, loss) => {
      const bare = { predictions: [[0.5, -1, 2]], targets: [[2, 0, 1]] }
      const full = { predictions: [[0.5, -1, 2, Number.NaN]], targets: [[2, 0, 1, 3]], mask: [[1, 1, 1, 0]] }
      const [want, got] = await Promise.all(
        [bare, full].map((inputs) => {
          const tensors = new Map(Object.entries(inputs).map(([name, value]) => [name, nested(value)]))
          return evaluate(engine, loss, tensors, { reduction: 'sum' })
        }),
      )
      expectClose(got!.loss.data, Array.from(want!.loss.data), { relative: 1e-14 })
      const slope = want!.gradients.get('predictions')!.data
      expectClose(got!.gradients.get('predictions')!.data, [...slope, 0], { relative: 1e-14 })
    },
  )

  it.each(padded.map((loss) => [loss.name, loss] as const))(
    'without items does not count in the mean of %s',
    async (_, loss) => {
      const row = { predictions: [0.5, -1, 2], targets: [2, 0, 1], mask: [1, 1, 1] }
      const empty = { ...row, mask: [0, 0, 0] }
      const tensors = (lists: readonly (typeof row)[]) =>
        new Map(
          (['predictions', 'targets', 'mask'] as const).map((name) => [
            name,
            nested(lists.map((list) => list[name])),
          ]),
        )
      const alone = await evaluate(engine, loss, tensors([row]), { reduction: 'mean' })
      const both = await evaluate(engine, loss, tensors([row, empty]), { reduction: 'mean' })
      expect(both.members.denominator).toBe(1)
      expectClose(both.loss.data, Array.from(alone.loss.data), { relative: 1e-14 })
    },
  )
})
