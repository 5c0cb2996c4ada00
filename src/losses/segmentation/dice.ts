/** Dice loss: one minus the overlap of a predicted and a true region. */
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
  name: 'dice',
  family: 'segmentation',
  couples: 'group',
  about:
    'Overlap of predicted and true regions, per row and class, independent of the size of the background. The default for segmentation with unbalanced regions. Early in training and for tiny regions it is noisy: add cross-entropy. Avoid it if probabilities must be calibrated: it pushes them to 0 and 1. An empty region (an absent class) has loss 0 if it is predicted empty, otherwise E / (E + smooth), where E is the sum of the predictions. With smooth 0 that is 1 and has no gradient. It counts in the mean, as in MONAI.',
  presets: {
    torch: {
      names: { 'monai.losses.DiceLoss': {}, 'monai.losses.MaskedDiceLoss': {} },
      params: { activation: 'none', smooth: 1e-5 },
      note: "activation replaces MONAI's sigmoid=True and softmax=True. Class indices (to_onehot_y=True) and a mask have no axis of length 1. A row that is completely masked is left out of the mean; in MONAI it counts as 0. NaN in masked pixels has no effect. No preset exists for segmentation_models_pytorch, because its regions span the batch and absent classes count as 0: for its result, send all pixels as one row and twice its smooth.",
    },
    keras: {
      names: { 'keras.losses.Dice': {}, 'keras.losses.dice': {} },
      params: { activation: 'none', smooth: 0 },
      note: 'By default, Keras treats the whole batch as one region; here each row and class is a region, so that a mean does not depend on what else is in the batch. An empty region that is predicted empty has loss 0; in Keras it has loss 1. Keras adds an epsilon of 1e-7 to the denominator, which is not added here.',
    },
    optax: {
      names: {
        'optax.losses.dice_loss': { activation: 'softmax' },
        'optax.losses.binary_dice_loss': { activation: 'sigmoid' },
      },
      params: { smooth: 2 },
      reduction: 'none',
      note: 'optax halves the numerator and the denominator before it adds smooth to both, so its smooth of 1 is 2 here. It averages over the classes of a row, which come last; here each class has its own value, and their mean is the result of optax. For its alpha and beta, use tversky. For a single class its dice_loss uses a sigmoid: use binary_dice_loss.',
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
  // 1 - (2 hit + smooth) / (sum of both regions + smooth), both regions together being 2 hit + extra + missed.
  formula: `${TP_FP_FN}
    total = 2 * hit + extra + missed + smoothed
    total == 0 ? 0 : (extra + missed) / total`,
  denominator: COUNT_NONEMPTY_REGIONS,
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
