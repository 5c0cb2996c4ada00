/** Softmax of every item against the less relevant ones. */
import { defineLoss, input, noParams } from '../define.ts'
import { COUNT_NONEMPTY_LISTS, MASK_SNIPPET } from '../formula-snippets.ts'

export default defineLoss({
  name: 'unique_softmax',
  family: 'ranking',
  couples: 'group',
  about:
    'Every item against all less relevant items of its list, in a softmax of its own, weighted by 2^relevance - 1: equally relevant items do not compete, as they do in softmax_ranking. Use it for lists with several relevant items and graded relevance of about 0 to 5. Avoid it for targets on a large scale, whose gains explode, and for very long lists, because it compares all pairs.',
  inputs: {
    predictions: input('lists,items', 'real', { differentiable: true, about: 'Scores, one list per row.' }),
    targets: input('lists,items', 'nonnegative', { about: 'Graded relevance; the gain is 2^relevance - 1.' }),
    mask: input('lists,items', 'binary', { optional: true, about: '1 for items, 0 for padding.' }),
  },
  params: noParams,
  // -ln( e^s_i / (e^s_i + sum_lower e^s_j) ) = softplus( ln sum_lower e^(s_j - s_i) ), which is exact even where it
  // is tiny. Without less relevant items the sum is empty, its logarithm -1e30, and the term 0.
  formula: `${MASK_SNIPPET}
    lower = both and targets[items -> others] < targets
    ahead = logsumexp(lower ? predictions[items -> others] - predictions : -1e30, others)
    gain = targets < 0.5 ? expm1(targets * 0.6931471805599453) : 2^targets - 1
    sum(valid ? gain * softplus(ahead) : 0, items)`,
  denominator: COUNT_NONEMPTY_LISTS,
  references: [
    'Zhu and Klabjan 2020, Listwise Learning to Rank by Exploring Unique Ratings, arXiv:2001.01828',
    'rax.unique_softmax_loss',
    'tensorflow_ranking.keras.losses.UniqueSoftmaxLoss',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0, 0]], targets: [[2, 1, 0]] },
      loss: [3.9889840465642745],
      from: 'by hand: 3 ln 3 + 1 ln 2',
    },
  ],
})
