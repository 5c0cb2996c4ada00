/** Expectile loss: squared error with a different weight on each side. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'expectile',
  family: 'regression',
  couples: 'element',
  about:
    'Squared error, weighted by tau where the prediction is too small and by 1 - tau where it is too large: a smooth alternative to the quantile loss, as in implicit Q-learning. At 0.5 it is half of mse. If the result must be a quantile (a 90 % interval), use quantile. One outlier moves an expectile as it moves a mean.',
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Model output.' }),
    targets: input('...', 'real', { differentiable: true, about: 'Ground truth.' }),
  },
  params: Type.Object({
    tau: Type.Number({
      exclusiveMinimum: 0,
      exclusiveMaximum: 1,
      default: 0.5,
      description: 'The expectile to fit, between 0 and 1: above 0.5 the predictions go up.',
    }),
  }),
  // Both pieces and their slopes are 0 at e = 0, so the choice between them adds no kink.
  formula: `
    e = targets - predictions
    (e > 0 ? tau : 1 - tau) * e^2`,
  references: [
    'Newey and Powell 1987, Asymmetric Least Squares Estimation and Testing, doi:10.2307/1911031',
    'Kostrikov et al. 2021, Offline Reinforcement Learning with Implicit Q-Learning, arXiv:2110.06169',
  ],
  examples: [
    {
      inputs: { predictions: [1, 1, 1], targets: [3, 1, 0] },
      params: { tau: 0.75 },
      loss: [3, 0, 0.25],
      gradients: { predictions: [-3, 0, 0.5], targets: [3, 0, -0.5] },
      from: 'by hand: 0.75 * 2^2, 0, 0.25 * 1^2',
    },
  ],
})
