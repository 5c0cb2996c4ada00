/** Complete IoU of two boxes. */
import { Type } from '@sinclair/typebox'
import { areaEpsilon, BOX_GEOMETRY, predictedBoxes, trueBoxes } from '../boxes.ts'
import { defineLoss } from '../define.ts'

export default defineLoss({
  name: 'ciou',
  family: 'boxes',
  couples: 'row',
  about:
    'diou plus a penalty for a different aspect ratio, which counts more the better the boxes overlap. The usual choice for one-stage detectors. The weight of the penalty is constant to the gradient, as in torchvision, so the gradient is not exactly the slope of the value. If aspect ratios are noise, as in boxes of a few pixels, use diou. Two equal boxes with zero area have loss 1.',
  presets: {
    torch: {
      names: { 'torchvision.ops.complete_box_iou_loss': {} },
      reduction: 'none',
      note: 'Gradients are finite for boxes with a side of length 0; torchvision returns NaN. torchvision uses its eps argument only in the weight of the aspect ratio and 1e-7 everywhere else; here epsilon applies everywhere.',
    },
  },
  inputs: {
    predictions: predictedBoxes,
    targets: trueBoxes,
  },
  params: Type.Object({
    epsilon: areaEpsilon,
  }),
  // v = 4 / pi^2 (atan(w_t / h_t) - atan(w / h))^2. The difference of the angles is the angle of (cross, dot),
  // which needs no w / h: it is finite for sides of length 0, and 0 for a box that is a point. alpha is constant to
  // the gradient.
  formula: `${BOX_GEOMETRY}
    diagonal = w_around^2 + h_around^2
    across = (left / unit - left_t / unit + right / unit - right_t / unit) / 2
    down = (top / unit - top_t / unit + bottom / unit - bottom_t / unit) / 2
    distance = across^2 + down^2
    cross = w_t * h - w * h_t
    dot = h * h_t + w * w_t
    turn = abs(cross) < dot ? atan(cross / dot) : cross == 0 ? 0 : sign(cross) * 1.5707963267948966 - atan(dot / cross)
    v = (turn / 1.5707963267948966)^2
    doubt = 1 - iou + v + epsilon
    alpha = stop_gradient(doubt == 0 ? 0 : v / doubt)
    1 - iou + (diagonal == 0 ? 0 : distance / (diagonal + small)) + alpha * v`,
  limits: { detached: true },
  references: [
    'Zheng et al. 2020, Distance-IoU Loss, arXiv:1911.08287',
    'torchvision.ops.complete_box_iou_loss',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0, 2, 1]], targets: [[0, 0, 1, 2]] },
      params: { epsilon: 0 },
      loss: [0.7629183350773473],
      from: 'by hand: IoU 1/3, distance 1/2 of diagonal 8 (both squared), v = (2/pi atan(3/4))^2, alpha v = v^2 / (2/3 + v)',
    },
  ],
})
