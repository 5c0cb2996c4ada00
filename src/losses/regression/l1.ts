/** Absolute error. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'l1',
  family: 'regression',
  couples: 'element',
  about:
    'Absolute error: fits the median, so that outliers hardly count. Its gradient does not shrink near the minimum, so it does not converge precisely; smooth_l1 and huber do. If you want the mean of skewed data, use mse.',
  aliases: ['mae', 'l1_loss', 'mean_absolute_error', 'MeanAbsoluteError'],
  presets: {
    torch: { names: { 'torch.nn.functional.l1_loss': {}, 'torch.nn.L1Loss': {} } },
    keras: { names: { 'keras.losses.MeanAbsoluteError': {}, 'keras.losses.mean_absolute_error': {} } },
    tfjs: {
      names: { 'tf.losses.absoluteDifference': {} },
      reduction: 'sum_by_nonzero_weights',
      note: 'Where prediction and target are equal the gradient is 0; tfjs returns that of one side.',
    },
  },
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Model output.' }),
    targets: input('...', 'real', { differentiable: true, about: 'Ground truth.' }),
  },
  params: noParams,
  formula: 'abs(predictions - targets)',
  references: ['torch.nn.functional.l1_loss', 'keras.losses.MeanAbsoluteError'],
  examples: [
    {
      inputs: { predictions: [0.5, 2, -1], targets: [1, 2, 1] },
      loss: [0.5, 0, 2],
      gradients: { predictions: [-1, 0, -1], targets: [1, 0, 1] },
      from: 'by hand',
    },
  ],
})
