/** Dice loss: one minus the overlap of a predicted and a true region. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, oneOf } from '../define.ts'

export default defineLoss({
  name: 'dice',
  family: 'segmentation',
  couples: 'group',
  about:
    'Overlap of predicted and true regions, per row and class: blind to how large the background is. Add cross-entropy where early training is unstable.',
  inputs: {
    predictions: input('rows,classes,...', 'real', {
      differentiable: true,
      about: 'Logits, or probabilities with activation none.',
    }),
    targets: input('rows,classes,...', 'probability', { about: 'Regions: 0 or 1, or soft.' }),
  },
  params: Type.Object({
    activation: oneOf(['sigmoid', 'softmax', 'none'], {
      default: 'sigmoid',
      description: 'What makes probabilities of the predictions.',
    }),
    smooth: Type.Number({
      minimum: 0,
      default: 1,
      description:
        'Added above and below. An empty region that is predicted empty has loss 0, also with smooth 0 (gradient 0 then).',
    }),
  }),
  formula: `
    p = activation == sigmoid ? sigmoid(predictions) : activation == softmax ? softmax(predictions, classes) : predictions
    overlap = sum(p * targets, ...)
    total = sum(p, ...) + sum(targets, ...)
    total + smooth == 0 ? 0 : 1 - (2 * overlap + smooth) / (total + smooth)`,
  references: [
    'Milletari et al. 2016, V-Net, arXiv:1606.04797',
    'optax.losses.binary_dice_loss',
    'monai.losses.DiceLoss',
  ],
  examples: [
    {
      inputs: { predictions: [[[1, 0, 0.5, 0.5]]], targets: [[[1, 0, 1, 0]]] },
      params: { activation: 'none', smooth: 0 },
      loss: [[0.25]],
      from: 'by hand: 1 - 2 * 1.5 / (2 + 2)',
    },
  ],
})
