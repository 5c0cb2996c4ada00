/** NDCG with soft ranks. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'
import { COUNT_NONEMPTY_LISTS, DCG_GAINS, MASK_SNIPPET } from '../formula-snippets.ts'

export default defineLoss({
  name: 'approx_ndcg',
  family: 'ranking',
  couples: 'group',
  about:
    'The negative NDCG of each list, with sigmoids of score differences instead of the comparisons that determine a rank: from -1 (perfect) to 0. Use it to fine-tune for the metric itself. Do not start training with it: far from ties the sigmoids are flat, so start with softmax_ranking or raise the temperature. A list without a relevant item has value and gradient 0.',
  inputs: {
    predictions: input('lists,items', 'real', { differentiable: true, about: 'Scores, one list per row.' }),
    targets: input('lists,items', 'nonnegative', { about: 'Graded relevance; the gain is 2^relevance - 1.' }),
    mask: input('lists,items', 'binary', { optional: true, about: '1 for items, 0 for padding.' }),
  },
  params: Type.Object({
    temperature: Type.Number({
      exclusiveMinimum: 0,
      default: 0.1,
      description:
        'Divides the scores, in the same units: the smaller it is, the closer to true ranks and the flatter the loss.',
    }),
  }),
  // rank_i = 1 + sum over the others of sigmoid((s_j - s_i) / temperature). The base of the logarithms cancels.
  formula: `${MASK_SNIPPET}${DCG_GAINS}
    other = both and index(items) != index(items)[items -> others]
    ahead = sigmoid((predictions[items -> others] - predictions) / temperature)
    rank = 1 + sum(other ? ahead : 0, others)
    tied = targets[items -> others] == targets and index(items)[items -> others] < index(items)
    ideal = 1 + sum(both and (targets[items -> others] > targets or tied) ? 1 : 0, others)
    best = sum(gain / log1p(ideal), items)
    share = best == 0 ? 0 : gain / best
    -sum(valid ? share / log1p(rank) : 0, items)`,
  denominator: COUNT_NONEMPTY_LISTS,
  references: [
    'Qin et al. 2010, A general approximation framework for direct optimization of information retrieval measures, doi:10.1007/s10791-009-9124-x',
    'Bruch et al. 2019, Revisiting Approximate Metric Optimization in the Age of Deep Neural Networks, doi:10.1145/3331184.3331347',
    'tensorflow_ranking.keras.losses.ApproxNDCGLoss',
    'rax.approx_t12n(rax.ndcg_metric, temperature=0.1)',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0]], targets: [[1, 0]] },
      params: { temperature: 1 },
      loss: [-0.7564707973660301],
      gradients: { predictions: [[-0.08255794488052563, 0.08255794488052563]] },
      from: 'by hand: rank 1.5, -ln 2 / ln 2.5, and its slope -ln 2 / (2.5 ln^2 2.5) times 1/4',
    },
  ],
})
