/** Generalized IoU of two boxes. */
import { Type } from '@sinclair/typebox'
import { areaEpsilon, BOX_GEOMETRY, predictedBoxes, trueBoxes } from '../boxes.ts'
import { defineLoss } from '../define.ts'

export default defineLoss({
  name: 'giou',
  family: 'boxes',
  couples: 'row',
  about:
    '1 - IoU, plus the share of the smallest enclosing box that neither box covers. It is between 0 and 2, with a gradient that pulls disjoint boxes together. A sound default for box regression. It first enlarges a distant box before it moves it, and is no better than iou if one box contains the other; there diou and ciou are faster. Two boxes with zero area have loss 1.',
  presets: {
    torch: {
      names: { 'torchvision.ops.generalized_box_iou_loss': {} },
      reduction: 'none',
      note: 'If the smallest enclosing box has no area, its term is 0 and has no gradient; torchvision divides by epsilon alone, which gives gradients of the order of 1 / epsilon.',
    },
  },
  inputs: {
    predictions: predictedBoxes,
    targets: trueBoxes,
  },
  params: Type.Object({
    epsilon: areaEpsilon,
  }),
  formula: `${BOX_GEOMETRY}
    around = w_around * h_around
    apart = around == 0 ? 0 : (around - union) / (around + small)
    1 - iou + apart`,
  references: [
    'Rezatofighi et al. 2019, Generalized Intersection over Union, arXiv:1902.09630',
    'torchvision.ops.generalized_box_iou_loss',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0, 1, 1]], targets: [[2, 0, 3, 1]] },
      params: { epsilon: 0 },
      loss: [1.3333333333333333],
      from: 'by hand: no overlap, and 1 of the 3 around is covered by neither',
    },
  ],
})
