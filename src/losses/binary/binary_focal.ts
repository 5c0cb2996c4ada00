/** Focal loss on probabilities. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, nullable, oneOf } from '../define.ts'

export default defineLoss({
  name: 'binary_focal',
  family: 'binary',
  couples: 'element',
  about:
    'Focal loss for models that already end in a sigmoid. If the logits are available, use sigmoid_focal, which keeps its precision and its gradient where the model is confident.',
  presets: {
    keras: {
      names: {
        'keras.losses.BinaryFocalCrossentropy': {},
        'keras.losses.binary_focal_crossentropy': {},
      },
      params: { epsilon_mode: 'clip_log' },
      note: 'Keras uses its alpha of 0.25 only with apply_class_balancing=True; pass alpha explicitly in that case. With from_logits=True, use sigmoid_focal.',
    },
  },
  inputs: {
    predictions: input('...', 'probability', {
      outside: 'logits go to sigmoid_focal',
      differentiable: true,
      about: 'Predicted probabilities.',
    }),
    targets: input('...', 'probability', { about: '0 or 1, or a probability in between.' }),
  },
  params: Type.Object({
    alpha: nullable(Type.Number({ minimum: 0, maximum: 1 }), {
      default: null,
      description: 'Weight of the positives; negatives have weight 1 - alpha. null: no weights.',
    }),
    gamma: Type.Number({
      minimum: 0,
      default: 2,
      description: 'Exponent that down-weights easy examples; 0 does not.',
    }),
    epsilon: Type.Number({
      exclusiveMinimum: 0,
      exclusiveMaximum: 0.5,
      default: 1e-7,
      description: 'Probabilities are clipped to [epsilon, 1 - epsilon], where epsilon_mode says.',
    }),
    epsilon_mode: oneOf(['clip', 'clip_log'], {
      default: 'clip',
      description:
        'clip: probabilities are clipped everywhere, and beyond the bounds the gradient is 0; clip_log: only inside the logarithms, as in Keras, and beyond the bounds the fading factor still has a gradient.',
    }),
  }),
  // q = 1 - p is clipped by itself: in float32, 1 - epsilon is 1 for epsilon < 6e-8, and 1 - p would be 0 there. The floor
  // keeps the slope of gamma < 1 finite where nothing is missed.
  formula: `
    small = predictions < 0.5
    p = small ? max(predictions, epsilon) : 1 - max(1 - predictions, epsilon)
    q = small ? 1 - max(predictions, epsilon) : max(1 - predictions, epsilon)
    y = targets
    whole_miss = y * (1 - predictions) + (1 - y) * predictions
    miss = epsilon_mode == clip ? y * q + (1 - y) * p : whole_miss + stop_gradient(relu(1e-37 - whole_miss))
    log_p = small ? log(p) : log1p(-q)
    log_q = small ? log1p(-p) : log(q)
    bce = -(y * log_p + (1 - y) * log_q)
    weight = given(alpha) ? alpha * y + (1 - alpha) * (1 - y) : 1
    fading = gamma == 2 ? miss^2 : miss^gamma
    weight * fading * bce`,
  references: [
    'Lin et al. 2017, Focal Loss for Dense Object Detection, arXiv:1708.02002',
    'keras.losses.BinaryFocalCrossentropy',
  ],
  examples: [
    {
      inputs: { predictions: [0.5, 0.5], targets: [1, 0] },
      loss: [0.17328679513998632, 0.17328679513998632],
      from: 'by hand: ln 2 / 4',
    },
  ],
})
