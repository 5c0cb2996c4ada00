/** Cosine of the angle between two vectors, as a distance or as it is. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, oneOf } from '../define.ts'

export default defineLoss({
  name: 'cosine_similarity',
  family: 'embedding',
  couples: 'row',
  about:
    'Compares directions and ignores lengths. Frameworks differ in its form: choose distance (optax), negative (Keras) or similarity. On its own it pulls all pairs together; without something that pushes apart, all embeddings may become the same (see cosine_embedding, nt_xent).',
  presets: {
    torch: {
      names: {
        'torch.nn.functional.cosine_similarity': { form: 'similarity' },
        'torch.nn.CosineSimilarity': { form: 'similarity' },
      },
      reduction: 'none',
    },
    keras: {
      names: { 'keras.losses.CosineSimilarity': {}, 'keras.losses.cosine_similarity': {} },
      params: { form: 'negative', epsilon: 1e-7 },
    },
    optax: {
      names: {
        'optax.losses.cosine_distance': {},
        'optax.cosine_distance': {},
        'optax.losses.cosine_similarity': { form: 'similarity' },
        'optax.cosine_similarity': { form: 'similarity' },
      },
      reduction: 'none',
      note: 'A zero vector has cosine 0; optax answers NaN unless it is given an epsilon.',
    },
    tfjs: {
      names: { 'tf.losses.cosineDistance': {} },
      reduction: 'sum_by_nonzero_weights',
      note: 'tfjs does not normalise: it answers 1 - xy, which is a cosine only for vectors of length 1.',
    },
  },
  inputs: {
    predictions: input('rows,dim', 'real', { differentiable: true, about: 'Vectors.' }),
    targets: input('rows,dim', 'real', { differentiable: true, about: 'Vectors.' }),
  },
  params: Type.Object({
    form: oneOf(['distance', 'negative', 'similarity'], {
      default: 'distance',
      description: 'distance: 1 - cosine; negative: -cosine; similarity: cosine.',
    }),
    epsilon: Type.Number({
      exclusiveMinimum: 0,
      default: 1e-8,
      description:
        'Smallest length. A shorter vector is treated as having this length, so that a zero vector has cosine 0 and a gradient of 1 / epsilon.',
    }),
  }),
  formula: `
    a = max(norm(predictions, dim), epsilon)
    b = max(norm(targets, dim), epsilon)
    u = predictions / a
    v = targets / b
    cosine = sum(u * v, dim)
    distance = cosine > 0.5 ? sum((u - v)^2, dim) / 2 : 1 - cosine
    form == distance ? distance : form == negative ? -cosine : cosine`,
  references: ['optax.losses.cosine_distance', 'keras.losses.CosineSimilarity (form negative)'],
  examples: [
    {
      inputs: { predictions: [[3, 4]], targets: [[4, 3]] },
      loss: [0.04],
      from: 'by hand: the cosine is 24/25',
    },
  ],
})
