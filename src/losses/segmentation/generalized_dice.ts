/** Generalized Dice loss: one overlap of all classes, rare classes weighted up. */
import { Type } from '@sinclair/typebox'
import { defineLoss } from '../define.ts'
import {
  activation,
  COUNT_NONEMPTY_ROWS,
  ignoredClass,
  pixelMask,
  scoresInput,
  softMaskInput,
  TP_FP_FN,
} from '../regions.ts'

export default defineLoss({
  name: 'generalized_dice',
  family: 'segmentation',
  couples: 'group',
  about:
    'A single Dice overlap for all classes of a row, each weighted by the inverse square of its true size, so that rare classes count as much as large ones. Use it for a few classes of very different sizes. Avoid it if classes are often absent from a row: an absent class gets the largest weight of the others, as in MONAI, so its false positives dominate (if it is predicted empty, it adds nothing). A row without any region has loss 0. For a single class, use dice.',
  presets: {
    torch: {
      names: { 'monai.losses.GeneralizedDiceLoss': {} },
      params: { activation: 'none', smooth: 1e-5 },
      note: "activation replaces MONAI's sigmoid=True and softmax=True. MONAI rounds the weights to float32.",
    },
    optax: {
      names: { 'optax.losses.multiclass_generalized_dice_loss': {} },
      note: 'optax computes a weighted mean of the Dice losses of the classes, with weights from the whole batch. This loss is the overlap of Sudre et al. (and MONAI) with weights from each row, so that a result does not depend on what else is in the batch. In optax the classes come last.',
    },
  },
  inputs: { predictions: scoresInput, targets: softMaskInput, mask: pixelMask },
  params: Type.Object({
    activation: activation('softmax'),
    smooth: Type.Number({
      minimum: 0,
      default: 1,
      description:
        'Added to the numerator and the denominator, in weighted elements: compared with weights of 1 / size^2, even 1 is large. A row without any true region has loss 0.',
    }),
    ignore_index: ignoredClass,
  }),
  // 1 - (2 sum_c w_c hit_c + smooth) / (sum_c w_c (2 hit_c + extra_c + missed_c) + smooth) with w_c = 1 / size_c^2.
  // A class that is absent, or so small that its weight overflows, gets the largest finite weight of its row (MONAI).
  formula: `${TP_FP_FN}
    size_c = sum(inside, ...)
    inverse = 1 / size_c^2
    largest = max(is_finite(inverse) ? inverse : 0, classes)
    w = is_finite(inverse) ? inverse : largest
    wrong = sum(w * (extra + missed), classes)
    total = 2 * sum(w * hit, classes) + wrong + smoothed
    total == 0 ? 0 : wrong / total`,
  denominator: COUNT_NONEMPTY_ROWS,
  references: [
    'Sudre et al. 2017, Generalised Dice overlap as a deep learning loss function, arXiv:1707.03237',
    'monai.losses.GeneralizedDiceLoss',
  ],
  examples: [
    {
      inputs: {
        predictions: [
          [
            [0.5, 0, 0],
            [0.5, 1, 1],
          ],
        ],
        targets: [
          [
            [1, 0, 0],
            [0, 1, 1],
          ],
        ],
      },
      params: { activation: 'none', smooth: 0 },
      loss: [0.23809523809523808],
      from: 'by hand: weights 1 and 1/4; 0.5 + 0.5 / 4 wrong of 2 (0.5 + 2 / 4) + 0.625',
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
      loss: [0.18518518518518517],
      from: 'by hand: weights 1/4 and 1; 0.5 / 4 + 0.5 wrong of 2 (1.5 / 4 + 1) + 0.625; the last pixel is ignored',
    },
  ],
})
