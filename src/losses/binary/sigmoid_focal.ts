/** Focal loss on logits. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, nullable } from '../define.ts'

export default defineLoss({
  name: 'sigmoid_focal',
  family: 'binary',
  couples: 'element',
  about:
    'Cross-entropy that down-weights easy examples, for detection and other tasks with few positives. With gamma 0 and alpha null it is plain cross-entropy. Avoid it if probabilities must be calibrated, or if many labels are wrong: it concentrates on what it cannot fit.',
  aliases: ['focal'],
  presets: {
    torch: {
      names: { 'torchvision.ops.sigmoid_focal_loss': {} },
      reduction: 'none',
      note: "alpha null corresponds to torchvision's alpha=-1. For gamma < 1 the gradient is finite at saturated logits; torchvision returns NaN.",
    },
    keras: {
      names: {},
      params: { alpha: null, epsilon: 1e-7 },
      note: 'Corresponds to BinaryFocalCrossentropy(from_logits=True). Keras uses its alpha of 0.25 only with apply_class_balancing=True; pass alpha explicitly in that case.',
    },
    optax: {
      names: { 'optax.losses.sigmoid_focal_loss': {}, 'optax.sigmoid_focal_loss': {} },
      params: { alpha: null },
      reduction: 'none',
      note: 'At targets of exactly 0 or 1 the gradient with respect to the targets is the limit of that at soft targets; optax drops one of its terms there.',
    },
  },
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Logits.' }),
    targets: input('...', 'probability', {
      differentiable: true,
      about: '0 or 1, or a probability in between.',
    }),
  },
  params: Type.Object({
    alpha: nullable(Type.Number({ minimum: 0, maximum: 1 }), {
      default: 0.25,
      description: 'Weight of the positives; negatives have weight 1 - alpha. null: no weights.',
    }),
    gamma: Type.Number({
      minimum: 0,
      default: 2,
      description: 'Exponent that down-weights easy examples; 0 does not.',
    }),
    epsilon: Type.Number({
      minimum: 0,
      exclusiveMaximum: 0.5,
      default: 0,
      // Without clipping, no step of it is in the program.
      structural: true,
      description:
        'Probabilities are clipped to [epsilon, 1 - epsilon] inside the logarithms, as in Keras; beyond the bounds only the fading factor has a gradient. 0 clips nothing.',
    }),
  }),
  // 1 - p_t = y s(-x) + (1 - y) s(x), one form for hard and soft targets, so that the gradient of a target of 0 or 1
  // is the limit of its soft neighbours'. Where 1 - p_t underflows (a hard target, |x| > 85, the right side) the power,
  // which has an infinite slope at 0 for gamma < 1, is e^(-gamma |x|); only there the fading is constant in y, which leaves
  // out gamma / |x| of a gradient that is at most |x| e^(-gamma |x|). Beyond 800 the sigmoid is 0 or 1 in every precision,
  // and its slope 0, whatever that would be multiplied by.
  // Clipping p to [e, 1 - e] inside -ln p and -ln(1 - p) clips both to [-ln(1 - e), -ln e].
  // The square is a separate case, because nearly everybody uses it and it costs half as much.
  formula: `
    x = predictions
    y = targets
    low = -log1p(-epsilon)
    high = -log(epsilon)
    yes = epsilon > 0 ? clamp(softplus(-x), low, high) : softplus(-x)
    no = epsilon > 0 ? clamp(softplus(x), low, high) : softplus(x)
    bce = y * yes + (1 - y) * no
    logit = abs(x) < 800 ? x : stop_gradient(x)
    miss = y * sigmoid(-logit) + (1 - y) * sigmoid(logit)
    power = miss > 1e-37 ? miss^gamma : exp(-gamma * abs(x))
    fading = gamma == 2 ? miss^2 : power
    weight = given(alpha) ? alpha * y + (1 - alpha) * (1 - y) : 1
    weight * fading * bce`,
  references: [
    'Lin et al. 2017, Focal Loss for Dense Object Detection, arXiv:1708.02002',
    'torchvision.ops.sigmoid_focal_loss',
    'optax.losses.sigmoid_focal_loss (alpha null)',
  ],
  examples: [
    {
      inputs: { predictions: [0, 0], targets: [1, 0] },
      loss: [0.04332169878499658, 0.1299650963549897],
      gradients: { predictions: [-0.07457169878499657, 0.22371509635498976] },
      from: 'by hand: alpha_t / 4 * ln 2, and -+ alpha_t / 4 * (ln 2 + 1/2)',
    },
  ],
})
