/** Mean squared error. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'mse',
  family: 'regression',
  couples: 'element',
  about:
    'Squared error: the maximum-likelihood choice for Gaussian noise; its minimum is the mean. Avoid it with outliers, a single one of which can dominate (use huber or l1), and for targets over many orders of magnitude (use msle).',
  aliases: ['mse_loss', 'mean_squared_error', 'MeanSquaredError', 'squared_error'],
  presets: {
    torch: { names: { 'torch.nn.functional.mse_loss': {}, 'torch.nn.MSELoss': {} } },
    keras: { names: { 'keras.losses.MeanSquaredError': {}, 'keras.losses.mean_squared_error': {} } },
    optax: { names: { 'optax.losses.squared_error': {}, 'optax.squared_error': {} }, reduction: 'none' },
    tfjs: { names: { 'tf.losses.meanSquaredError': {} }, reduction: 'sum_by_nonzero_weights' },
  },
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
