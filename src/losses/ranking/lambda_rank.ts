/** The pairs of RankNet, weighted by how much swapping them would change NDCG. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, nullable, oneOf } from '../define.ts'
import { COUNT_LISTS_WITH_PAIRS, DCG_GAINS, MASK_SNIPPET, PAIRWISE_LOG_LOSS } from '../formula-snippets.ts'

export default defineLoss({
  name: 'lambda_rank',
  family: 'ranking',
  couples: 'group',
  about:
    'LambdaLoss: the logistic loss, in bits, of every pair that the targets order, weighted by its share in NDCG and summed over the pairs of the list. The default for ranking where the top counts most. The weights follow the ranks of the scores and are constant to the gradient, so the value jumps where two scores cross: watch NDCG, not the loss. Set k for very long lists, because it compares all pairs.',
  aliases: ['lambda_loss'],
  inputs: {
    predictions: input('lists,items', 'real', { differentiable: true, about: 'Scores, one list per row.' }),
    targets: input('lists,items', 'nonnegative', { about: 'Graded relevance; the gain is 2^relevance - 1.' }),
    mask: input('lists,items', 'binary', { optional: true, about: '1 for items, 0 for padding.' }),
  },
  params: Type.Object({
    scheme: oneOf(['lambdarank', 'ndcg1', 'ndcg2', 'ndcg2pp', 'ranknet'], {
      default: 'lambdarank',
      description:
        'The weight of a pair. lambdarank: the change of NDCG when the pair is swapped; ndcg1, ndcg2: tighter bounds on NDCG (ndcg1 over all pairs); ndcg2pp: 10 ndcg2 + lambdarank; ranknet: no weights.',
    }),
    sigma: Type.Number({
      exclusiveMinimum: 0,
      default: 1,
      description: 'Multiplies the differences of scores: how fast a correctly ordered pair stops counting.',
    }),
    k: nullable(Type.Integer({ minimum: 1 }), {
      default: null,
      description: 'NDCG at k: only pairs with both items among the first k by score count. null: all pairs.',
    }),
  }),
  // Like allRank: with G the gain divided by the best DCG and D = log(1 + rank), whose base cancels, a pair has the
  // weight
  //   lambdarank |G_i - G_j| |1/D_i - 1/D_j|      ndcg2 |G_i - G_j| |1/D(gap) - 1/D(gap + 1)|      ndcg1 G_i / D_i
  // where ndcg1 takes every i and j, including i = j, for which it adds the constant G_i / D_i. Equal scores are
  // ranked by position.
  formula: `${MASK_SNIPPET}${DCG_GAINS}
    here = index(items)
    there = index(items)[items -> others]
    s = predictions
    s_j = predictions[items -> others]
    y_j = targets[items -> others]
    rank = 1 + sum(both and (s_j > s or (s_j == s and there < here)) ? 1 : 0, others)
    ideal = 1 + sum(both and (y_j > targets or (y_j == targets and there < here)) ? 1 : 0, others)
    pair = scheme == ndcg1 ? both : both and targets > y_j
    counts = given(k) ? pair and rank <= k and rank[items -> others] <= k : pair
    best = sum(given(k) ? (ideal <= k ? gain / log1p(ideal) : 0) : gain / log1p(ideal), items)
    share = best == 0 ? 0 : gain / best
    discount = 1 / log1p(rank)
    steeper = abs(share - share[items -> others])
    gap = abs(rank - rank[items -> others])
    swap = steeper * abs(discount - discount[items -> others])
    shift = gap == 0 ? 0 : steeper * abs(1 / log1p(gap) - 1 / log1p(gap + 1))
    weight = scheme == ranknet ? 1
      : scheme == ndcg1 ? share * discount
      : scheme == ndcg2 ? shift
      : scheme == ndcg2pp ? 10 * shift + swap
      : swap
    counted = counts ? weight / log(2) : 0
    scores = sigma * s
    lead = sigma * (s - s_j)${PAIRWISE_LOG_LOSS}
    sum(straight_through(bits, bits_slope), items)`,
  denominator: COUNT_LISTS_WITH_PAIRS,
  references: [
    'Wang et al. 2018, The LambdaLoss Framework for Ranking Metric Optimization, doi:10.1145/3269206.3271784',
    'Burges et al. 2006, Learning to Rank with Nonsmooth Cost Functions (LambdaRank)',
    'allRank lambdaLoss(reduction="sum", reduction_log="binary"), which clips each probability at 1e-10',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0, 0]], targets: [[2, 1, 1]] },
      params: { scheme: 'ranknet' },
      loss: [2],
      gradients: { predictions: [[-1.4426950408889634, 0.7213475204444817, 0.7213475204444817]] },
      from: 'by hand: two pairs of one bit each',
    },
    {
      inputs: { predictions: [[0, 0]], targets: [[1, 0]] },
      loss: [0.3690702464285426],
      from: 'by hand: share 1, and 1/log2(2) - 1/log2(3), of one bit',
    },
  ],
})
