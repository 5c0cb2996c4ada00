/** Corner cases of the binary losses, with numbers computed by hand. */
import { describeCorners } from '../support/corners.ts'

const e20 = Math.exp(-20)

describeCorners([
  [
    // timm: infinity, gradient NaN.
    'asymmetric without bounds is linear where it is surely wrong',
    'asymmetric',
    { predictions: [[1e4, -1e4]], targets: [[0, 1]] },
    { clip: 0, epsilon: 0 },
    { loss: [1e4, 1e4], predictions: [1, -1] },
  ],
  [
    // timm: gradient NaN, from the slope of 0^0.5.
    'asymmetric fades to 0 also with gamma below 1',
    'asymmetric',
    { predictions: [[-1e4, -120, 1e4]], targets: [[0, 0, 1]] },
    { clip: 0, gamma_negative: 0.5 },
    { loss: [0, Math.exp(-180), 0], predictions: [0, 1.5 * Math.exp(-180), 0] },
  ],
  [
    // timm: 0, because 1 - 2e-9 is 1 in float32.
    'asymmetric sees past the last digit of 1',
    'asymmetric',
    { predictions: [[-20]], targets: [[0]] },
    { clip: 0, gamma_negative: 0 },
    { loss: [Math.log1p(e20)], predictions: [e20 / (1 + e20)] },
  ],
  [
    'a negative below clip does not count, a surely wrong one costs at most -ln clip',
    'asymmetric',
    { predictions: [[-3, 1e4]], targets: [[0, 0]] },
    {},
    { loss: [0, 0.95 ** 4 * -Math.log(0.05)], predictions: [0, 0] },
  ],
  [
    'a grade above the last threshold passes all of them',
    'ordinal',
    { predictions: [[0, 0]], targets: [7] },
    {},
    { loss: [2 * Math.LN2], predictions: [-0.5, -0.5] },
  ],
  [
    'ordinal is linear where it is surely wrong, and keeps the digits where it is surely right',
    'ordinal',
    { predictions: [[-1e4, -20]], targets: [1] },
    {},
    { loss: [1e4 + Math.log1p(e20)], predictions: [-1, e20 / (1 + e20)] },
  ],
])
