/** Negative log-likelihood under a Gaussian with a predicted variance. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'gaussian_nll',
  family: 'regression',
  couples: 'element',
  about:
    'For models that predict a mean and a variance: errors count less where the model says that it is uncertain. Watch the variance, which can grow to hide bad means. Avoid it for heavy tails; if all rows are equally noisy, mse is enough.',
  aliases: ['gaussian_nll_loss'],
  presets: {
    torch: { names: { 'torch.nn.functional.gaussian_nll_loss': {}, 'torch.nn.GaussianNLLLoss': {} } },
  },
  advice: [
    {
      task: 'uncertainty',
      wish: 'probabilities',
      because: 'The mean and the variance are learned together, and confident errors cost most.',
      unless: 'errors are heavy-tailed: if the variance collapses, gradients explode.',
    },
  ],
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Predicted means.' }),
    targets: input('...', 'real', { differentiable: true, about: 'Ground truth.' }),
    variance: input('...', 'positive', { differentiable: true, about: 'Predicted variances.' }),
  },
  params: Type.Object({
    full: Type.Boolean({ default: false, description: 'Adds the constant ln(2 pi)/2.' }),
    epsilon: Type.Number({
      exclusiveMinimum: 0,
      default: 1e-6,
      description: 'Minimum variance; the gradient still flows below it, as in PyTorch.',
    }),
  }),
  formula: `
    v = variance + stop_gradient(max(variance, epsilon) - variance)
    core = (log(v) + (predictions - targets)^2 / v) / 2
    full ? core + 0.9189385332046727 : core`,
  references: [
    'Nix and Weigend 1994, Estimating the mean and variance of the target probability distribution, doi:10.1109/ICNN.1994.374138',
    'torch.nn.functional.gaussian_nll_loss',
  ],
  examples: [
    {
      inputs: { predictions: [1, 0], targets: [0, 2], variance: [1, 4] },
      loss: [0.5, 1.1931471805599454],
      gradients: { predictions: [1, -0.5], variance: [0, 0] },
      from: 'by hand: (ln v + e^2/v)/2',
    },
  ],
})
