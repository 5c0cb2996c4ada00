/** One minus the intersection over union of two boxes. */
import { Type } from '@sinclair/typebox'
import { areaEpsilon, BOX_GEOMETRY, predictedBoxes, trueBoxes } from '../boxes.ts'
import { defineLoss } from '../define.ts'

export default defineLoss({
  name: 'iou',
  family: 'boxes',
  couples: 'row',
  about:
    'The part of the union of two boxes that they do not share: 0 for equal boxes, 1 for disjoint boxes. Use it to fine-tune boxes that already overlap. Do not train from scratch with it: disjoint boxes have gradient 0 (use giou, diou or ciou). Two boxes with zero area have loss 1.',
  inputs: {
    predictions: predictedBoxes,
    targets: trueBoxes,
  },
  params: Type.Object({
    epsilon: areaEpsilon,
  }),
  formula: `${BOX_GEOMETRY}
    1 - iou`,
  references: [
    'Yu et al. 2016, UnitBox, arXiv:1608.01471',
    'torchvision.ops.box_iou (of each row with its own target)',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0, 2, 2]], targets: [[1, -1, 3, 3]] },
      params: { epsilon: 0 },
      loss: [0.8],
      gradients: { predictions: [[-0.04, 0.08, -0.2, -0.08]] },
      from: 'by hand: 1 - 2 / 10; moving a side by d changes overlap and union by 0 and -2, -1 and -1, 2 and 0, 1 and 1 (times d)',
    },
  ],
})
