/** Multiclass perceptron loss. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'multiclass_perceptron',
  family: 'margin',
  couples: 'row',
  about:
    'How far the best class scores above the right one: the structured perceptron, for online learning on separable data. It requires no margin, so equal scores everywhere cost nothing: start from random weights, or use crammer_singer. If you need probabilities, use cross_entropy.',
  presets: {
    optax: {
      names: { 'optax.losses.multiclass_perceptron_loss': {} },
      params: { class_axis: -1 },
      reduction: 'none',
    },
  },
  inputs: {
    predictions: input('rows,classes,...', 'real', { differentiable: true, about: 'Scores, one per class.' }),
    targets: input('rows,...', 'class', { about: 'The right class of each row.' }),
  },
  params: Type.Object({ class_axis: classAxisParam }),
  // Classes that are tied for the best share the gradient, including the right one.
  formula: 'max(predictions, classes) - pick(predictions, targets, classes)',
  references: [
    'Collins 2002, Discriminative Training Methods for Hidden Markov Models, doi:10.3115/1118693.1118694',
    'optax.losses.multiclass_perceptron_loss',
  ],
  examples: [
    {
      inputs: {
        predictions: [
          [0.5, 2, -1],
          [3, 1, 1],
          [1, 1, 0],
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
      from: 'by hand; the tie is split',
    },
  ],
})
