/** Likelihood of the true order of each list under the Plackett-Luce model. */
import { defineLoss, input, noParams } from '../define.ts'
import { COUNT_NONEMPTY_LISTS, MASK_SNIPPET } from '../formula-snippets.ts'

export default defineLoss({
  name: 'list_mle',
  family: 'ranking',
  couples: 'group',
  about:
    'The negative log-likelihood of the whole true order, where items are drawn one after another with odds e^score (Plackett-Luce). Use it if the targets order the list almost completely. Among equal targets the earlier item always counts as the better one, so that the result is reproducible; with many ties prefer softmax_ranking or unique_softmax, or shuffle the lists yourself.',
  inputs: {
    predictions: input('lists,items', 'real', { differentiable: true, about: 'Scores, one list per row.' }),
    targets: input('lists,items', 'real', {
      about: 'Relevance. Higher values should rank first; among equal ones, the earlier item.',
    }),
    mask: input('lists,items', 'binary', { optional: true, about: '1 for items, 0 for padding.' }),
  },
  params: noParams,
  // An item is drawn from those that are left with probability e^s_i / sum e^s_j, so its term is ln sum e^(s_j - s_i) over
  // itself, whose difference is 0 whatever its score is, and those after it.
  formula: `${MASK_SNIPPET}
    itself = index(items)[items -> others] == index(items)
    tied = targets[items -> others] == targets and index(items)[items -> others] > index(items)
    after = both and (targets[items -> others] < targets or tied)
    rest = logsumexp(after ? predictions[items -> others] - predictions : itself ? 0 : -1e30, others)
    sum(valid ? rest : 0, items)`,
  // From the worst item to the best, the sum over those after an item runs along. An item without a target is after none.
  long: {
    axis: 'items',
    from: 33,
    formula: `
    valid = given(mask) ? mask == 1 : true
    counts = valid and targets == targets
    worst_first = gather(order(counts ? -targets : 0, items), size(items) - 1 - index(items), items)
    score = gather(counts ? predictions : log(0), worst_first, items)
    is_drawn = gather(counts ? 1 : 0, worst_first, items) == 1 and index(items) > 0
    sum(is_drawn ? softplus(shift(logcumsumexp(score, items), 1, items) - score) : 0, items)`,
  },
  denominator: COUNT_NONEMPTY_LISTS,
  references: [
    'Xia et al. 2008, Listwise approach to learning to rank, doi:10.1145/1390156.1390306',
    'rax.listmle_loss (key=None)',
    'allRank listMLE (breaks ties at random, adds 1e-10 inside the logarithm)',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0, 0]], targets: [[1, 3, 2]] },
      loss: [1.791759469228055],
      gradients: { predictions: [[0.8333333333333333, -0.6666666666666667, -0.16666666666666669]] },
      from: 'by hand: ln 3 + ln 2 + ln 1, that is ln 3!',
    },
  ],
})
