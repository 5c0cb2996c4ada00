/** RankNet: logistic loss over the pairs of each list. */
import { defineLoss, input, noParams } from '../define.ts'
import { COUNT_LISTS_WITH_PAIRS, MASK_SNIPPET, PAIRWISE_LOG_LOSS } from '../formula-snippets.ts'

export default defineLoss({
  name: 'pairwise_logistic_ranking',
  family: 'ranking',
  couples: 'group',
  about:
    'RankNet: for every pair of a list that the targets order, the logistic loss of the score difference, summed over the pairs of the list. A smooth default if the whole order counts. If the top of the list counts most, use lambda_rank. Avoid it if lists differ much in length: long lists have more pairs and so more weight.',
  aliases: ['ranknet'],
  inputs: {
    predictions: input('lists,items', 'real', { differentiable: true, about: 'Scores, one list per row.' }),
    targets: input('lists,items', 'real', {
      about: 'Relevance. Higher values should rank first; equal ones form no pair.',
    }),
    mask: input('lists,items', 'binary', { optional: true, about: '1 for items, 0 for padding.' }),
  },
  params: noParams,
  formula: `${MASK_SNIPPET}
    pair = both and targets > targets[items -> others]
    counted = pair ? 1 : 0
    scores = predictions
    lead = scores - scores[items -> others]${PAIRWISE_LOG_LOSS}
    sum(straight_through(bits, bits_slope), items)`,
  // rax and TF-Ranking average over pairs, so that a list without pairs does not count. Here it does not count as a
  // list.
  denominator: COUNT_LISTS_WITH_PAIRS,
  references: [
    'Burges et al. 2005, Learning to rank using gradient descent, doi:10.1145/1102351.1102363',
    'rax.pairwise_logistic_loss (its mean is over pairs; this is its sum over each list)',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0, 0]], targets: [[2, 1, 1]] },
      loss: [1.3862943611198906],
      gradients: { predictions: [[-1, 0.5, 0.5]] },
      from: 'by hand: two pairs, ln 2 each',
    },
  ],
})
