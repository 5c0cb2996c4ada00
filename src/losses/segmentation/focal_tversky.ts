/** Focal Tversky loss: a power of the Tversky loss. */
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
  name: 'focal_tversky',
  family: 'segmentation',
  couples: 'group',
  about:
    'The Tversky loss of each row and class, raised to the power gamma. With gamma below 1 (0.75 is common), regions that are nearly right keep a large gradient; with gamma above 1, training concentrates on regions that are badly wrong; 1 is tversky. Avoid gamma far below 1 near convergence: the slope grows without bound as the loss approaches 0. An empty region (an absent class) has loss 0 if it is predicted empty, otherwise the same power of alpha E / (alpha E + smooth), where E is the sum of the predictions. With smooth 0 that is 1 and has no gradient. It counts in the mean.',
  inputs: { predictions: scoresInput, targets: softMaskInput, mask: pixelMask },
  params: Type.Object({
    activation: activation('sigmoid'),
    alpha: Type.Number({ minimum: 0, default: 0.5, description: 'Weight of false positives.' }),
    beta: Type.Number({ minimum: 0, default: 0.5, description: 'Weight of false negatives.' }),
    gamma: Type.Number({
      exclusiveMinimum: 0,
      default: 1,
      description: 'Exponent of the Tversky loss. The gamma of Abraham and Khan is 1 / this.',
    }),
    ignore_index: ignoredClass,
    smooth: Type.Number({
      minimum: 0,
      default: 1,
      description:
        'Added to the numerator and the denominator, in elements. An empty region that is predicted empty has loss 0, even with smooth 0 (the gradient is then 0, too).',
    }),
  }),
  // As tversky, then the power. A region without any error has gradient 0: a power below 1 has an infinite slope there.
  formula: `${TP_FP_FN}
    wrong = alpha * extra + beta * missed
    wrong == 0 ? 0 : (wrong / (hit + wrong + smoothed))^gamma`,
  denominator: COUNT_NONEMPTY_REGIONS,
  references: [
    'Abraham and Khan 2019, A Novel Focal Tversky Loss Function, arXiv:1810.07842 (power 1 / gamma)',
    'segmentation_models_pytorch.losses.TverskyLoss(gamma): the power of the mean over classes of the whole batch, of which absent ones count 0',
  ],
  examples: [
    {
      inputs: { predictions: [[[1, 0, 0.5, 0.5]]], targets: [[[1, 0, 1, 0]]] },
      params: { activation: 'none', alpha: 0.3, beta: 0.7, gamma: 0.5, smooth: 0 },
      loss: [[0.5]],
      from: 'by hand: the root of 1 - 1.5 / (1.5 + 0.3 * 0.5 + 0.7 * 0.5)',
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
      params: { activation: 'none', alpha: 0.3, beta: 0.7, gamma: 2, smooth: 0 },
      loss: [[0.035792549306062814, 0.01701323251417769]],
      from: 'by hand: the squares of 0.35 / 1.85 and 0.15 / 1.15; the last pixel is masked, whatever it contains',
    },
  ],
})
