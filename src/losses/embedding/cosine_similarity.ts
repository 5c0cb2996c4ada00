/** Cosine of the angle between two vectors, as a distance or as a similarity. */
import { Type } from '@sinclair/typebox'
import { defineLoss, dependsOnParam, input, oneOf } from '../define.ts'

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
      params: { epsilon_mode: 'through' },
      reduction: 'none',
    },
    keras: {
      names: { 'keras.losses.CosineSimilarity': {}, 'keras.losses.cosine_similarity': {} },
      params: { form: 'negative', epsilon: 1e-7 },
      note: 'The gradient of a zero vector is finite; Keras returns NaN.',
    },
    optax: {
      names: {
        'optax.losses.cosine_distance': {},
        'optax.cosine_distance': {},
        'optax.losses.cosine_similarity': { form: 'similarity' },
        'optax.cosine_similarity': { form: 'similarity' },
      },
      params: { epsilon: 1e-30 },
      reduction: 'none',
      note: 'A zero vector has cosine 0; optax returns NaN unless its epsilon is set, which is 0 by default.',
    },
    tfjs: {
      names: { 'tf.losses.cosineDistance': {} },
      params: { normalize: false },
      reduction: 'sum_by_nonzero_weights',
      note: 'tfjs expects vectors of length 1 and does not normalize them. Its axis is the last one here.',
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
        'Smallest length; a shorter vector counts as having it, so that a zero vector has cosine 0 and a gradient of 1 / epsilon.',
      ...dependsOnParam('normalize', true),
    }),
    epsilon_mode: oneOf(['clip', 'through'], {
      default: 'clip',
      description:
        'Of a vector shorter than epsilon. clip: its gradient is that of x / epsilon; through: its length keeps its own gradient, as in PyTorch.',
      ...dependsOnParam('normalize', true),
    }),
    normalize: Type.Boolean({
      default: true,
      description:
        'Whether vectors are divided by their lengths. false takes them as they are, as tfjs does: the dot product is a cosine only for vectors of length 1.',
    }),
  }),
  formula: `
    length_a = norm(predictions, dim)
    length_b = norm(targets, dim)
    clipped_a = max(length_a, epsilon)
    clipped_b = max(length_b, epsilon)
    a = epsilon_mode == through ? straight_through(clipped_a, length_a) : clipped_a
    b = epsilon_mode == through ? straight_through(clipped_b, length_b) : clipped_b
    u = predictions / a
    v = targets / b
    cosine = normalize ? sum(u * v, dim) : sum(predictions * targets, dim)
    close = normalize and cosine > 0.5 and min(length_a, length_b) >= epsilon
    distance = close ? sum((u - v)^2, dim) / 2 : 1 - cosine
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
