/** Negative log-likelihood of class indices under given log-probabilities. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, ignoreIndex, input } from '../define.ts'

export default defineLoss({
  name: 'nll',
  family: 'multiclass',
  couples: 'row',
  about:
    'For models that already end in log_softmax. It does not check that rows are normalized: on logits it decreases without bound. Use cross_entropy for logits and cross_entropy_from_probs for probabilities.',
  aliases: ['nll_loss'],
  presets: {
    torch: {
      names: { 'torch.nn.functional.nll_loss': {}, 'torch.nn.NLLLoss': {}, 'torch.nn.NLLLoss2d': {} },
      note: 'If all rows are ignored the mean is 0; PyTorch returns NaN.',
    },
  },
  inputs: {
    predictions: input('rows,classes,...', 'logprob', { differentiable: true, about: 'Log-probabilities.' }),
    targets: input('rows,...', 'class', { about: 'Class indices.' }),
    class_weights: input('classes', 'nonnegative', {
      optional: true,
      about: 'One weight per class. The mean divides by the sum of the weights of the target classes.',
    }),
  },
  params: Type.Object({
    ignore_index: Type.Integer(ignoreIndex),
    class_axis: classAxisParam,
  }),
  formula: `
    w = given(class_weights) ? pick(class_weights, targets, classes) : 1
    kept = targets != ignore_index
    kept ? -w * pick(predictions, targets, classes) : 0`,
  denominator: 'kept ? w : 0',
  references: ['torch.nn.functional.nll_loss'],
  examples: [
    {
      inputs: {
        predictions: [
          [-0.5, -1],
          [-2, -0.25],
        ],
        targets: [0, 1],
      },
      loss: [0.5, 0.25],
      gradients: {
        predictions: [
          [-1, 0],
          [0, -1],
        ],
      },
      from: 'by hand',
    },
  ],
})
