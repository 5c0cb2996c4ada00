/** Multiclass hinge loss against the strongest wrong class (Crammer and Singer). */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'crammer_singer',
  family: 'margin',
  couples: 'row',
  about:
    'Multiclass support vector machine by Crammer and Singer: the strongest wrong class must stay 1 below the right one. If you need probabilities, use cross_entropy. Only one wrong class learns at a time, so with many classes multi_margin moves more. It is not categorical_hinge, which also pushes wrong scores below 0.',
  aliases: ['multiclass_hinge'],
  presets: {
    optax: {
      names: { 'optax.losses.multiclass_hinge_loss': {} },
      params: { class_axis: -1 },
      reduction: 'none',
    },
  },
  inputs: {
    predictions: input('rows,classes,...', 'real', { differentiable: true, about: 'Scores, one per class.' }),
    targets: input('rows,...', 'class', { about: 'The right class of each row.' }),
  },
  params: Type.Object({ class_axis: classAxisParam }),
  // [1 + max_{j != y} x_j - x_y]+. The wrong classes are compared before the margin is added, which would turn near
  // values into ties. At the margin the gradient is split evenly, as if the right class took part in the maximum.
  formula: `
    rival = max(index(classes) == targets ? -3e38 : predictions, classes)
    d = rival - pick(predictions, targets, classes)
    d > -1 ? 1 + d : d == -1 ? (1 + d) / 2 : 0`,
  references: [
    'Crammer and Singer 2001, On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines',
    'optax.losses.multiclass_hinge_loss',
    "torchmetrics.functional.hinge_loss (multiclass_mode 'crammer-singer')",
  ],
  examples: [
    {
      inputs: {
        predictions: [
          [0.5, 1, -1],
          [3, 1, 1],
          [1, 0, -1],
        ],
        targets: [0, 0, 0],
      },
      loss: [1.5, 0, 0],
      gradients: {
        predictions: [
          [-1, 1, 0],
          [0, 0, 0],
          [-0.5, 0.5, 0],
        ],
      },
      from: 'by hand: 1 + 1 - 0.5; 2 apart; exactly 1 apart',
    },
  ],
})
