/** Focal loss over a softmax. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, nullable } from '../define.ts'

export default defineLoss({
  name: 'softmax_focal',
  family: 'multiclass',
  couples: 'row',
  about:
    'Softmax cross-entropy that fades out easy rows, for one class out of many with rare classes. gamma 0 is cross_entropy.',
  aliases: ['categorical_focal'],
  inputs: {
    predictions: input('rows,classes', 'real', { differentiable: true, about: 'Logits.' }),
    targets: input('rows', 'class_or_probability', { about: 'Class indices, or one probability per class.' }),
  },
  params: Type.Object({
    alpha: nullable(Type.Number({ minimum: 0 }), {
      default: null,
      description: 'Scales every class alike (as Keras does with 0.25); null for none.',
    }),
    gamma: Type.Number({ minimum: 0, default: 2, description: 'How fast easy rows fade; 0 not at all.' }),
  }),
  // -(1-p)^gamma ln p per class. ln(1 - p) is the logsumexp of the other classes: -expm1(ln p) loses it when p is
  // near 1 only in the last digits, and is floored so that gamma < 1 keeps a finite slope at p = 1.
  formula: `
    log_p = log_softmax(predictions, classes)
    log_miss = log(max(-expm1(log_p), 1e-37))
    each = -exp(gamma * log_miss) * log_p
    focal = is_index(targets) ? pick(each, targets, classes) : sum(targets == 0 ? 0 : targets * each, classes)
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
