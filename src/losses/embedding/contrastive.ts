/** Contrastive loss of pairs: similar ones together, others beyond a margin. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'contrastive',
  family: 'embedding',
  couples: 'row',
  about:
    'For pairs of embeddings that are known to be similar or not: the squared distance of similar pairs, and the squared shortfall from the margin of dissimilar ones. It fixes absolute distances. If only an order is known, use triplet_margin; if a batch has many positives, nt_xent.',
  presets: {
    torch: {
      names: {},
      note: 'PyTorch has no contrastive loss. sentence_transformers.losses.ContrastiveLoss is half of this one and defaults to cosine distances and a margin of 0.5.',
    },
  },
  inputs: {
    input1: input('rows,dim', 'real', { differentiable: true, about: 'Embeddings.' }),
    input2: input('rows,dim', 'real', { differentiable: true, about: 'Embeddings.' }),
    targets: input('rows', 'binary', { about: '1 for similar, 0 for dissimilar.' }),
  },
  params: Type.Object({
    margin: Type.Number({
      exclusiveMinimum: 0,
      default: 1,
      description: 'Euclidean distance from which a dissimilar pair costs nothing.',
    }),
  }),
  // The square for similar pairs is computed without the square root, so that its gradient needs no special case at
  // 0.
  formula: `
    e = input1 - input2
    targets == 1 ? sum(e * e, dim) : relu(margin - norm(e, dim))^2`,
  references: [
    'Hadsell et al. 2006, Dimensionality Reduction by Learning an Invariant Mapping, doi:10.1109/CVPR.2006.100',
    'sentence_transformers.losses.ContrastiveLoss',
  ],
  examples: [
    {
      inputs: {
        input1: [
          [3, 4],
          [3, 4],
        ],
        input2: [
          [0, 0],
          [0, 0],
        ],
        targets: [1, 0],
      },
      params: { margin: 6 },
      loss: [25, 1],
      gradients: {
        input1: [
          [6, 8],
          [-1.2, -1.6],
        ],
      },
      from: 'by hand: the distance is 5',
    },
  ],
})
