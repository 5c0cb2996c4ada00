/** Mean absolute percentage error. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'mape',
  family: 'regression',
  couples: 'element',
  about:
    'Absolute error relative to the target, in percent: for positive quantities of very different sizes whose relative error counts. Avoid it for targets near 0, which then dominate everything else, and if a bias matters: it favors predictions that are too small. msle treats both sides equally.',
  aliases: ['MeanAbsolutePercentageError'],
  presets: {
    keras: {
      names: {
        'keras.losses.MeanAbsolutePercentageError': {},
        'keras.losses.mean_absolute_percentage_error': {},
      },
    },
  },
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Model output.' }),
    targets: input('...', 'real', { about: 'Ground truth; the loss is relative to its magnitude.' }),
  },
  params: Type.Object({
    epsilon: Type.Number({
      exclusiveMinimum: 0,
      default: 1e-7,
      description: 'Minimum magnitude of the divisor, in units of the targets.',
    }),
    percent: Type.Boolean({
      default: true,
      description:
        'Whether the unit is percent, as in Keras. Otherwise 1 is an error as large as the target.',
    }),
  }),
  formula: `
    share = abs(predictions - targets) / max(abs(targets), epsilon)
    percent ? 100 * share : share`,
  references: [
    'de Myttenaere et al. 2016, Mean Absolute Percentage Error for regression models, doi:10.1016/j.neucom.2015.12.114',
    'keras.losses.MeanAbsolutePercentageError',
    'torchmetrics.functional.mean_absolute_percentage_error (percent false)',
  ],
  examples: [
    {
      inputs: { predictions: [1, 5, -2], targets: [2, 4, -2] },
      loss: [50, 25, 0],
      gradients: { predictions: [-50, 25, 0] },
      from: 'by hand: 100 |x - y| / |y|',
    },
    {
      inputs: { predictions: [3], targets: [-2] },
      params: { percent: false },
      loss: [2.5],
      gradients: { predictions: [0.5] },
      from: 'by hand',
    },
  ],
})
