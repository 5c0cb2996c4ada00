/** Distance IoU of two boxes. */
import { Type } from '@sinclair/typebox'
import { areaEpsilon, BOX_GEOMETRY, predictedBoxes, trueBoxes } from '../boxes.ts'
import { defineLoss } from '../define.ts'

export default defineLoss({
  name: 'diou',
  family: 'boxes',
  couples: 'row',
  about:
    '1 - IoU, plus the squared distance of the centres divided by the squared diagonal of the smallest enclosing box. It is between 0 and 2, and moves disjoint boxes straight towards each other. Use it if boxes start far apart; it converges faster than giou. Avoid it if shape matters beyond overlap: for two boxes with the same centre it sees only the IoU (ciou adds the aspect ratio). Two equal boxes with zero area have loss 1.',
  presets: {
    torch: {
      names: { 'torchvision.ops.distance_box_iou_loss': {} },
      reduction: 'none',
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
    diagonal = w_around^2 + h_around^2
    across = (left / unit - left_t / unit + right / unit - right_t / unit) / 2
    down = (top / unit - top_t / unit + bottom / unit - bottom_t / unit) / 2
    distance = across^2 + down^2
    1 - iou + (diagonal == 0 ? 0 : distance / (diagonal + small))`,
  references: [
    'Zheng et al. 2020, Distance-IoU Loss, arXiv:1911.08287',
    'torchvision.ops.distance_box_iou_loss',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0, 1, 1]], targets: [[2, 0, 3, 1]] },
      params: { epsilon: 0 },
      loss: [1.4],
      from: 'by hand: no overlap, centres 2 apart, diagonal squared 10',
    },
  ],
})
