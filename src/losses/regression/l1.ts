/** Absolute error. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'l1',
  family: 'regression',
  couples: 'element',
  about:
    'Absolute error: fits the median, so outliers hardly count. Its gradient does not shrink near the minimum; smooth_l1 or huber settle better.',
  aliases: ['mae', 'l1_loss', 'mean_absolute_error', 'MeanAbsoluteError'],
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
