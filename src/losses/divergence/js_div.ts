/** Jensen-Shannon divergence between two distributions. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'js_div',
  family: 'divergence',
  couples: 'row',
  about:
    'How different two distributions are: symmetric, and at most ln 2, even if one of them is 0 where the other is not. It hardly changes between distributions that do not overlap. If one of them is the truth and must be covered, use kl_div.',
  presets: {
    torch: {
      names: {
        'torchmetrics.functional.regression.jensen_shannon_divergence': {},
        'torchmetrics.regression.JensenShannonDivergence': {},
      },
      note: 'The gradient is finite at a probability of 0; torchmetrics returns NaN.',
    },
  },
  inputs: {
    predictions: input('rows,classes,...', 'simplex', {
      outside: 'for logits, send their softmax',
      differentiable: true,
      about:
        'One distribution per row. Each row is first divided by its sum, which the gradient takes into account.',
    }),
    targets: input('rows,classes,...', 'simplex', {
      differentiable: true,
      about: 'The other distribution, treated in the same way.',
    }),
  },
  params: Type.Object({ class_axis: classAxisParam }),
  // With m = (p + q) / 2, a = p / m, b = q / m and d = (a - b) / 2, the row is
  //   1/2 sum m (a ln a + b ln b) = 1/2 sum m (ln(1 - d^2) + d (ln(1 + d) - ln(1 - d))),
  // because a = 1 + d and b = 1 - d. Near equality the whole second form is of the order of d^2; in the first, two
  // terms of the order of d cancel. At a = 0 the slope ln a is infinite: the lower bound keeps it large with the
  // right sign. Everything is homogeneous in p and q, so a factor of 2^60 keeps denormal shares, and another one
  // denormal rows, in the range where they have an inverse.
  formula: `
    x = sum(predictions, classes) < 1e-20 ? 1152921504606846976 * predictions : predictions
    y = sum(targets, classes) < 1e-20 ? 1152921504606846976 * targets : targets
    sum_x = sum(x, classes)
    sum_y = sum(y, classes)
    p = 1152921504606846976 * (sum_x == 0 ? x : x / sum_x)
    q = 1152921504606846976 * (sum_y == 0 ? y : y / sum_y)
    m = (p + q) / 2
    a = p / m
    b = q / m
    d = (p - q) / (p + q)
    near = log1p(-d * d) + d * (log1p(d) - log1p(-d))
    far = a * log(max(a, 1e-37)) + b * log(max(b, 1e-37))
    sum(m == 0 ? 0 : m * (abs(d) < 0.5 ? near : far), classes) / 2305843009213693952`,
  references: [
    'Lin 1991, Divergence measures based on the Shannon entropy, doi:10.1109/18.61115',
    'torchmetrics.functional.regression.jensen_shannon_divergence',
  ],
  examples: [
    {
      inputs: {
        predictions: [
          [1, 0],
          [0.25, 0.75],
        ],
        targets: [
          [0, 1],
          [0.25, 0.75],
        ],
      },
      loss: [0.6931471805599453, 0],
      from: 'by hand: ln 2 where nothing overlaps, 0 where all does',
    },
  ],
})
