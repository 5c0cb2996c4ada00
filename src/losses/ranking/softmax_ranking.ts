/** Softmax cross-entropy over each list. */
import { defineLoss, input, noParams } from '../define.ts'
import { COUNT_NONEMPTY_LISTS, MASK_SNIPPET } from '../formula-snippets.ts'

export default defineLoss({
  name: 'softmax_ranking',
  family: 'ranking',
  couples: 'group',
  about:
    'Cross-entropy between the relevance of the items and a softmax over their scores (ListNet). A strong default for clicks and other sparse relevance, and cheap for long lists. Targets are weights, not probabilities: a list is weighted by their sum, so scale them to sum to 1 if all lists should count equally. For fine grades whose order matters, use lambda_rank or unique_softmax.',
  presets: {
    optax: {
      names: { 'optax.losses.ranking_softmax_loss': {} },
      note: "optax's `where` is called mask; its `weights` multiply the targets. Lists without items are left out of the mean, as in optax.",
    },
  },
  inputs: {
    predictions: input('lists,items', 'real', { differentiable: true, about: 'Scores, one list per row.' }),
    targets: input('lists,items', 'nonnegative', { about: 'Relevance; it need not sum to 1.' }),
    mask: input('lists,items', 'binary', { optional: true, about: '1 for items, 0 for padding.' }),
  },
  params: noParams,
  // Padding gets a score so low that e^score is 0, but a finite one, so that a list of padding alone has no inf -
  // inf. An item with relevance 0 does not count, even if its own score is -inf.
  formula: `${MASK_SNIPPET}
    log_p = log_softmax(valid ? predictions : -1e30, items)
    -sum(valid and targets != 0 ? targets * log_p : 0, items)`,
  denominator: COUNT_NONEMPTY_LISTS,
  references: [
    'Cao et al. 2007, Learning to rank: from pairwise approach to listwise approach, doi:10.1145/1273496.1273513',
    'optax.losses.ranking_softmax_loss',
    'rax.softmax_loss',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0, 0, 9]], targets: [[1, 0, 2, 5]], mask: [[1, 1, 1, 0]] },
      loss: [3.295836866004329],
      gradients: { predictions: [[0, 1, -1, 0]] },
      from: 'by hand: (1 + 2) ln 3, and 3/3 minus the targets; the last item is padding',
    },
  ],
})
