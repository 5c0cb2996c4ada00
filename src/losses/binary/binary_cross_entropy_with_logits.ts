/** Binary cross-entropy of logits. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'binary_cross_entropy_with_logits',
  family: 'binary',
  couples: 'element',
  about:
    'The standard loss for yes/no and multilabel classification, on raw logits. If positives are rare, use pos_weight or sigmoid_focal. If exactly one class out of many is right, use cross_entropy; for probabilities, use binary_cross_entropy.',
  aliases: ['bce_with_logits', 'sigmoid_cross_entropy'],
  presets: {
    torch: {
      names: {
        'torch.nn.functional.binary_cross_entropy_with_logits': {},
        'torch.nn.BCEWithLogitsLoss': {},
      },
      note: 'pos_weight has one entry per class, the last axis, whatever the shape of the predictions.',
    },
    keras: {
      names: {},
      note: 'Corresponds to BinaryCrossentropy(from_logits=True). By default Keras expects probabilities: use binary_cross_entropy for those.',
    },
    optax: {
      names: { 'optax.losses.sigmoid_binary_cross_entropy': {}, 'optax.sigmoid_binary_cross_entropy': {} },
      reduction: 'none',
    },
    tfjs: { names: { 'tf.losses.sigmoidCrossEntropy': {} }, reduction: 'sum_by_nonzero_weights' },
  },
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Logits.' }),
    targets: input('...', 'probability', {
      differentiable: true,
      about: '0 or 1, or a probability in between.',
    }),
    weight: input('...', 'real', {
      optional: true,
      about: 'Multiplies each element. The mean still divides by the number of elements.',
    }),
    pos_weight: input('classes', 'positive', {
      optional: true,
      trailing: true,
      about: 'Weight of the positive term, one per class (the last axis).',
    }),
  },
  params: Type.Object({
    label_smoothing: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0,
      description: 'Moves targets towards 1/2: y (1 - s) + s/2.',
    }),
  }),
  // -y ln s(x) - (1-y) ln(1 - s(x)) = y softplus(-x) + (1-y) softplus(x), and softplus(x) = x + softplus(-x). With
  // z = -|x| each term is >= 0, and the slope with respect to y is exactly -x. An infinite logit on the right side
  // costs nothing.
  formula: `
    y = targets * (1 - label_smoothing) + label_smoothing / 2
    positive = given(pos_weight) ? pos_weight * y : y
    yes = predictions > 0
    z = yes ? -predictions : predictions
    bce = (given(pos_weight) ? positive + 1 - y : 1) * softplus(z) + weigh(yes ? 1 - y : positive, -z)
    given(weight) ? weight * bce : bce`,
  references: [
    'torch.nn.functional.binary_cross_entropy_with_logits',
    'optax.losses.sigmoid_binary_cross_entropy',
  ],
  examples: [
    {
      inputs: { predictions: [0, 2], targets: [1, 0] },
      loss: [0.6931471805599453, 2.1269280110429727],
      gradients: { predictions: [-0.5, 0.8807970779778823] },
      from: 'by hand: softplus(-x), softplus(x)',
    },
  ],
})
