/** PolyLoss: cross-entropy with a different weight for the first term of its series expansion. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'poly1_cross_entropy',
  family: 'multiclass',
  couples: 'row',
  about:
    'Cross-entropy plus epsilon (1 - p) of the target class. One parameter makes rows that are nearly right count more (above 0) or less (below 0). Start with cross_entropy: the best epsilon depends on the task and must be searched for.',
  presets: {
    optax: {
      names: { 'optax.losses.poly_loss_cross_entropy': {} },
      params: { class_axis: -1 },
      reduction: 'none',
      note: 'A class with logit -inf and target 0 contributes 0; optax returns NaN.',
    },
  },
  inputs: {
    predictions: input('rows,classes,...', 'real', { differentiable: true, about: 'Logits.' }),
    targets: input('rows,...', 'class_or_probability', {
      about: 'Class indices, or one probability per class.',
    }),
  },
  params: Type.Object({
    epsilon: Type.Number({
      minimum: -1,
      default: 2,
      description: 'Added to the coefficient 1 of the term 1 - p. -1 removes the term; 0 is cross_entropy.',
    }),
    class_axis: classAxisParam,
  }),
  // -ln p = (1 - p) + (1 - p)^2 / 2 + ...; epsilon is added to the first coefficient.
  formula: `
    log_p = log_softmax(predictions, classes)
    rest = 1 - softmax(predictions, classes)
    term = epsilon * rest - log_p
    is_index(targets)
      ? epsilon * pick(rest, targets, classes) - pick(log_p, targets, classes)
      : sum(is_finite(log_p) or targets != 0 ? targets * term : 0, classes)`,
  references: [
    'Leng et al. 2022, PolyLoss, arXiv:2204.12511',
    'optax.losses.poly_loss_cross_entropy',
    'rax.poly1_softmax_loss (epsilon 1)',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 1.0986122886681098]], targets: [0] },
      loss: [2.886294361119891],
      gradients: { predictions: [[-1.125, 1.125]] },
      from: 'by hand: p = (1/4, 3/4), so ln 4 + 2 * 3/4 with slope -(1 - p) (1 + 2 p)',
    },
  ],
})
