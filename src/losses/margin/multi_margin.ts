/** Multiclass hinge loss over all wrong classes (Weston and Watkins). */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'multi_margin',
  family: 'margin',
  couples: 'row',
  about:
    'Multiclass support vector machine by Weston and Watkins: every wrong class within the margin of the right one costs. If you need probabilities, use cross_entropy. If only the strongest wrong class should cost, use crammer_singer, which does not divide by the number of classes.',
  presets: {
    torch: { names: { 'torch.nn.functional.multi_margin_loss': {}, 'torch.nn.MultiMarginLoss': {} } },
  },
  inputs: {
    predictions: input('rows,classes,...', 'real', { differentiable: true, about: 'Scores, one per class.' }),
    targets: input('rows,...', 'class', { about: 'The right class of each row.' }),
    class_weights: input('classes', 'nonnegative', {
      optional: true,
      about: 'Multiplies the rows of each class. The mean still divides by the number of rows.',
    }),
  },
  params: Type.Object({
    p: Type.Integer({
      minimum: 1,
      maximum: 2,
      default: 1,
      description: 'Power of each shortfall: 1, or 2, which is smooth at the margin.',
    }),
    margin: Type.Number({
      default: 1,
      description: 'How much higher the right class must score, in units of the scores.',
    }),
    class_axis: classAxisParam,
  }),
  formula: `
    short = relu(margin - pick(predictions, targets, classes) + predictions)
    term = sum(index(classes) == targets ? 0 : short^p, classes) / size(classes)
    given(class_weights) ? pick(class_weights, targets, classes) * term : term`,
  references: [
    'Weston and Watkins 1999, Support Vector Machines for Multi-Class Pattern Recognition',
    'torch.nn.functional.multi_margin_loss',
  ],
  examples: [
    {
      inputs: { predictions: [[0.25, 0.5, 1, -1]], targets: [1] },
      loss: [0.5625],
      gradients: { predictions: [[0.25, -0.5, 0.25, 0]] },
      from: 'by hand: (0.75 + 1.5 + 0) / 4',
    },
    {
      inputs: { predictions: [[0.25, 0.5, 1, -1]], targets: [1], class_weights: [1, 2, 1, 1] },
      params: { p: 2 },
      loss: [1.40625],
      gradients: { predictions: [[0.75, -2.25, 1.5, 0]] },
      from: 'by hand: 2 (0.75^2 + 1.5^2) / 4',
    },
  ],
})
