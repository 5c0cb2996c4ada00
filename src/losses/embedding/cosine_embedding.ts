/** Cosine distance for similar pairs, a hinge on the cosine for dissimilar pairs. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'cosine_embedding',
  family: 'embedding',
  couples: 'row',
  about:
    'For pairs of embeddings: similar ones (1) should point in the same direction, others (-1) should have a cosine below the margin. Avoid it for graded similarity, or if lengths matter (use contrastive). With many negatives per pair, info_nce learns more from each step.',
  presets: {
    torch: {
      names: { 'torch.nn.functional.cosine_embedding_loss': {}, 'torch.nn.CosineEmbeddingLoss': {} },
      note: 'Targets other than 1 and -1 are rejected; PyTorch returns 0 for them.',
    },
  },
  inputs: {
    input1: input('rows,dim', 'real', { differentiable: true, about: 'Embeddings.' }),
    input2: input('rows,dim', 'real', { differentiable: true, about: 'Embeddings.' }),
    targets: input('rows', 'sign', { about: '1 for similar, -1 for dissimilar.' }),
  },
  params: Type.Object({
    margin: Type.Number({
      minimum: -1,
      maximum: 1,
      default: 0,
      description: 'The cosine that dissimilar pairs may have.',
    }),
  }),
  // PyTorch adds 1e-12 to each squared length. At a zero vector the cosine is then 0 and the gradient as large as
  // 1e6; the same happens here. The two roots are computed separately, because the product of the squares overflows
  // in float32 at lengths of 4e9.
  formula: `
    length1 = sqrt(sum(input1 * input1, dim) + 1e-12)
    length2 = sqrt(sum(input2 * input2, dim) + 1e-12)
    u = input1 / length1
    v = input2 / length2
    cosine = sum(u * v, dim)
    short = min(length1, length2) < 1e-3
    distance = cosine > 0.5 and not short ? sum((u - v)^2, dim) / 2 : 1 - cosine
    targets == 1 ? distance : relu(cosine - margin)`,
  references: ['torch.nn.functional.cosine_embedding_loss'],
  examples: [
    {
      inputs: {
        input1: [
          [3, 4],
          [3, 4],
        ],
        input2: [
          [4, 3],
          [4, 3],
        ],
        targets: [1, -1],
      },
      loss: [0.04, 0.96],
      from: 'by hand: the cosine is 24/25',
    },
  ],
})
