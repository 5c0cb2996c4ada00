/** Corner cases of the regression losses, with numbers computed by hand. */
import { describeCorners } from '../support/corners.ts'

describeCorners([
  [
    'a target of 0 divides by epsilon, and a hit rests',
    'mape',
    { predictions: [1, 0], targets: [0, 0] },
    { epsilon: 1e-3 },
    { loss: [1e5, 0], predictions: [1e5, 0] },
  ],
  [
    // 2^-41 is the difference of the logarithms up to its square; taken as ln 2... - ln 2 it has 4 digits.
    'msle keeps the digits of a small difference',
    'msle',
    { predictions: [1 + 2 ** -40, 1], targets: [1, 1 + 2 ** -40] },
    {},
    { loss: [Math.log1p(2 ** -41) ** 2, Math.log1p(2 ** -41) ** 2], predictions: [2 ** -41, -(2 ** -41)] },
  ],
  [
    'msle below epsilon rests, as in Keras; with epsilon 0 it does not',
    'msle',
    { predictions: [0], targets: [1] },
    { epsilon: 1e-3 },
    { loss: [(Math.log(2) - Math.log(1.001)) ** 2], predictions: [0] },
  ],
  [
    'an expectile has no kink where it is met',
    'expectile',
    { predictions: [1, 1e-9], targets: [1, 0] },
    { tau: 0.9 },
    { loss: [0, 1e-19], predictions: [0, 2e-10] },
  ],
  [
    // scikit-learn: 0 * e^1e4 = NaN.
    'an amount of 0 asks for no e^-x',
    'gamma_nll',
    { predictions: [-1e4], targets: [0] },
    {},
    { loss: [-1e4], predictions: [1] },
  ],
  [
    // scikit-learn: 0 * e^5e3 = NaN.
    'an amount of 0 asks for no power of the mean',
    'tweedie',
    { predictions: [-1e4], targets: [0] },
    {},
    { loss: [0], predictions: [0] },
  ],
  [
    // sqrt(1 + 1e-20) - 1 is 0.
    'barron_robust keeps the digits of tiny errors, for every alpha',
    'barron_robust',
    { predictions: [1e-10], targets: [0] },
    { alpha: 1 },
    { loss: [5e-21], predictions: [1e-10] },
  ],
  [
    'alpha near 0 is Cauchy',
    'barron_robust',
    { predictions: [2, 1e4], targets: [0, 0] },
    { alpha: 1e-300 },
    { loss: [Math.log(3), Math.log1p(5e7)], predictions: [2 / 3, 1e4 / (1 + 5e7)] },
  ],
  [
    'alpha near 2 is half_squared',
    'barron_robust',
    { predictions: [0, 3, 1e-8], targets: [0, 0, 0] },
    { alpha: 2 - 2 ** -52 },
    { loss: [0, 4.5, 5e-17], predictions: [0, 3, 1e-8] },
  ],
  [
    'alpha far down is Welsch, and its tail keeps its digits',
    'barron_robust',
    { predictions: [1e-9, 10, 1e4], targets: [0, 0, 0] },
    { alpha: -1e30 },
    { loss: [5e-19, 1, 1], predictions: [1e-9, 10 * Math.exp(-50), 0] },
  ],
])
