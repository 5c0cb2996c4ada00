/** Hinge on the difference of two scores. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'margin_ranking',
  family: 'ranking',
  couples: 'element',
  about:
    'For pairs that you have chosen yourself: input1 must score higher than input2 by a margin where targets is 1, and lower where it is -1. With margin 0 equal scores cost nothing, so a constant model is perfect: set a margin. For whole lists, whose pairs are many and coupled, use pairwise_hinge_ranking or lambda_rank.',
  aliases: ['pairwise_ranking'],
  presets: {
    torch: {
      names: { 'torch.nn.functional.margin_ranking_loss': {}, 'torch.nn.MarginRankingLoss': {} },
      note: 'Exactly at the margin the gradient is 0, as in PyTorch 2.15; PyTorch 2.13 returned the gradient of the active side.',
    },
  },
  inputs: {
    input1: input('...', 'real', { differentiable: true, about: 'Scores of the first items.' }),
    input2: input('...', 'real', { differentiable: true, about: 'Scores of the second items.' }),
    targets: input('...', 'sign', { about: '1 if the first item should win, -1 if the second should.' }),
  },
  params: Type.Object({
    margin: Type.Number({
      default: 0,
      description: 'Difference of scores that is enough, in the same units.',
    }),
  }),
  formula: 'relu(margin - targets * (input1 - input2))',
  references: ['torch.nn.functional.margin_ranking_loss'],
  examples: [
    {
      inputs: { input1: [1, 0.5], input2: [0, 1], targets: [1, 1] },
      params: { margin: 0.25 },
      loss: [0, 0.75],
      gradients: { input1: [0, -1], input2: [0, 1] },
      from: 'by hand',
    },
  ],
})
