/** Corner cases of the multiclass losses, with numbers computed by hand. */
import { describeCorners } from '../support/corners.ts'

const clipped = -Math.log(1e-7)
/** Probability of the smaller of two logits that are 1 apart. */
const p = 1 / (1 + Math.E)

describeCorners([
  [
    'cross_entropy_from_probs clips as Keras does: what is surely wrong costs 16, without a gradient',
    'cross_entropy_from_probs',
    { predictions: [[0, 1]], targets: [0] },
    {},
    { loss: [clipped], predictions: [0, 0] },
  ],
  [
    'cross_entropy_from_probs without clipping stops at 100, with a gradient as PyTorch bounds it',
    'cross_entropy_from_probs',
    { predictions: [[0, 1]], targets: [[1, 0]] },
    { epsilon: 0 },
    { loss: [100], predictions: [-1e12, 0] },
  ],
  [
    // keras: NaN.
    'cross_entropy_from_probs of a row of zeros is that of a probability of 0',
    'cross_entropy_from_probs',
    { predictions: [[0, 0]], targets: [[1, 0]] },
    {},
    { loss: [clipped], predictions: [0, 0] },
  ],
  [
    // optax: NaN.
    'poly1_cross_entropy: a probability target of 0 silences a masked class',
    'poly1_cross_entropy',
    { predictions: [[0, Number.NEGATIVE_INFINITY, 0]], targets: [[0.5, 0, 0.5]] },
    {},
    { loss: [Math.LN2 + 1], predictions: [0, 0, 0] },
  ],
  [
    // keras: gradient (-infinity, NaN).
    'generalized_cross_entropy at a probability of 0 is steep, right in sign, and finite in float32',
    'generalized_cross_entropy',
    { predictions: [[0, 1]], targets: [0] },
    {},
    { loss: [2], predictions: [-(1e-37 ** -0.5), 0] },
  ],
  [
    // keras: 1.386294434, because 1 - p^q has only half of the digits.
    'generalized_cross_entropy with a small q is -ln p',
    'generalized_cross_entropy',
    { predictions: [[0.25, 0.75]], targets: [0] },
    { q: 1e-9 },
    { loss: [Math.log(4) - (1e-9 * Math.log(4) ** 2) / 2], predictions: [-4 * (1 - 1e-9 * Math.log(4)), 0] },
  ],
  [
    'linear_cross_entropy: a NaN in an ignored row does not reach the gradient of the weight that all rows share',
    'linear_cross_entropy',
    {
      hidden: [
        [Number.NaN, Number.POSITIVE_INFINITY],
        [1, 0],
      ],
      weight: [
        [1, 0],
        [0, 1],
      ],
      bias: [0, 0],
      targets: [-100, 0],
    },
    {},
    { loss: [0, -Math.log(1 - p)], hidden: [0, 0, -p, p], weight: [-p, 0, p, 0], bias: [-p, p] },
  ],
  [
    'linear_cross_entropy: a bias of -inf masks a class',
    'linear_cross_entropy',
    { hidden: [[1]], weight: [[2], [1], [3]], bias: [0, 0, Number.NEGATIVE_INFINITY], targets: [0] },
    {},
    { loss: [-Math.log(1 - p)], hidden: [-p], weight: [-p, p, 0], bias: [-p, p, 0] },
  ],
])
