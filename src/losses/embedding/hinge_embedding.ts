/** Hinge on given distances: small for similar pairs, beyond a margin for others. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'hinge_embedding',
  family: 'embedding',
  couples: 'element',
  about:
    'For distances that were computed elsewhere: the distance itself for similar pairs, the shortfall from the margin for others. If the embeddings are available, use contrastive, whose squares pull harder on large errors.',
  presets: {
    torch: {
      names: { 'torch.nn.functional.hinge_embedding_loss': {}, 'torch.nn.HingeEmbeddingLoss': {} },
      note: 'Targets other than 1 and -1 are rejected; PyTorch adds both terms for them.',
    },
  },
  inputs: {
    predictions: input('...', 'nonnegative', { differentiable: true, about: 'Distances of pairs.' }),
    targets: input('...', 'sign', { about: '1 for similar, -1 for dissimilar.' }),
  },
  params: Type.Object({
    margin: Type.Number({
      exclusiveMinimum: 0,
      default: 1,
      description: 'Distance from which a dissimilar pair costs nothing.',
    }),
  }),
  formula: 'targets == 1 ? predictions : relu(margin - predictions)',
  references: ['torch.nn.functional.hinge_embedding_loss'],
  examples: [
    {
      inputs: { predictions: [0.25, 0.25, 3], targets: [1, -1, -1] },
      loss: [0.25, 0.75, 0],
      gradients: { predictions: [1, -1, 0] },
      from: 'by hand',
    },
  ],
})
