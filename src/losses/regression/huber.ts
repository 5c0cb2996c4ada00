/** Huber loss: quadratic near zero, linear beyond delta. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'huber',
  family: 'regression',
  couples: 'element',
  about:
    'Quadratic near zero, linear beyond delta: a squared error that outliers cannot dominate. Equals delta * smooth_l1(beta = delta). If the units make delta hard to choose, use log_cosh after scaling. If outliers should not count at all, use barron_robust.',
  aliases: ['huber_loss', 'Huber'],
  presets: {
    torch: { names: { 'torch.nn.functional.huber_loss': {}, 'torch.nn.HuberLoss': {} } },
    keras: { names: { 'keras.losses.Huber': {}, 'keras.losses.huber': {} } },
    optax: { names: { 'optax.losses.huber_loss': {}, 'optax.huber_loss': {} }, reduction: 'none' },
    tfjs: { names: { 'tf.losses.huberLoss': {} }, reduction: 'sum_by_nonzero_weights' },
  },
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Model output.' }),
    targets: input('...', 'real', { differentiable: true, about: 'Ground truth.' }),
  },
  params: Type.Object({
    delta: Type.Number({
      exclusiveMinimum: 0,
      default: 1,
      description: 'Where it becomes linear, in units of the targets.',
    }),
  }),
  // The pieces meet with equal slope, so the gradient at |e| = delta is well defined.
  formula: `
    e = predictions - targets
    q = min(abs(e), delta)
    q^2 / 2 + delta * (abs(e) - q)`,
  references: [
    'Huber 1964, Robust Estimation of a Location Parameter, doi:10.1214/aoms/1177703732',
    'torch.nn.functional.huber_loss',
    'keras.losses.Huber',
    'optax.losses.huber_loss',
  ],
  examples: [
    {
      inputs: { predictions: [0.3, 0.6, 0.1], targets: [1, 2, 3] },
      loss: [0.245, 0.9, 2.4],
      gradients: { predictions: [-0.7, -1, -1] },
      from: 'by hand',
    },
  ],
})
