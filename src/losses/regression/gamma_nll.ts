/** Negative log-likelihood of positive amounts under a gamma distribution. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'gamma_nll',
  family: 'regression',
  couples: 'element',
  about:
    'For positive amounts whose spread grows with their size (claims, durations, rainfall). The model predicts the logarithm of the mean. For data with zeros use tweedie. For predictions below -709 (-88 in float32) the loss is infinite, so keep the first steps small.',
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Logarithm of the predicted mean.' }),
    targets: input('...', 'positive', { about: 'Amounts, > 0.' }),
  },
  params: noParams,
  // The gamma density with mean m = e^x has -ln p = k (x + y / m) + terms without x; the shape k only scales it. An
  // amount of 0 does not use e^-x, which may be infinite. Far out, y e^-x is computed as e^(-x - 44) (y e^44),
  // because e^-x itself overflows where a small amount keeps the product finite.
  formula: `
    z = -predictions
    ratio = z > 44 ? exp(z - 44) * (targets * 12851600114359308276) : targets * exp(z)
    predictions + (targets == 0 ? 0 : ratio)`,
  limits: { overflow: { below: -700 } },
  references: [
    'McCullagh and Nelder 1989, Generalized Linear Models, doi:10.1007/978-1-4899-3242-6',
    'sklearn._loss.HalfGammaLoss',
  ],
  examples: [
    {
      inputs: { predictions: [0, 0.6931471805599453], targets: [3, 2] },
      loss: [3, 1.6931471805599454],
      gradients: { predictions: [-2, 0] },
      from: 'by hand: x + y e^-x',
    },
  ],
})
