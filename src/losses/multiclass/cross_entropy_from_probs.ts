/** Cross-entropy of probabilities, with class indices or probabilities as targets. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'cross_entropy_from_probs',
  family: 'multiclass',
  couples: 'row',
  about:
    'For models that already end in a softmax. If the logits are available, prefer cross_entropy: clipped probabilities have no gradient exactly where the model is confident and wrong.',
  presets: {
    keras: {
      names: {
        'keras.losses.CategoricalCrossentropy': {},
        'keras.losses.categorical_crossentropy': {},
        'keras.losses.SparseCategoricalCrossentropy': {},
        'keras.losses.sparse_categorical_crossentropy': {},
      },
      params: { class_axis: -1 },
      note: 'With from_logits=True, use cross_entropy. A row of zeros has loss -ln(epsilon); Keras divides 0 by 0.',
    },
  },
  inputs: {
    predictions: input('rows,classes,...', 'simplex', {
      outside: 'logits go to cross_entropy',
      differentiable: true,
      about:
        'Predicted probabilities. Each row is first divided by its sum, which the gradient takes into account.',
    }),
    targets: input('rows,...', 'class_or_probability', {
      about: 'Class indices, or one probability per class.',
    }),
  },
  params: Type.Object({
    label_smoothing: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0,
      description: 'Share of each target that is spread over all classes.',
    }),
    epsilon: Type.Number({
      minimum: 0,
      exclusiveMaximum: 0.5,
      default: 1e-7,
      description:
        'Probabilities are clipped to [e, 1 - e], as in Keras, with gradient 0 outside. 0: instead, logarithms are limited to -100 and the gradient to 1e12.',
    }),
    class_axis: classAxisParam,
  }),
  // Without clipping, the slope of the logarithm is limited to 1e12 below p = 1e-12, as in binary_cross_entropy.
  formula: `
    total = sum(predictions, classes)
    share = total == 0 ? predictions : predictions / total
    p = epsilon > 0 ? clamp(share, epsilon, 1 - epsilon) : share
    log_p = p < 1e-12 ? stop_gradient(max(log(p), -100)) + 1e12 * (p - stop_gradient(p)) : log(p)
    sharp = is_index(targets) ? -pick(log_p, targets, classes) : -sum(targets * log_p, classes)
    (1 - label_smoothing) * sharp - label_smoothing * mean(log_p, classes)`,
  references: [
    'keras.losses.CategoricalCrossentropy',
    'keras.losses.SparseCategoricalCrossentropy',
    'Szegedy et al. 2016 (label smoothing), arXiv:1512.00567',
  ],
  examples: [
    {
      inputs: { predictions: [[0.25, 0.75]], targets: [1] },
      loss: [0.2876820724517809],
      gradients: { predictions: [[1, -0.3333333333333333]] },
      from: 'by hand: -ln p_1 + ln(p_0 + p_1)',
    },
    {
      inputs: {
        predictions: [
          [0.05, 0.95, 0],
          [0.1, 0.8, 0.1],
        ],
        targets: [1, 2],
      },
      loss: [0.05129329438755058, 2.302585092994046],
      from: "Keras' documentation, with all digits: -ln 0.95, ln 10",
    },
  ],
})
