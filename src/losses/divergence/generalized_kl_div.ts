/** Generalized Kullback-Leibler divergence, of quantities that need not sum to 1. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'generalized_kl_div',
  family: 'divergence',
  couples: 'row',
  about:
    'Divergence of nonnegative quantities that need not sum to 1 (counts, intensities, unnormalized scores): kl_div plus the difference of the totals, so that it is never negative, and 0 only where both sides agree. If both sides are distributions, use kl_div: the additional term is then 0.',
  presets: {
    optax: {
      names: {
        'optax.losses.generalized_kl_divergence': {},
        'optax.generalized_kl_divergence': {},
        'optax.losses.convex_kl_divergence': {},
        'optax.convex_kl_divergence': {},
      },
      params: { class_axis: -1 },
      reduction: 'none',
    },
  },
  inputs: {
    predictions: input('rows,classes,...', 'logprob', {
      differentiable: true,
      about: 'Logarithms of the predicted quantities.',
    }),
    targets: input('rows,classes,...', 'nonnegative', { about: 'The true quantities.' }),
  },
  params: Type.Object({ class_axis: classAxisParam }),
  // y (ln y - x) + e^x - y = y (e^d - 1 - d) with d = x - ln y. Near the optimum the right side keeps the digits
  // that the left side loses; far from it, e^d might overflow where y is tiny. A y of 0 leaves e^x, the limit.
  formula: `
    d = predictions - log(targets)
    near = targets * exp_tail(d)
    far = exp(predictions) - targets * (1 + d)
    sum(targets == 0 ? exp(predictions) : abs(d) < 1 ? near : far, classes)`,
  references: [
    'Boyd and Vandenberghe 2004, Convex Optimization, p. 90',
    'Bregman 1967, doi:10.1016/0041-5553(67)90040-7',
    'optax.losses.generalized_kl_divergence',
  ],
  examples: [
    {
      inputs: { predictions: [[0.6931471805599453, 0, 0]], targets: [[1, 0, 1]] },
      loss: [1.3068528194400546],
      gradients: { predictions: [[1, 1, 0]] },
      from: 'by hand: (2 - 1 - ln 2) + 1 + 0, slope e^x - y',
    },
  ],
})
