/** Binary cross-entropy of probabilities. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'binary_cross_entropy',
  family: 'binary',
  couples: 'element',
  about:
    'For models that already end in a sigmoid. If the logits are available, use binary_cross_entropy_with_logits, which keeps its precision and its gradient where the model is confident.',
  aliases: ['bce'],
  presets: {
    torch: {
      names: { 'torch.nn.functional.binary_cross_entropy': {}, 'torch.nn.BCELoss': {} },
      note: 'At a sure and right prediction (0 for 0, 1 for 1) the gradient is the limit, 1 or -1; PyTorch answers 0.',
    },
    keras: {
      names: { 'keras.losses.BinaryCrossentropy': {}, 'keras.losses.binary_crossentropy': {} },
      params: { epsilon: 1e-7 },
      note: 'With from_logits=True it is binary_cross_entropy_with_logits.',
    },
    tfjs: {
      names: { 'tf.losses.logLoss': {} },
      params: { epsilon: 1e-7 },
      reduction: 'sum_by_nonzero_weights',
      note: 'Probabilities are clipped to [e, 1 - e]; tfjs adds its epsilon inside the logarithm, so that a sure and right prediction has a loss below 0, and has a gradient beyond the clipping, where this one rests.',
    },
  },
  inputs: {
    predictions: input('...', 'probability', {
      outside: 'logits go to binary_cross_entropy_with_logits',
      differentiable: true,
      about: 'Predicted probabilities.',
    }),
    targets: input('...', 'probability', {
      differentiable: true,
      about: '0 or 1, or a probability in between.',
    }),
    weight: input('...', 'real', {
      optional: true,
      about: 'Multiplies each element. The mean still divides by the number of elements.',
    }),
  },
  params: Type.Object({
    label_smoothing: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0,
      description: 'Moves targets towards 1/2: y (1 - s) + s/2.',
    }),
    epsilon: Type.Number({
      minimum: 0,
      exclusiveMaximum: 0.5,
      default: 0,
      description:
        '0: logarithms are limited to -100, as in PyTorch. Above 0: probabilities are clipped to [e, 1 - e], as in Keras (1e-7).',
    }),
  }),
  // Both logarithms are computed from the smaller one of p and q = 1 - p, which has all digits, and clipped there,
  // where e is exact. The logarithm is limited to -100 but keeps its slope 1/p above that. Below e^-100, and at 0,
  // the slope is limited to PyTorch's bound 1e12, so that the gradient is large with the right sign instead of
  // infinite.
  formula: `
    small = predictions < 0.5
    p = epsilon > 0 and small ? max(predictions, epsilon) : predictions
    y = targets * (1 - label_smoothing) + label_smoothing / 2
    q = epsilon > 0 and not small ? max(1 - predictions, epsilon) : 1 - predictions
    cut_p = straight_through(max(log(p), -100), 1e12 * p)
    cut_q = straight_through(max(log(q), -100), 1e12 * q)
    log_p = small ? (p < 1e-12 ? cut_p : log(p)) : log1p(-q)
    log_q = small ? log1p(-p) : (q < 1e-12 ? cut_q : log(q))
    bce = -(y * log_p + (1 - y) * log_q)
    given(weight) ? weight * bce : bce`,
  references: ['torch.nn.functional.binary_cross_entropy', 'keras.losses.BinaryCrossentropy (epsilon 1e-7)'],
  examples: [
    {
      inputs: { predictions: [0.5, 0.25, 1], targets: [1, 0, 1] },
      loss: [0.6931471805599453, 0.2876820724517809, 0],
      gradients: { predictions: [-2, 1.3333333333333333, -1] },
      from: 'by hand: -ln p, -ln(1 - p)',
    },
  ],
})
