/** RankNet: logistic loss over the pairs of each list. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'pairwise_logistic_ranking',
  family: 'ranking',
  couples: 'group',
  about:
    'RankNet: for every pair of a list that the targets order, the logistic loss of the difference of scores; summed over the pairs of the list.',
  aliases: ['ranknet'],
  inputs: {
    predictions: input('lists,items', 'real', { differentiable: true, about: 'Scores, one list a row.' }),
    targets: input('lists,items', 'real', {
      about: 'Relevance; higher shall rank first, equal ones form no pair.',
    }),
    mask: input('lists,items', 'binary', { optional: true, about: '1 for items, 0 for padding.' }),
  },
  params: noParams,
  formula: `
    ordered = targets > targets[items -> others]
    valid = given(mask) ? mask == 1 and mask[items -> others] == 1 : true
    pair = softplus(predictions[items -> others] - predictions)
    sum(sum(ordered and valid ? pair : 0, others), items)`,
  references: [
    'Burges et al. 2005, Learning to rank using gradient descent, doi:10.1145/1102351.1102363',
    'rax.pairwise_logistic_loss',
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
