/** Focal loss with a softmax. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input, nullable } from '../define.ts'

export default defineLoss({
  name: 'softmax_focal',
  family: 'multiclass',
  couples: 'row',
  about:
    'Softmax cross-entropy that down-weights easy rows, for one class out of many with rare classes. gamma 0 is cross_entropy. Avoid it with noisy labels, because it concentrates on hard rows, or if probabilities must be calibrated.',
  aliases: ['categorical_focal'],
  presets: {
    keras: {
      names: {
        'keras.losses.CategoricalFocalCrossentropy': {},
        'keras.losses.categorical_focal_crossentropy': {},
      },
      params: { class_axis: -1, alpha: 0.25, epsilon: 1e-7 },
      note: 'Predictions are logits, as with from_logits=True. Keras expects probabilities by default: pass their logarithms.',
    },
  },
  inputs: {
    predictions: input('rows,classes,...', 'real', { differentiable: true, about: 'Logits.' }),
    targets: input('rows,...', 'class_or_probability', {
      about: 'Class indices, or one probability per class.',
    }),
  },
  params: Type.Object({
    alpha: nullable(Type.Number({ minimum: 0 }), {
      default: null,
      description: 'Scales all classes equally (as Keras does with 0.25). null: no scaling.',
    }),
    gamma: Type.Number({
      minimum: 0,
      default: 2,
      description: 'Exponent that down-weights easy rows; 0 does not.',
    }),
    epsilon: Type.Number({
      minimum: 0,
      exclusiveMaximum: 0.5,
      default: 0,
      // Without clipping, no step of it is in the program.
      structural: true,
      description:
        'Probabilities are clipped to [epsilon, 1 - epsilon], with gradient 0 beyond, as in Keras. 0 clips nothing.',
    }),
    class_axis: classAxisParam,
  }),
  // -sum_c y_c (1 - p_c)^gamma ln p_c. The lower bound keeps the slope for gamma < 1 finite at p = 1. Below e^-800
  // p is 0 in every precision, and 1 - p is constant. Classes with target 0 are left out before the product,
  // because a masked logit (-inf) has an infinite -ln p.
  formula: `
    exact_log = log_softmax(predictions, classes)
    exact_rest = 1 - softmax(predictions, classes)
    log_p = epsilon > 0 ? clamp(exact_log, log(epsilon), log1p(-epsilon)) : exact_log
    rest = epsilon > 0 ? clamp(exact_rest, epsilon, 1 - epsilon) : exact_rest
    own_log = is_index(targets) ? pick(log_p, targets, classes) : log_p
    own_rest = is_index(targets) ? pick(rest, targets, classes) : rest
    miss = own_log < -800 ? 1 : max(own_rest, 1e-37)
    fading = gamma == 2 ? miss^2 : miss^gamma
    focal = is_index(targets)
      ? -fading * own_log
      : sum(targets == 0 ? 0 : -targets * fading * log_p, classes)
    given(alpha) ? alpha * focal : focal`,
  references: [
    'Lin et al. 2017, Focal Loss for Dense Object Detection, arXiv:1708.02002',
    'keras.losses.CategoricalFocalCrossentropy(from_logits=True, alpha=0.25)',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0]], targets: [1] },
      loss: [0.17328679513998632],
      from: 'by hand: ln 2 / 4',
    },
  ],
})
