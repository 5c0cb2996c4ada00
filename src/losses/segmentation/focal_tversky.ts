/** Focal Tversky loss: a power of the Tversky loss. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, oneOf } from '../define.ts'
import { REGIONS } from '../lines.ts'

export default defineLoss({
  name: 'focal_tversky',
  family: 'segmentation',
  couples: 'group',
  about:
    'The Tversky loss of each row and class to the power gamma. gamma below 1 (0.75 is common) keeps pushing regions that are nearly right, above 1 turns to those that are badly wrong; 1 is tversky. Not with gamma far below 1 near convergence: its slope grows without bound as the loss goes to 0.',
  inputs: {
    predictions: input('rows,classes,...', 'real', {
      outside: 'logits go with activation sigmoid or softmax',
      differentiable: true,
      about: 'Logits, or probabilities with activation none.',
      kindFor: (params) => (params.activation === 'none' ? 'probability' : 'real'),
    }),
    targets: input('rows,classes,...', 'probability', { about: 'Regions: 0 or 1, or soft.' }),
  },
  params: Type.Object({
    activation: oneOf(['sigmoid', 'softmax', 'none'], {
      default: 'sigmoid',
      description: 'What makes probabilities of the predictions.',
    }),
    alpha: Type.Number({ minimum: 0, default: 0.5, description: 'Weight of false positives.' }),
    beta: Type.Number({ minimum: 0, default: 0.5, description: 'Weight of false negatives.' }),
    gamma: Type.Number({
      exclusiveMinimum: 0,
      default: 1,
      description: 'Power of the Tversky loss; the gamma of Abraham and Khan is 1 / this.',
    }),
    smooth: Type.Number({
      minimum: 0,
      default: 1,
      description: 'Added above and below, in elements. An empty region that is predicted empty has loss 0.',
    }),
  }),
  // As tversky, then the power. A region without any error rests: there a power below 1 has an infinite slope.
  formula: `${REGIONS}
    wrong = alpha * extra + beta * missed
    wrong == 0 ? 0 : (wrong / (hit + wrong + smoothed))^gamma`,
  references: [
    'Abraham and Khan 2019, A Novel Focal Tversky Loss Function, arXiv:1810.07842 (power 1 / gamma)',
    'segmentation_models_pytorch.losses.TverskyLoss(gamma): the power of the mean over classes of the whole batch',
  ],
  examples: [
    {
      inputs: { predictions: [[[1, 0, 0.5, 0.5]]], targets: [[[1, 0, 1, 0]]] },
      params: { activation: 'none', alpha: 0.3, beta: 0.7, gamma: 0.5, smooth: 0 },
      loss: [[0.5]],
      from: 'by hand: the root of 1 - 1.5 / (1.5 + 0.3 * 0.5 + 0.7 * 0.5)',
    },
  ],
})
