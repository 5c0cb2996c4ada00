/** InfoNCE: the positive of a query against negatives of its own. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'info_nce',
  family: 'embedding',
  couples: 'row',
  about:
    'Contrastive learning with separate negatives for each query (a queue, mined passages): cross-entropy of choosing the positive by its dot product. Vectors are used unchanged; normalize them first if you want cosines. If the other rows of the batch are the negatives, use multiple_negatives_ranking or nt_xent.',
  advice: [
    {
      task: 'retrieval',
      trouble: 'few negatives',
      because: 'You send the negatives of each query yourself.',
      unless: 'the batch already contains enough negatives.',
    },
  ],
  inputs: {
    query: input('rows,dim', 'real', { differentiable: true, about: 'Embeddings of the queries.' }),
    positive: input('rows,dim', 'real', {
      differentiable: true,
      about: 'The embedding that each query should find.',
    }),
    negatives: input('rows,count,dim', 'real', {
      differentiable: true,
      about: 'Embeddings that the query should not find, the same number for each query.',
    }),
  },
  params: Type.Object({
    temperature: Type.Number({
      exclusiveMinimum: 0,
      default: 0.07,
      description: 'Divides the dot products.',
    }),
  }),
  // -ln( e^s+ / (e^s+ + sum e^s-) ) = softplus( ln sum e^s- - s+ ): no digits are lost where the positive is far
  // ahead.
  formula: `
    right = sum(query * positive, dim) / temperature
    wrong = sum(query * negatives, dim) / temperature
    softplus(logsumexp(wrong, count) - right)`,
  references: [
    'van den Oord et al. 2018, Representation Learning with Contrastive Predictive Coding, arXiv:1807.03748',
    'He et al. 2020 (MoCo: temperature 0.07), arXiv:1911.05722',
  ],
  examples: [
    {
      inputs: {
        query: [[1, 0]],
        positive: [[0, 5]],
        negatives: [
          [
            [0, 1],
            [1.0986122886681098, 1],
          ],
        ],
      },
      params: { temperature: 1 },
      loss: [1.6094379124341003],
      gradients: {
        query: [[0.6591673732008658, -3.2]],
        positive: [[-0.8, 0]],
        negatives: [
          [
            [0.2, 0],
            [0.6, 0],
          ],
        ],
      },
      from: 'by hand: scores (0; 0, ln 3), so ln 5',
    },
  ],
})
