/** Hinge over the pairs of each list. */
import { defineLoss, input, noParams } from '../define.ts'
import { COUNT_LISTS_WITH_PAIRS, MASK_SNIPPET } from '../formula-snippets.ts'

export default defineLoss({
  name: 'pairwise_hinge_ranking',
  family: 'ranking',
  couples: 'group',
  about:
    'For every pair of a list that the targets order, the better item must lead by 1 (RankSVM). The loss is summed over the pairs of the list. Use it if only the order counts and scores are on a fixed scale. If the top of the list counts most, use lambda_rank. Avoid it if lists differ much in length: long lists have more pairs and so more weight.',
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
    lead = predictions - predictions[items -> others]
    sum(sum(pair ? relu(1 - lead) : 0, others), items)`,
  // rax and TF-Ranking average over pairs, so that a list without pairs does not count. Here it does not count as a
  // list.
  denominator: COUNT_LISTS_WITH_PAIRS,
  references: [
    'Joachims 2002, Optimizing Search Engines using Clickthrough Data, doi:10.1145/775047.775067',
    'rax.pairwise_hinge_loss (its mean is over pairs; this is its sum over each list)',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0.5, 3]], targets: [[1, 0, 0]] },
      loss: [5.5],
      gradients: { predictions: [[-2, 1, 1]] },
      from: 'by hand: 1 + 0.5 and 1 + 3',
    },
  ],
})
