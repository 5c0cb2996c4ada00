/** Barron's general robust loss: one family from squared error to Welsch. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'barron_robust',
  family: 'regression',
  couples: 'element',
  about:
    'One loss for every degree of robustness: alpha 2 is half_squared, 1 Charbonnier (a smooth l1), 0 Cauchy, -2 Geman-McClure, and towards minus infinity Welsch. Below 1 it is not convex, and outliers pull less and less. Do not start training there: a model that begins far away gets hardly any gradient. Anneal alpha down from 2 or 1.',
  aliases: {
    charbonnier: { alpha: 1 },
    cauchy: { alpha: 0 },
    geman_mcclure: { alpha: -2 },
    // Minus infinity is not a JSON number. At this value float64 shows no difference.
    welsch: { alpha: -1e30 },
  },
  advice: [
    {
      task: 'regression',
      trouble: 'outliers',
      wish: 'robustness',
      because: 'One parameter moves from squared error to losses whose gradient fades to 0 for outliers.',
      unless: 'you need convexity: for alpha below 1 there can be more than one minimum.',
    },
  ],
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Model output.' }),
    targets: input('...', 'real', { differentiable: true, about: 'Ground truth.' }),
  },
  params: Type.Object({
    alpha: Type.Number({
      default: 1,
      infinite: true,
      description:
        'Shape, without a unit: the lower, the less an outlier counts. 2, 0 and -Infinity (Welsch; a string in JSON) are limits and are computed as such. Above 2, outliers count more than in squared error.',
    }),
    scale: Type.Number({
      exclusiveMinimum: 0,
      default: 1,
      description: 'Size of an error that still counts as an inlier, in units of the targets.',
    }),
  }),
  // Barron's rho = b/alpha ((s/b + 1)^(alpha/2) - 1) with s = (e/c)^2 and b = |alpha - 2| is a power minus 1, which
  // keeps no digits near e = 0, and 0/0 at alpha = 0 and alpha = 2. With h = b/2 ln(1 + s/b), the loss at alpha =
  // 0, it is b/alpha expm1(t) with t = alpha/b h: exact near 0, and h itself where t is within a rounding of 0 (e
  // or alpha near 0). For large b, ln(1 + s/b) equals s/b up to rounding, so that h is s/2 and alpha = -inf gives 1
  // - e^(-s/2) (Welsch). Where s overflows in float32, its logarithm does not.
  formula: `
    e = (predictions - targets) / scale
    s = e^2
    b = abs(alpha - 2)
    far = b / 2 * (2 * log(abs(e)) - log(b) + log1p(b / s))
    near = b / 2 * log1p(s / b)
    h = b > 1e30 or s / b < 1e-16 ? s / 2 : abs(e) > 1e18 ? far : near
    r = alpha < -1e30 ? -1 : alpha / b
    t = r * h
    robust = abs(t) < 1e-17 ? h : expm1(t) / r
    alpha == 2 ? s / 2 : robust`,
  references: [
    'Barron 2019, A General and Adaptive Robust Loss Function, arXiv:1701.03077',
    'kornia.losses.charbonnier_loss, cauchy_loss, geman_mcclure_loss, welsch_loss',
  ],
  examples: [
    {
      inputs: { predictions: [0, 3, -3], targets: [0, 0, 0] },
      params: { scale: 4 },
      loss: [0, 0.25, 0.25],
      gradients: { predictions: [0, 0.15, -0.15], targets: [0, -0.15, 0.15] },
      from: 'by hand: sqrt((e/c)^2 + 1) - 1, e/c = 3/4',
    },
    {
      inputs: { predictions: [2], targets: [0] },
      params: { alpha: -2 },
      loss: [1],
      gradients: { predictions: [0.5] },
      from: 'by hand: 2 e^2 / (e^2 + 4)',
    },
    {
      inputs: { predictions: [2], targets: [0] },
      params: { alpha: 0 },
      loss: [1.0986122886681098],
      gradients: { predictions: [0.6666666666666666] },
      from: 'by hand: ln(1 + e^2 / 2)',
    },
    {
      inputs: { predictions: [2], targets: [0] },
      params: { alpha: -1e30 },
      loss: [0.8646647167633873],
      gradients: { predictions: [0.2706705664732254] },
      from: 'by hand: 1 - e^(-e^2 / 2)',
    },
    {
      inputs: { predictions: [2], targets: [0] },
      params: { alpha: 2 },
      loss: [2],
      gradients: { predictions: [2] },
      from: 'by hand: e^2 / 2',
    },
  ],
})
