/** Multi-similarity loss: soft maxima over the worst positives and the worst negatives. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, oneOf } from '../define.ts'
import { L2_NORMALIZED } from '../formula-snippets.ts'

export default defineLoss({
  name: 'multi_similarity',
  family: 'embedding',
  couples: 'batch',
  about:
    'Metric learning on the cosines of a batch: each row is pulled by its positives and pushed by its negatives, the worst ones most. A strong default if each class has several rows per batch. If there are two views of each sample and no classes, use nt_xent; if there are so many classes that a batch rarely has two rows of one class, margin_softmax.',
  presets: {
    torch: {
      names: { 'pytorch_metric_learning.losses.MultiSimilarityLoss': {} },
      params: { unpaired: 'push' },
      note: 'All pairs count; as in pytorch-metric-learning, the mining step of the paper is left to the caller.',
    },
  },
  inputs: {
    embeddings: input('rows,dim', 'real', {
      differentiable: true,
      about:
        'Embeddings; their length does not matter. A zero row has cosine 0 to all others and gradient 0.',
    }),
    labels: input('rows', 'class', {
      about: 'Rows with equal labels are positives of each other; all others are negatives.',
    }),
  },
  params: Type.Object({
    alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 2,
      description: 'How strongly the worst positives dominate.',
    }),
    beta: Type.Number({
      exclusiveMinimum: 0,
      default: 50,
      description: 'How strongly the worst negatives dominate.',
    }),
    base: Type.Number({
      minimum: -1,
      maximum: 1,
      default: 0.5,
      description: 'Cosine that separates positives from negatives.',
    }),
    unpaired: oneOf(['skip', 'push'], {
      default: 'skip',
      description:
        'A batch in which no two rows belong together: skip gives it loss 0, push still pushes its rows apart, as pytorch-metric-learning does.',
    }),
  }),
  // 1/alpha ln(1 + sum over positives of e^(-alpha (s - base))) + 1/beta ln(1 + sum over negatives of e^(beta (s -
  // base))). The 1 is e^0, in the place of the row itself, so that small sums keep their digits.
  formula: `${L2_NORMALIZED}
    s = sum(z * z[rows -> others], dim) - base
    same = labels == labels[rows -> others]
    itself = index(rows) == index(rows)[rows -> others]
    positive = same and not itself
    pulls = logsumexp(positive ? -alpha * s : itself ? 0 : -1e30, others)
    pushes = logsumexp(same ? (itself ? 0 : -1e30) : beta * s, others)
    pairs = max(max(positive ? 1 : 0, others), rows)
    counts = unpaired == push ? 1 : pairs
    counts > 0 ? pulls / alpha + pushes / beta : 0`,
  denominator: 'counts',
  references: [
    'Wang et al. 2019, Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning, arXiv:1904.06627',
    'pytorch_metric_learning.losses.MultiSimilarityLoss',
  ],
  examples: [
    {
      inputs: {
        embeddings: [
          [1, 0],
          [1, 0],
          [0, 1],
        ],
        labels: [0, 0, 1],
      },
      params: { alpha: 2, beta: 2, base: 0.5 },
      loss: [0.31326168751822286, 0.31326168751822286, 0.27572235696602554],
      from: 'by hand: ln(1 + 1/e) for the rows of class 0, half for the pull and half for the push; ln(1 + 2/e) / 2 for the other',
    },
  ],
})
