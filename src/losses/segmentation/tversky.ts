/** Tversky loss: overlap with false positives and false negatives weighed apart. */
import { Type } from '@sinclair/typebox'
import { defineLoss } from '../define.ts'
import {
  activation,
  ignoredClass,
  pixelMask,
  REGIONS_WITH_PIXELS,
  scoresInput,
  softMaskInput,
  TP_FP_FN,
} from '../regions.ts'

export default defineLoss({
  name: 'tversky',
  family: 'segmentation',
  couples: 'group',
  about:
    'Overlap of predicted and true regions, per row and class, where alpha weighs what is predicted too much and beta what is missed. Use beta > alpha where small regions get lost (0.3 and 0.7 are common). With alpha = beta = 0.5 it is dice (with half its smooth), with 1 and 1 jaccard: take those for balanced errors. Not alone early in training: add cross-entropy. An empty region (an absent class) costs 0 where it is predicted empty, else alpha E / (alpha E + smooth) with E the sum of what is predicted, which with smooth 0 is 1 without a gradient; it counts in the mean, as in MONAI.',
  presets: {
    torch: {
      names: { 'monai.losses.TverskyLoss': {} },
      params: { activation: 'none', smooth: 1e-5 },
      note: "MONAI's sigmoid=True and softmax=True are the activation here; alpha weighs false positives in both. Class indices (to_onehot_y=True) come without the axis of length 1. A row that is ignored as a whole leaves the mean, in MONAI it counts as 0. The TverskyLoss of segmentation_models_pytorch takes the batch as one region, and an absent class counts 0 there.",
    },
    keras: {
      names: { 'keras.losses.Tversky': {}, 'keras.losses.tversky': {} },
      params: { activation: 'none', smooth: 0 },
      note: 'alpha weighs false positives, as in the paper and in Keras from keras#23333 on; Keras up to 3.15 weighs false negatives with it: swap the two for its numbers. Keras takes the whole batch as one region unless axis says otherwise; here each row and class is one, so that a mean does not depend on who shares the batch. An empty region predicted empty costs 0, in Keras 1; Keras adds an epsilon of 1e-7 to the denominator, which is not added here.',
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
        'Added above and below, in elements. An empty region that is predicted empty has loss 0, also with smooth 0 (gradient 0 then).',
    }),
    ignore_index: ignoredClass,
  }),
  // 1 - (hit + smooth) / (hit + alpha extra + beta missed + smooth)
  formula: `${TP_FP_FN}
    wrong = alpha * extra + beta * missed
    total = hit + wrong + smoothed
    total == 0 ? 0 : wrong / total`,
  denominator: REGIONS_WITH_PIXELS,
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
