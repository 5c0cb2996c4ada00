/** Keras' multiclass hinge loss. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'categorical_hinge',
  family: 'margin',
  couples: 'row',
  about:
    "Keras' multiclass hinge: the right class must score 1 above both 0 and the strongest wrong class. Use it to continue with a Keras model; crammer_singer compares the classes only with each other, and is the one in the literature. If you need probabilities, use cross_entropy.",
  presets: {
    keras: {
      names: { 'keras.losses.CategoricalHinge': {}, 'keras.losses.categorical_hinge': {} },
      params: { class_axis: -1 },
    },
  },
  inputs: {
    predictions: input('rows,classes,...', 'real', { differentiable: true, about: 'Scores, one per class.' }),
    targets: input('rows,...', 'class_or_probability', {
      about: 'The right class of each row, or one number per class: one-hot or soft.',
    }),
  },
  params: Type.Object({ class_axis: classAxisParam }),
  // [max_j (1 - y_j) x_j - sum_j y_j x_j + 1]+. The right class takes part in the maximum as a 0: this is the
  // difference from Crammer and Singer.
  formula: `
    right = is_index(targets) ? pick(predictions, targets, classes) : sum(targets * predictions, classes)
    other = is_index(targets) ? (index(classes) == targets ? 0 : predictions) : (1 - targets) * predictions
    relu(max(other, classes) - right + 1)`,
  references: ['keras.losses.CategoricalHinge'],
  examples: [
    {
      inputs: {
        predictions: [
          [0.5, 1, -1],
          [-1, -5, -5],
          [2, -1, -1],
        ],
        targets: [0, 0, 0],
      },
      loss: [1.5, 2, 0],
      gradients: {
        predictions: [
          [-1, 1, 0],
          [-1, 0, 0],
          [0, 0, 0],
        ],
      },
      from: 'by hand: 1 - 0.5 + 1; 0 + 1 + 1, where crammer_singer is 0; [0 - 2 + 1]+',
    },
    {
      inputs: { predictions: [[2, 4]], targets: [[0.75, 0.25]] },
      loss: [1.5],
      gradients: { predictions: [[-0.75, 0.5]] },
      from: 'by hand: max(0.5, 3) - 2.5 + 1',
    },
  ],
})
