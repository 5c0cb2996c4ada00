/** Contrastive loss over all pairs of a batch. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'
import { L2_NORMALIZED } from '../formula-snippets.ts'

export default defineLoss({
  name: 'nt_xent',
  family: 'embedding',
  couples: 'batch',
  about:
    'Contrastive learning (SimCLR and similar): every pair with equal labels against all rows with other labels. It couples the rows of a batch, so larger batches teach more. If classes have many rows, use supcon, which gives each row the same weight; if negatives are mined for each query, info_nce.',
  presets: {
    torch: {
      names: { 'pytorch_metric_learning.losses.NTXentLoss': {} },
      note: 'pytorch-metric-learning adds the smallest positive float to each probability, which cuts off gradients where a probability underflows. In float32 this takes a temperature below 0.023.',
    },
    optax: {
      names: { 'optax.losses.ntxent': {}, 'optax.ntxent': {} },
      reduction: 'mean',
      note: 'A batch without positives has loss 0; optax returns NaN.',
    },
  },
  inputs: {
    embeddings: input('rows,dim', 'real', {
      differentiable: true,
      about:
        'Embeddings; their length does not matter. A zero row has cosine 0 to all others and gradient 0.',
    }),
    labels: input('rows', 'class', { about: 'Rows with equal labels are positives of each other.' }),
  },
  params: Type.Object({
    temperature: Type.Number({ exclusiveMinimum: 0, default: 0.07, description: 'Divides the cosines.' }),
  }),
  // One term per positive pair (i, p): -ln( e^s_ip / (e^s_ip + sum over negatives n of e^s_in) ) = softplus( ln
  // sum_n e^s_in - s_ip ). Other positives are not in its denominator (optax, pytorch-metric-learning). Without
  // negatives their logarithm counts as -1e30, and the term is 0.
  formula: `${L2_NORMALIZED}
    s = sum(z * z[rows -> others], dim) / temperature
    same = labels == labels[rows -> others]
    positive = same and index(rows) != index(rows)[rows -> others]
    negatives = logsumexp(same ? -1e30 : s, others)
    term = softplus(negatives - s)
    sum(positive ? term : 0, others)`,
  denominator: 'sum(positive ? 1 : 0, others)',
  references: [
    'Chen et al. 2020, A Simple Framework for Contrastive Learning, arXiv:2002.05709',
    'optax.losses.ntxent',
    'pytorch_metric_learning.losses.NTXentLoss',
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
      params: { temperature: 1 },
      reduction: 'mean',
      loss: 0.3132616875182228,
      from: 'by hand: two pairs with ln(1 + e^(0 - 1))',
    },
  ],
})
