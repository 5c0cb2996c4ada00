/** Multiclass sparsemax loss. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'multiclass_sparsemax',
  family: 'margin',
  couples: 'row',
  about:
    'Cross-entropy with a margin: its probabilities (sparsemax) reach exactly 0, and a row whose right class leads by 1 does not count. Use it if few out of many classes are likely. If every class must keep some probability, use cross_entropy. Its cost grows with the square of the number of classes.',
  presets: {
    optax: {
      names: { 'optax.losses.multiclass_sparsemax_loss': {} },
      params: { class_axis: -1 },
      reduction: 'none',
    },
  },
  inputs: {
    predictions: input('rows,classes,...', 'real', { differentiable: true, about: 'Logits.' }),
    targets: input('rows,...', 'class', { about: 'The right class of each row.' }),
  },
  params: Type.Object({ class_axis: classAxisParam }),
  // The projection of z onto the simplex is p = [z - tau]+, where tau makes p sum to 1. Class j is in its support
  // if tau = z_j would leave more than nothing for it: sum_i [z_i - z_j]+ < 1. The support then determines tau. The
  // loss |y - z|^2 / 2 - |p - z|^2 / 2 is a sum of terms >= 0, none of which cancels: (y - p)^2 / 2 in the support;
  // below it the right class has 1/2 - d and the others 0, with d = z - tau. By Danskin's theorem its gradient p -
  // y is that of the terms with tau held constant.
  formula: `
    z = predictions - stop_gradient(max(predictions, classes))
    inside = sum(relu(z[classes -> others] - z), others) < 1
    tau = (sum(inside ? z : 0, classes) - 1) / sum(inside ? 1 : 0, classes)
    d = z - tau
    right = d > 0 ? (1 - d)^2 / 2 : 0.5 - d
    sum(index(classes) == targets ? right : relu(d)^2 / 2, classes)`,
  references: [
    'Martins and Astudillo 2016, From Softmax to Sparsemax, arXiv:1602.02068',
    'optax.losses.multiclass_sparsemax_loss',
  ],
  examples: [
    {
      inputs: {
        predictions: [
          [0, 0.5, -3],
          [1, 0, 0],
          [0, 2, 0],
        ],
        targets: [0, 0, 0],
      },
      loss: [0.5625, 0, 2],
      gradients: {
        predictions: [
          [-0.75, 0.75, 0],
          [0, 0, 0],
          [-1, 1, 0],
        ],
      },
      from: 'by hand: tau = -1/4, p = (1/4, 3/4, 0); a lead of 1; tau = 1',
    },
  ],
})
