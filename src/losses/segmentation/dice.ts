/** Dice loss: one minus the overlap of a predicted and a true region. */
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
  name: 'dice',
  family: 'segmentation',
  couples: 'group',
  about:
    'Overlap of predicted and true regions, per row and class: blind to how large the background is. The default for segmentation with unbalanced regions. Not alone early in training or for tiny regions, where it is noisy: add cross-entropy. Not where probabilities must be calibrated: it drives them to 0 and 1. An empty region (an absent class) costs 0 where it is predicted empty, else E / (E + smooth) with E the sum of what is predicted, which with smooth 0 is 1 without a gradient; it counts in the mean, as in MONAI.',
  presets: {
    torch: {
      names: { 'monai.losses.DiceLoss': {}, 'monai.losses.MaskedDiceLoss': {} },
      params: { activation: 'none', smooth: 1e-5 },
      note: "MONAI's sigmoid=True and softmax=True are the activation here. Class indices (to_onehot_y=True) and a mask come without the axis of length 1. A row that is masked as a whole leaves the mean, in MONAI it counts as 0; NaN behind the mask stays there. segmentation_models_pytorch has no name here, because its regions reach over the batch, and an absent class counts 0: for its number send all pixels as one row, and twice its smooth.",
    },
    keras: {
      names: { 'keras.losses.Dice': {}, 'keras.losses.dice': {} },
      params: { activation: 'none', smooth: 0 },
      note: 'Keras takes the whole batch as one region unless axis says otherwise; here each row and class is one, so that a mean does not depend on who shares the batch. An empty region predicted empty costs 0, in Keras 1; Keras adds an epsilon of 1e-7 to the denominator, which is not added here.',
    },
    optax: {
      names: {
        'optax.losses.dice_loss': { activation: 'softmax' },
        'optax.losses.binary_dice_loss': { activation: 'sigmoid' },
      },
      params: { smooth: 2 },
      reduction: 'none',
      note: 'optax halves the numerator and the denominator before it adds smooth to both, so its smooth of 1 is 2 here. It averages the classes of a row (ours are apart: their mean is its number) and has them last; with its alpha and beta take tversky. For one class its dice_loss means a sigmoid: take binary_dice_loss.',
    },
  },
  inputs: { predictions: scoresInput, targets: softMaskInput, mask: pixelMask },
  params: Type.Object({
    activation: activation('sigmoid'),
    smooth: Type.Number({
      minimum: 0,
      default: 1,
      description:
        'Added above and below, in elements. An empty region that is predicted empty has loss 0, also with smooth 0 (gradient 0 then).',
    }),
    ignore_index: ignoredClass,
  }),
  // 1 - (2 hit + smooth) / (sum of both regions + smooth), both regions together being 2 hit + extra + missed.
  formula: `${TP_FP_FN}
    total = 2 * hit + extra + missed + smoothed
    total == 0 ? 0 : (extra + missed) / total`,
  denominator: REGIONS_WITH_PIXELS,
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
      params: { activation: 'none', smooth: 0 },
      loss: [[0.14285714285714285, 0.2]],
      from: 'by hand: 0.5 of 3.5, and 0.5 of 2.5; the last pixel is ignored',
    },
  ],
})
