/** Corner cases of the boxes losses, with numbers computed by hand. */
import { describeCorners } from '../support/corners.ts'

const exact = { epsilon: 0 }
const resting = { predictions: [0, 0, 0, 0], targets: [0, 0, 0, 0] }

describeCorners([
  ...['iou', 'giou', 'diou', 'ciou'].map(
    (name) =>
      [
        `equal boxes are at rest under ${name}`,
        name,
        { predictions: [[0, 0, 2, 2]], targets: [[0, 0, 2, 2]] },
        exact,
        { loss: [0], ...resting },
      ] as const,
  ),
  ...['iou', 'giou', 'diou', 'ciou'].map(
    (name) =>
      [
        // torchvision: NaN without eps, and for complete_box_iou_loss also with it.
        `two equal points share nothing under ${name}, and rest`,
        name,
        { predictions: [[1, 1, 1, 1]], targets: [[1, 1, 1, 1]] },
        exact,
        { loss: [1], ...resting },
      ] as const,
  ),
  [
    'boxes that only touch do not overlap',
    'iou',
    { predictions: [[0, 0, 1, 1]], targets: [[1, 0, 2, 1]] },
    {},
    { loss: [1], ...resting },
  ],
  [
    // torchvision: the box around both has area 0 and gradients of 1 / eps, here 1e7.
    'boxes on one line have no area to generalize',
    'giou',
    { predictions: [[0, 1, 2, 1]], targets: [[1, 1, 4, 1]] },
    {},
    { loss: [1], ...resting },
  ],
  [
    // torchvision: the same value, with NaN for the gradients of top and bottom.
    'a box without height has a slope towards one with',
    'ciou',
    { predictions: [[0, 0, 2, 0]], targets: [[0, 0, 2, 2]] },
    exact,
    {
      loss: [1 + 1 / 8 + 0.25 ** 2 / 1.25],
      predictions: [1 / 32, -1 / 8 + 1 / 32 + 0.2 / Math.PI, -1 / 32, -1 / 8 - 0.2 / Math.PI],
    },
  ],
  [
    // torchvision: NaN.
    'a point has no aspect ratio to be wrong about',
    'ciou',
    { predictions: [[1, 1, 1, 1]], targets: [[0, 0, 2, 2]] },
    exact,
    { loss: [1], predictions: [0, 0, 0, 0] },
  ],
  [
    // mmdetection: an IndexError, because the bin above the last one is read too.
    'a target on the last bin, or beyond, is the last bin',
    'distribution_focal',
    {
      predictions: [
        [0, 0, 0],
        [0, 0, 0],
      ],
      targets: [2, 7],
    },
    {},
    { loss: [Math.log(3), Math.log(3)], predictions: [1 / 3, 1 / 3, -2 / 3, 1 / 3, 1 / 3, -2 / 3] },
  ],
  [
    'a bin that the target does not touch may be masked',
    'distribution_focal',
    { predictions: [[0, 0, Number.NEGATIVE_INFINITY]], targets: [0.5] },
    {},
    { loss: [Math.LN2], predictions: [0, 0, 0] },
  ],
  [
    'negatives fade to 0 where the model is sure, and are linear where it is surely wrong',
    'varifocal',
    { predictions: [-1e4, 1e4], targets: [0, 0] },
    { gamma: 0.5 },
    { loss: [0, 0.75e4], predictions: [0, 0.75] },
  ],
  [
    'a positive is exact far away',
    'varifocal',
    { predictions: [1e4, -1e4], targets: [1, 1] },
    {},
    { loss: [0, 1e4], predictions: [0, -1] },
  ],
])
