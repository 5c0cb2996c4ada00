/** Tweedie deviance: between Poisson and gamma, for amounts that are often exactly 0. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'tweedie',
  family: 'regression',
  couples: 'element',
  about:
    'For amounts that are often exactly 0 and otherwise positive and skewed (insurance claims, sales). The model predicts the logarithm of the mean. For counts use poisson_nll; for amounts that are never 0, use gamma_nll. Its values are comparable only between fits with the same power; far from the data it overflows as e^x does.',
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Logarithm of the predicted mean.' }),
    targets: input('...', 'nonnegative', { about: 'Amounts, >= 0; positive for powers of 2 and above.' }),
  },
  params: Type.Object({
    power: Type.Number({
      minimum: 1,
      default: 1.5,
      description:
        'The variance grows as mean^power: 1 is Poisson, between 1 and 2 a sum of a Poisson number of gamma amounts, 2 gamma, 3 inverse Gaussian.',
    }),
  }),
  // Half the deviance without its terms in y alone, with m = e^x: -y m^(1 - p) / (1 - p) + m^(2 - p) / (2 - p). At
  // p = 1 and p = 2 one term becomes a logarithm of m, as in scikit-learn. A target of 0 does not use the power of
  // m that multiplies it, which may be infinite; that power is computed as in gamma_nll. Where both terms overflow,
  // the one that grows faster is the result.
  formula: `
    a = 1 - power
    b = 2 - power
    z = a * predictions
    grown = z > 44 ? exp(z - 44) * (targets / a * 12851600114359308276) : targets / a * exp(z)
    data = a == 0 ? targets * predictions : grown
    w = b * predictions
    mean = w > 44 ? exp(w - 44) * (12851600114359308276 / b) : exp(w) / b
    size = b == 0 ? predictions : mean
    overflows = abs(size) > 1e38 and abs(data) > 1e38
    targets == 0 ? size : overflows ? (predictions < 0 ? -data : size) : size - data`,
  limits: { overflow: { above: 1400, below: -1400 } },
  references: [
    'Jorgensen 1987, Exponential Dispersion Models, doi:10.1111/j.2517-6161.1987.tb01685.x',
    'sklearn._loss.HalfTweedieLoss',
    'LightGBM objective tweedie',
  ],
  examples: [
    {
      inputs: { predictions: [0, 0], targets: [3, 0] },
      loss: [8, 2],
      gradients: { predictions: [-2, 1] },
      from: 'by hand: 2 y e^(-x/2) + 2 e^(x/2), and e^(x/2) - y e^(-x/2)',
    },
    {
      inputs: { predictions: [0, 0.6931471805599453], targets: [3, 2] },
      params: { power: 2 },
      loss: [3, 1.6931471805599454],
      gradients: { predictions: [-2, 0] },
      from: 'by hand: gamma_nll',
    },
    {
      inputs: { predictions: [0, 0.6931471805599453], targets: [3, 2] },
      params: { power: 1 },
      loss: [1, 0.6137056388801094],
      gradients: { predictions: [-2, 0] },
      from: 'by hand: poisson_nll, e^x - y x',
    },
  ],
})
