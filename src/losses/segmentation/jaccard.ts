/** Jaccard loss: one minus intersection over union of a predicted and a true region. */
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
  name: 'jaccard',
  family: 'segmentation',
  couples: 'group',
  about:
    'Soft IoU of predicted and true regions, per row and class, independent of the size of the background. Use it if the metric is IoU. It penalizes a half-found region more than dice. Early in training and for tiny regions it is noisy: add cross-entropy. For soft targets the loss is above 0 even if the predictions equal them. An empty region (an absent class) has loss 0 if it is predicted empty, otherwise E / (E + smooth), where E is the sum of the predictions. With smooth 0 that is 1 and has no gradient. It counts in the mean, as in MONAI.',
  presets: {
    torch: {
      names: {},
      params: { activation: 'none', smooth: 5e-6 },
      note: 'Corresponds to DiceLoss(jaccard=True) of MONAI, whose smooth of 1e-5 is added to twice the intersection and twice the union. The JaccardLoss of segmentation_models_pytorch treats the batch as one region, and absent classes count as 0 there.',
    },
  },
  inputs: { predictions: scoresInput, targets: softMaskInput, mask: pixelMask },
  params: Type.Object({
    activation: activation('sigmoid'),
    smooth: Type.Number({
      minimum: 0,
      default: 1,
      description:
        'Added to the numerator and the denominator, in elements. An empty region that is predicted empty has loss 0, even with smooth 0 (the gradient is then 0, too).',
    }),
    ignore_index: ignoredClass,
  }),
  // 1 - (hit + smooth) / (union + smooth), with the union hit + extra + missed.
  formula: `${TP_FP_FN}
    union = hit + extra + missed
    union + smoothed == 0 ? 0 : (extra + missed) / (union + smoothed)`,
  denominator: COUNT_NONEMPTY_REGIONS,
  references: [
    'Rahman and Wang 2016, Optimizing Intersection-Over-Union in Deep Neural Networks, doi:10.1007/978-3-319-50835-1_22',
    'monai.losses.DiceLoss(jaccard=True): its smooth is twice this one',
    'segmentation_models_pytorch.losses.JaccardLoss: one region for the whole batch, absent classes count 0',
  ],
  examples: [
    {
      inputs: { predictions: [[[1, 0, 0.5, 0.5]]], targets: [[[1, 0, 1, 0]]] },
      params: { activation: 'none', smooth: 0 },
      loss: [[0.4]],
      gradients: { predictions: [[[-0.4, 0.24, -0.4, 0.24]]] },
      from: 'by hand: 1 - 1.5 / 2.5; a hit moves 1/U, an extra I/U^2',
    },
    {
      inputs: {
        predictions: [
          [
            [1, 0.5, 0, 'NaN'],
            [0, 0.5, 1, 7],
          ],
        ],
        targets: [[0, 0, 1, 1]],
        mask: [[1, 1, 1, 0]],
      },
      params: { activation: 'none', smooth: 0 },
      loss: [[0.25, 0.3333333333333333]],
      from: 'by hand: 0.5 of 2, and 0.5 of 1.5; the last pixel is masked, whatever it contains',
    },
  ],
})
