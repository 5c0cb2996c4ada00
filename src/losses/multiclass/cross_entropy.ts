/** Softmax cross-entropy on logits, with class indices or probabilities as targets. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, dependsOnParam, ignoreIndex, input, oneOf } from '../define.ts'

export default defineLoss({
  name: 'cross_entropy',
  family: 'multiclass',
  couples: 'row',
  about:
    'The standard loss for one class out of many, on raw logits. If labels are noisy, add label_smoothing; if classes are rare, use class_weights or softmax_focal.',
  aliases: ['softmax_cross_entropy', 'CrossEntropyLoss'],
  presets: {
    torch: {
      names: { 'torch.nn.functional.cross_entropy': {}, 'torch.nn.CrossEntropyLoss': {} },
      note: 'If all rows are ignored the mean is 0; PyTorch returns NaN.',
    },
    keras: {
      names: {},
      params: { class_axis: -1 },
      note: 'Corresponds to CategoricalCrossentropy and SparseCategoricalCrossentropy with from_logits=True. By default Keras expects probabilities: use cross_entropy_from_probs for those.',
    },
    optax: {
      names: {
        'optax.losses.softmax_cross_entropy': {},
        'optax.losses.softmax_cross_entropy_with_integer_labels': {},
        'optax.losses.safe_softmax_cross_entropy': {},
        'optax.softmax_cross_entropy': {},
        'optax.softmax_cross_entropy_with_integer_labels': {},
        'optax.safe_softmax_cross_entropy': {},
      },
      params: { class_axis: -1 },
      reduction: 'none',
      note: 'Labels out of range are rejected; optax returns NaN for labels that are too large, and reads -1 as the last class.',
    },
    tfjs: {
      names: { 'tf.losses.softmaxCrossEntropy': {} },
      params: { class_axis: -1, gradient: 'residual' },
      reduction: 'sum_by_nonzero_weights',
      note: 'label_smoothing divides by the number of classes; tfjs divides by the size of the second axis, even if the classes are on another one.',
    },
  },
  advice: [
    {
      task: 'multiclass',
      wish: 'boosting',
      because:
        "With hessian: diagonal the response includes p(1 - p), on request in LightGBM's class-major layout.",
      unless: 'leaves can be pure and you have not set hessian_floor: p(1 - p) is then nearly 0.',
    },
  ],
  inputs: {
    predictions: input('rows,classes,...', 'real', { differentiable: true, about: 'Logits.' }),
    targets: input('rows,...', 'class_or_probability', {
      about: 'Class indices without the class axis, or probabilities in the shape of the predictions.',
    }),
    class_weights: input('classes', 'nonnegative', {
      optional: true,
      about:
        'One weight per class. With index targets, the mean divides by the sum of the weights of the target classes.',
    }),
  },
  params: Type.Object({
    label_smoothing: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0,
      description: 'Share of each target that is spread over all classes.',
    }),
    ignore_index: Type.Integer({ ...ignoreIndex, ...dependsOnParam('targets', 'class') }),
    class_axis: classAxisParam,
    gradient: oneOf(['exact', 'residual'], {
      default: 'exact',
      description:
        'With probability targets. exact: the derivative of the loss; residual: softmax - targets for the predictions and targets - softmax for the targets, as in tfjs. With class indices both are the same.',
    }),
  }),
  // -sum_c w_c t_c ln p_c with the smoothed target t = (1-s) y + s/C, as in PyTorch. A class with target
  // probability 0 does not count, even if ln p is -inf (a masked logit); with a smoothing of 0 the smooth term does
  // not count either.
  formula: `
    log_p = log_softmax(predictions, classes)
    w = given(class_weights) ? class_weights : 1
    kept = is_index(targets) ? targets != ignore_index : true
    sharp = is_index(targets)
      ? -pick(w, targets, classes) * pick(log_p, targets, classes)
      : -sum(is_finite(log_p) or targets != 0 ? w * targets * log_p : 0, classes)
    smooth = label_smoothing > 0 ? -label_smoothing * sum(w * log_p, classes) / size(classes) : 0
    soft = (1 - label_smoothing) * sharp + smooth
    t = w * ((1 - label_smoothing) * targets + label_smoothing / size(classes))
    mass = given(class_weights) ? stop_gradient(sum(t, classes)) : 1
    surplus = stop_gradient(t - mass * softmax(predictions, classes))
    by_logits = mass * logsumexp(predictions, classes) - sum(weigh(stop_gradient(t), predictions), classes)
    residual = by_logits + sum(surplus * t, classes)
    kept ? (gradient == residual and not is_index(targets) ? straight_through(soft, residual) : soft) : 0`,
  denominator: 'is_index(targets) ? (kept ? pick(w, targets, classes) : 0) : 1',
  limits: { detached: { param: 'gradient', values: ['residual'] } },
  references: [
    'torch.nn.functional.cross_entropy',
    'keras.losses.SparseCategoricalCrossentropy(from_logits=True)',
    'optax.losses.softmax_cross_entropy',
    'Szegedy et al. 2016 (label smoothing), arXiv:1512.00567',
  ],
  examples: [
    {
      inputs: {
        predictions: [
          [0, 0],
          [0, 1.0986122886681098],
        ],
        targets: [0, 1],
      },
      loss: [0.6931471805599453, 0.28768207245178085],
      gradients: {
        predictions: [
          [-0.5, 0.5],
          [0.25, -0.25],
        ],
      },
      from: 'by hand: ln 2, and softmax (1/4, 3/4)',
    },
    {
      inputs: { predictions: [[2.1, -0.3, 0.4]], targets: [0] },
      params: { label_smoothing: 0.1 },
      reduction: 'mean',
      loss: 0.3783583154223864,
      from: 'by hand: -0.9 ln p_0 - 0.1/3 (ln p_0 + ln p_1 + ln p_2)',
    },
  ],
})
