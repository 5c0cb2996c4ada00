/** Mean squared error. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'mse',
  family: 'regression',
  couples: 'element',
  about:
    'Squared error: the maximum-likelihood choice for Gaussian noise. One outlier outweighs everything else; take huber then.',
  aliases: ['mse_loss', 'mean_squared_error', 'MeanSquaredError', 'squared_error'],
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Model output.' }),
    targets: input('...', 'real', { differentiable: true, about: 'Ground truth.' }),
  },
  params: noParams,
  formula: '(predictions - targets)^2',
  references: ['torch.nn.functional.mse_loss', 'keras.losses.MeanSquaredError', 'optax.losses.squared_error'],
  examples: [
    {
      inputs: { predictions: [0.5, 2, -1], targets: [1, 2, 1] },
      loss: [0.25, 0, 4],
      gradients: { predictions: [-1, 0, -4], targets: [1, 0, 4] },
      from: 'by hand',
    },
  ],
})
