/** Binary cross-entropy of probabilities. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, oneOf } from '../define.ts'

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
      params: { gradient: 'bounded' },
      note: 'The gradient with respect to the targets follows the clamped logarithms, so it is finite at probabilities of 0 and 1; PyTorch returns infinity there.',
    },
    keras: {
      names: { 'keras.losses.BinaryCrossentropy': {}, 'keras.losses.binary_crossentropy': {} },
      params: { epsilon: 1e-7 },
      note: 'With from_logits=True, use binary_cross_entropy_with_logits.',
    },
    tfjs: {
      names: { 'tf.losses.logLoss': {} },
      params: { epsilon: 1e-7, epsilon_mode: 'add' },
      reduction: 'sum_by_nonzero_weights',
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
        '0: logarithms stop at -100, as in PyTorch. Above 0: what keeps the logarithms finite, used as epsilon_mode says.',
    }),
    epsilon_mode: oneOf(['clip', 'add'], {
      default: 'clip',
      description:
        'clip: probabilities are clipped to [epsilon, 1 - epsilon], with gradient 0 beyond, as in Keras; add: epsilon is added inside the logarithms, as in tfjs, so that a sure and right prediction costs slightly less than 0.',
    }),
    gradient: oneOf(['exact', 'bounded'], {
      default: 'exact',
      description:
        "exact: the derivative of the loss; bounded: PyTorch's (p - y) / max(p (1 - p), 1e-12), which fades to 0 where p is within 1e-12 of a right target.",
    }),
  }),
  // Both logarithms are taken of the smaller one of p and q = 1 - p, which has all digits, and clipped there, where e is
  // exact. The logarithm is cut at -100 but keeps its slope 1/p above it. Below e^-100, and at 0, the slope is held at
  // PyTorch's bound 1e12, so that the gradient is large and right in sign instead of infinite.
  // PyTorch bounds both terms, the one of a right target, too: within 1e-12 of 0 or 1 its gradient is 1e12 (p - y).
  formula: `
    small = predictions < 0.5
    p = epsilon_mode == clip and epsilon > 0 and small ? max(predictions, epsilon) : predictions
    y = targets * (1 - label_smoothing) + label_smoothing / 2
    q = epsilon_mode == clip and epsilon > 0 and not small ? max(1 - predictions, epsilon) : 1 - predictions
    added = epsilon_mode == add ? epsilon : 0
    cut_p = straight_through(max(log(p + added), -100), 1e12 * p)
    cut_q = straight_through(max(log(q + added), -100), 1e12 * q)
    log_p = small ? (p + added < 1e-12 ? cut_p : log(p + added)) : log1p(added - q)
    log_q = small ? log1p(added - p) : (q + added < 1e-12 ? cut_q : log(q + added))
    entropy = -(y * log_p + (1 - y) * log_q)
    bound = 5e11 * (p - stop_gradient(y))^2 + stop_gradient(log_q - log_p) * y
    bce = gradient == bounded ? straight_through(entropy, min(p, q) < 1e-12 ? bound : entropy) : entropy
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
