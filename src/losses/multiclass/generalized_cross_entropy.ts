/** Generalized cross-entropy: between cross-entropy and absolute error, for noisy labels. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'generalized_cross_entropy',
  family: 'multiclass',
  couples: 'row',
  about:
    'For noisy labels: no row can cost more than 1/q, so that a wrong label is given up in the end. If labels are clean, use cross_entropy, which learns hard rows faster.',
  presets: {
    keras: {
      names: {
        'keras.losses.CategoricalGeneralizedCrossEntropy': {},
        'keras.losses.categorical_generalized_cross_entropy': {},
      },
      params: { class_axis: -1 },
      note: 'At a probability of 0 the gradient is finite; Keras returns infinity. Targets are class indices; one-hot targets are rejected, whereas Keras reads them as indices.',
    },
  },
  inputs: {
    predictions: input('rows,classes,...', 'simplex', {
      outside: 'for logits, send their softmax',
      differentiable: true,
      about: 'Predicted probabilities.',
    }),
    targets: input('rows,...', 'class', { about: 'Class indices.' }),
  },
  params: Type.Object({
    q: Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      default: 0.5,
      description: 'Towards 0 it becomes -ln p (cross-entropy); at 1 it is 1 - p (absolute error).',
    }),
    class_axis: classAxisParam,
  }),
  // (1 - p^q) / q, with expm1 so that a small q does not cancel. p^(q-1) is infinite at p = 0: below 1e-37 the
  // slope keeps its value at 1e-37, so that it is finite in float32 and has the right sign.
  formula: `
    p = pick(predictions, targets, classes)
    held = p + stop_gradient(relu(1e-37 - p))
    -expm1(q * log(held)) / q`,
  references: [
    'Zhang and Sabuncu 2018, Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels, arXiv:1805.07836',
    'keras.losses.CategoricalGeneralizedCrossEntropy',
  ],
  examples: [
    {
      inputs: { predictions: [[0.25, 0.75]], targets: [0] },
      loss: [1],
      gradients: { predictions: [[-2, 0]] },
      from: 'by hand: (1 - 1/2) / (1/2), slope -p^(-1/2)',
    },
  ],
})
