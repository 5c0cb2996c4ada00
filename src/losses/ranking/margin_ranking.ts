/** Hinge on the difference of two scores. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'margin_ranking',
  family: 'ranking',
  couples: 'element',
  about:
    'For pairs: input1 shall score higher than input2 by a margin where targets is 1, lower where it is -1.',
  aliases: ['pairwise_ranking'],
  inputs: {
    input1: input('...', 'real', { differentiable: true, about: 'Scores of the first ones.' }),
    input2: input('...', 'real', { differentiable: true, about: 'Scores of the second ones.' }),
    targets: input('...', 'sign', { about: '1 where the first shall win, -1 where the second.' }),
  },
  params: Type.Object({
    margin: Type.Number({ default: 0, description: 'Difference of scores that is enough.' }),
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
