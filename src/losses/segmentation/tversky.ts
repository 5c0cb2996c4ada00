/** Tversky loss: overlap with separate weights for false positives and false negatives. */
import { Type } from '@sinclair/typebox'
import { defineLoss } from '../define.ts'
import {
  activation,
  COUNT_NONEMPTY_REGIONS,
  ignoredClass,
  pixelMask,
  scoresInput,
  softMaskInput,
  TP_FP_FN,
} from '../regions.ts'

export default defineLoss({
  name: 'tversky',
  family: 'segmentation',
  couples: 'group',
  about:
    'Overlap of predicted and true regions, per row and class, where alpha weights false positives and beta false negatives. Use beta > alpha if small regions are missed (0.3 and 0.7 are common). With alpha = beta = 0.5 it is dice (with half its smooth), with alpha = beta = 1 it is jaccard: use those for balanced errors. Early in training it is noisy: add cross-entropy. An empty region (an absent class) has loss 0 if it is predicted empty, otherwise alpha E / (alpha E + smooth), where E is the sum of the predictions. With smooth 0 that is 1 and has no gradient. It counts in the mean, as in MONAI.',
  presets: {
    torch: {
      names: { 'monai.losses.TverskyLoss': {} },
      params: { activation: 'none', smooth: 1e-5 },
      note: "activation replaces MONAI's sigmoid=True and softmax=True; alpha weights false positives in both. Class indices (to_onehot_y=True) have no axis of length 1. A row that is completely ignored is left out of the mean; in MONAI it counts as 0. The TverskyLoss of segmentation_models_pytorch treats the batch as one region, and absent classes count as 0 there.",
    },
    keras: {
      names: { 'keras.losses.Tversky': {}, 'keras.losses.tversky': {} },
      params: { activation: 'none', smooth: 0 },
      note: 'alpha weights false positives, as in the paper and in Keras since keras#23333. In Keras up to 3.15, alpha weights false negatives: swap alpha and beta for its results. By default, Keras treats the whole batch as one region; here each row and class is a region, so that a mean does not depend on what else is in the batch. An empty region that is predicted empty has loss 0; in Keras it has loss 1. Keras adds an epsilon of 1e-7 to the denominator, which is not added here.',
    },
  },
  inputs: { predictions: scoresInput, targets: softMaskInput, mask: pixelMask },
  params: Type.Object({
    activation: activation('sigmoid'),
    alpha: Type.Number({ minimum: 0, default: 0.5, description: 'Weight of false positives.' }),
    beta: Type.Number({ minimum: 0, default: 0.5, description: 'Weight of false negatives.' }),
    smooth: Type.Number({
      minimum: 0,
      default: 1,
      description:
        'Added to the numerator and the denominator, in elements. An empty region that is predicted empty has loss 0, even with smooth 0 (the gradient is then 0, too).',
    }),
    ignore_index: ignoredClass,
  }),
  // 1 - (hit + smooth) / (hit + alpha extra + beta missed + smooth)
  formula: `${TP_FP_FN}
    wrong = alpha * extra + beta * missed
    total = hit + wrong + smoothed
    total == 0 ? 0 : wrong / total`,
  denominator: COUNT_NONEMPTY_REGIONS,
  references: [
    'Salehi et al. 2017, Tversky loss function for image segmentation, arXiv:1706.05721',
    'keras.losses.Tversky',
    'optax.losses.dice_loss(alpha, beta)',
    'monai.losses.TverskyLoss',
  ],
  examples: [
    {
      inputs: { predictions: [[[1, 0, 0.5, 0.5]]], targets: [[[1, 0, 1, 0]]] },
      params: { activation: 'none', alpha: 0.3, beta: 0.7, smooth: 0 },
      loss: [[0.25]],
      from: 'by hand: 1 - 1.5 / (1.5 + 0.3 * 0.5 + 0.7 * 0.5)',
    },
    {
      inputs: {
        predictions: [
          [
            [1, 0.5, 0, 0.5],
            [0, 0.5, 1, 0.5],
          ],
        ],
        targets: [[0, 0, 1, -100]],
      },
      params: { activation: 'none', alpha: 0.3, beta: 0.7, smooth: 0 },
      loss: [[0.1891891891891892, 0.13043478260869565]],
      from: 'by hand: 0.7 * 0.5 of 1.85, and 0.3 * 0.5 of 1.15; the last pixel is ignored',
    },
  ],
})
