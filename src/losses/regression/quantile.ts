/** Quantile (pinball) loss. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'quantile',
  family: 'regression',
  couples: 'element',
  about:
    'Pinball loss: its minimum is the chosen quantile, so several of them give prediction intervals. At 0.5 it is half of l1. If you want the mean, use mse. Quantiles that are fitted separately may cross, so sort them.',
  aliases: ['pinball'],
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Model output.' }),
    targets: input('...', 'real', { differentiable: true, about: 'Ground truth.' }),
  },
  params: Type.Object({
    quantile: Type.Number({
      exclusiveMinimum: 0,
      exclusiveMaximum: 1,
      default: 0.5,
      description: 'The quantile to fit, a probability.',
    }),
  }),
  // max(q e, (q-1) e) with e = targets - predictions, in a form whose gradient is 0 at e = 0.
  formula: `
    e = targets - predictions
    quantile * relu(e) + (1 - quantile) * relu(-e)`,
  references: ['Koenker and Bassett 1978, Regression Quantiles, doi:10.2307/1913643', 'sklearn PinballLoss'],
  examples: [
    {
      inputs: { predictions: [1, 1, 1], targets: [3, 1, 0] },
      params: { quantile: 0.9 },
      loss: [1.8, 0, 0.1],
      gradients: { predictions: [-0.9, 0, 0.1] },
      from: 'by hand',
    },
  ],
})
