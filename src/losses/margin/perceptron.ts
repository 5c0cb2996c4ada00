/** Perceptron loss: how far a score is on the wrong side. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'perceptron',
  family: 'margin',
  couples: 'element',
  about:
    "Rosenblatt's perceptron: only a score of the wrong sign costs, by its magnitude. Use it for online learning on separable data. Avoid it if rows near the boundary matter: it requires no margin, so scores of 0 are perfect. Use hinge for a margin.",
  presets: {
    optax: {
      names: { 'optax.losses.perceptron_loss': {} },
      reduction: 'none',
      note: 'At a score of exactly 0 the gradient is 0; optax returns half the gradient of the active side.',
    },
  },
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Scores.' }),
    targets: input('...', 'sign', { about: '-1 or 1.' }),
  },
  params: noParams,
  formula: 'relu(-targets * predictions)',
  references: ['Rosenblatt 1958, The perceptron, doi:10.1037/h0042519', 'optax.losses.perceptron_loss'],
  examples: [
    {
      inputs: { predictions: [0.5, -0.5, 2, 0], targets: [1, 1, -1, 1] },
      loss: [0, 0.5, 2, 0],
      gradients: { predictions: [0, -1, 1, 0] },
      from: 'by hand',
    },
  ],
})
