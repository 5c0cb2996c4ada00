/** Binary sparsemax loss. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'sparsemax',
  family: 'margin',
  couples: 'element',
  about:
    'Between hinge and logistic loss, for targets 0 and 1. Like logistic loss it is smooth; like hinge it is exactly 0 from a margin of 1 on. Its link function gives probabilities that reach 0 and 1. If rows that are far on the wrong side must be distinguished by likelihood, use binary_cross_entropy_with_logits. For more than two classes use multiclass_sparsemax.',
  presets: { optax: { names: { 'optax.losses.sparsemax_loss': {} }, reduction: 'none' } },
  advice: [
    {
      task: 'binary',
      wish: 'sparsity',
      because: 'The matching link function reaches exactly 0 and 1.',
      unless: 'every example must keep a nonzero gradient.',
    },
  ],
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Logits.' }),
    targets: input('...', 'binary', { about: '0 or 1.' }),
  },
  params: noParams,
  // With z the logit on the wrong side: 0 up to -1, (z + 1)^2 / 4 up to 1, then z. The pieces meet with equal
  // slope.
  formula: `
    z = (1 - 2 * targets) * predictions
    z > 1 ? z : relu(z + 1)^2 / 4`,
  references: [
    'Martins and Astudillo 2016, From Softmax to Sparsemax, arXiv:1602.02068',
    'Blondel et al. 2020, Learning with Fenchel-Young Losses, arXiv:1901.02324',
    'optax.losses.sparsemax_loss',
  ],
  examples: [
    {
      inputs: { predictions: [0, 2, 2, -0.5], targets: [1, 1, 0, 1] },
      loss: [0.25, 0, 2, 0.5625],
      gradients: { predictions: [-0.5, 0, 1, -0.75] },
      from: 'by hand',
    },
  ],
})
