/** Squared error of the differences within each list. */
import { defineLoss, input, noParams } from '../define.ts'
import { COUNT_NONEMPTY_LISTS, MASK_SNIPPET } from '../formula-snippets.ts'

export default defineLoss({
  name: 'pairwise_mse_ranking',
  family: 'ranking',
  couples: 'group',
  about:
    'For every ordered pair of a list, the difference of the scores should equal the difference of the targets: a squared error that does not change when a constant is added to a whole list. Use it if distances between targets are meaningful, as in regression within groups or distillation of scores. Avoid it for grades of which only the order counts: it also pushes apart items that are already in order. The sum grows with the square of the length of the list.',
  inputs: {
    predictions: input('lists,items', 'real', { differentiable: true, about: 'Scores, one list per row.' }),
    targets: input('lists,items', 'real', { about: 'Values whose differences the scores should have.' }),
    mask: input('lists,items', 'binary', { optional: true, about: '1 for items, 0 for padding.' }),
  },
  params: noParams,
  // With errors e = targets - predictions and n items, sum_ij (e_i - e_j)^2 = 2 n sum_i (e_i - mean e)^2: one pass
  // over the items instead of one over the pairs, and nothing cancels. The slope with respect to the mean is 0; it
  // is left out where it would be the difference of two infinities.
  formula: `${MASK_SNIPPET}
    n = sum(valid ? 1 : 0, items)
    e = valid ? targets - predictions : 0
    mean_e = sum(e, items) / max(n, 1)
    far = max(abs(e), items) > 1e30
    2 * n * sum(valid ? (e - (far ? stop_gradient(mean_e) : mean_e))^2 : 0, items)`,
  denominator: COUNT_NONEMPTY_LISTS,
  references: [
    'rax.pairwise_mse_loss (its mean is over pairs; this is its sum over each list)',
    'tensorflow_ranking.keras.losses.PairwiseMSELoss',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0, 0]], targets: [[2, 1, 0]] },
      loss: [12],
      gradients: { predictions: [[-12, 0, 12]] },
      from: 'by hand: 1 + 4 + 1, each pair in both orders',
    },
  ],
})
