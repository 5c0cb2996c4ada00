/** Asymmetric loss: focal loss for many labels of which few are present. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'asymmetric',
  family: 'binary',
  couples: 'element',
  about:
    'For multilabel classification where most labels are absent. Negatives are down-weighted more than positives, and negatives with a probability below clip do not count at all, which also makes missing labels harmless. Avoid it if a row has exactly one label (use cross_entropy or softmax_focal), or if probabilities must be calibrated: it pushes them up.',
  advice: [
    {
      task: 'multilabel',
      trouble: 'imbalance',
      because: 'Negatives are down-weighted more than positives, and the easiest negatives are dropped.',
      unless: 'labels are balanced, or probabilities must be calibrated.',
    },
  ],
  inputs: {
    predictions: input('rows,classes', 'real', { differentiable: true, about: 'Logits, one per label.' }),
    targets: input('rows,classes', 'binary', { about: '1 if the label is present, otherwise 0.' }),
  },
  params: Type.Object({
    gamma_negative: Type.Number({
      minimum: 0,
      default: 4,
      description: 'Exponent that down-weights easy negatives; 0 does not.',
    }),
    gamma_positive: Type.Number({
      minimum: 0,
      default: 1,
      description: 'Exponent that down-weights easy positives; 0 does not.',
    }),
    clip: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0.05,
      description:
        'Subtracted from the probability of a negative. If the result is not above 0, the negative does not count.',
    }),
    epsilon: Type.Number({
      minimum: 0,
      exclusiveMaximum: 0.5,
      default: 1e-8,
      description:
        'Smallest probability whose logarithm is taken. Below it only the down-weighting has a gradient, as in timm. 0: no bound.',
    }),
  }),
  // A positive with p = s(x) costs (1 - p)^g -ln p, a negative with the shifted m = [p - clip]+ costs m^g -ln(1 -
  // m). Stable forms: 1 - p = s(-x), whose power is e^(-g softplus(x)); -ln p = softplus(-x); and -ln(1 - m) is
  // -ln(1 + -m) for small m, but -ln(s(-x) + clip) for large m, where 1 - m would cancel. With clip 0 that is
  // softplus(x). s(x) is computed as 1/2 + tanh(x/2) / 2 where a power would multiply the rounding error of s(x) -
  // clip. m = 0 is a separate case, because m^g has an infinite slope there for g < 1.
  formula: `
    x = predictions
    bound = -log(epsilon)
    positive = exp(-gamma_positive * softplus(x)) * min(softplus(-x), bound)
    m = relu(abs(x) < 1 ? (0.5 - clip) + tanh(x / 2) / 2 : sigmoid(x) - clip)
    far = clip > 0 ? -log(sigmoid(-x) + clip) : softplus(x)
    miss = m < 0.5 ? -log1p(-m) : far
    negative = m > 0 ? m^gamma_negative * min(miss, bound) : 0
    targets * positive + (1 - targets) * negative`,
  references: [
    'Ben-Baruch et al. 2021, Asymmetric Loss For Multi-Label Classification, arXiv:2009.14119',
    'timm.loss.AsymmetricLossMultiLabel (reduction none)',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0, -4]], targets: [[1, 0, 0]] },
      loss: [[0.34657359027997264, 0.02451505351223516, 0]],
      gradients: { predictions: [[-0.42328679513998635, 0.07311710123931046, 0]] },
      from: 'by hand: ln 2 / 2, -0.45^4 ln 0.55, and 0.018 < clip',
    },
  ],
})
