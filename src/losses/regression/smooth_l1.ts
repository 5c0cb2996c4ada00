/** Absolute error with a rounded corner. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'smooth_l1',
  family: 'regression',
  couples: 'element',
  about:
    'Absolute error with a corner that is rounded within beta; the usual box-regression loss. beta = 0 is l1; huber(delta) = delta * smooth_l1(beta = delta). For boxes whose overlap is what counts, use giou or ciou. If the curvature at 0 must not grow as beta shrinks, use huber.',
  aliases: ['smooth_l1_loss'],
  presets: {
    torch: { names: { 'torch.nn.functional.smooth_l1_loss': {}, 'torch.nn.SmoothL1Loss': {} } },
  },
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Model output.' }),
    targets: input('...', 'real', { differentiable: true, about: 'Ground truth.' }),
  },
  params: Type.Object({
    beta: Type.Number({
      minimum: 0,
      default: 1,
      description: 'Width of the rounded corner, in units of the targets; 0 is l1.',
    }),
  }),
  // |e| < beta: e^2 / (2 beta), otherwise |e| - beta/2. At beta = 0 only the second piece is used.
  formula: `
    e = predictions - targets
    abs(e) < beta ? e^2 / (2 * beta) : abs(e) - beta / 2`,
  references: ['Girshick 2015, Fast R-CNN, arXiv:1504.08083', 'torch.nn.functional.smooth_l1_loss'],
  examples: [
    {
      inputs: { predictions: [0.5, 2, -1], targets: [1, 2, 1] },
      loss: [0.125, 0, 1.5],
      gradients: { predictions: [-0.5, 0, -1] },
      from: 'by hand',
    },
  ],
})
