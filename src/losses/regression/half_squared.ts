/** Half the squared error, whose gradient is the error itself. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'half_squared',
  family: 'regression',
  couples: 'element',
  about:
    'Half the squared error: mse scaled so that the gradient is the error itself, as in boosting. Do not compare its values with those of mse, which are twice as large. With outliers use huber.',
  aliases: ['l2_loss'],
  presets: {
    optax: { names: { 'optax.losses.l2_loss': {}, 'optax.l2_loss': {} }, reduction: 'none' },
  },
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Model output.' }),
    targets: input('...', 'real', { differentiable: true, about: 'Ground truth.' }),
  },
  params: noParams,
  formula: '(predictions - targets)^2 / 2',
  references: ['optax.losses.l2_loss', 'sklearn HalfSquaredError'],
  examples: [
    {
      inputs: { predictions: [0.5, 2, -1], targets: [1, 2, 1] },
      loss: [0.125, 0, 2],
      gradients: { predictions: [-0.5, 0, -2] },
      from: 'by hand',
    },
  ],
})
