/** Soft margin: the logistic loss with targets -1 and 1. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'soft_margin',
  family: 'margin',
  couples: 'element',
  about:
    'Logistic loss for targets -1 and 1: a hinge without a corner, whose gradient never becomes 0. It is binary_cross_entropy_with_logits with other labels; use that one for targets of 0 and 1, soft targets or pos_weight.',
  aliases: ['soft_margin_loss'],
  presets: {
    torch: {
      names: { 'torch.nn.functional.soft_margin_loss': {}, 'torch.nn.SoftMarginLoss': {} },
      note: 'Finite for all scores; PyTorch overflows for scores below -88 (float32) on the wrong side and returns infinity with NaN gradients.',
    },
  },
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Scores.' }),
    targets: input('...', 'sign', { about: '-1 or 1.' }),
  },
  params: noParams,
  // ln(1 + e^-yx), where e^-yx can overflow but softplus does not.
  formula: 'softplus(-targets * predictions)',
  references: ['torch.nn.functional.soft_margin_loss'],
  examples: [
    {
      inputs: { predictions: [0, 1.0986122886681098, 1.0986122886681098], targets: [1, 1, -1] },
      loss: [0.6931471805599453, 0.28768207245178085, 1.3862943611198906],
      gradients: { predictions: [-0.5, -0.25, 0.75] },
      from: 'by hand: ln 2, ln(1 + 1/3), ln(1 + 3)',
    },
  ],
})
