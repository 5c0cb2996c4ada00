/** Corner cases of the margin losses, with numbers computed by hand. */
import { describeCorners } from '../support/corners.ts'

const third = 1 / 3

describeCorners([
  [
    // optax: gradient -0.5.
    'a score of 0 rests',
    'perceptron',
    { predictions: [0], targets: [1] },
    {},
    { loss: [0], predictions: [0] },
  ],
  [
    // torch: infinity, gradient NaN.
    'soft_margin is linear where it is surely wrong, and keeps the digits where it is surely right',
    'soft_margin',
    { predictions: [-1e4, 40], targets: [1, 1] },
    {},
    { loss: [1e4, Math.exp(-40)], predictions: [-1, -Math.exp(-40)] },
  ],
  [
    'the pieces of sparsemax meet',
    'sparsemax',
    { predictions: [1, 1, 1e4], targets: [0, 1, 0] },
    {},
    { loss: [1, 0, 1e4], predictions: [1, 0, 1] },
  ],
  [
    'without a label, or with all of them, there is no pair',
    'multilabel_margin',
    {
      predictions: [
        [1, 2],
        [1, 2],
      ],
      targets: [
        [-1, 0],
        [1, 0],
      ],
    },
    {},
    { loss: [0, 0], predictions: [0, 0, 0, 0] },
  ],
  [
    'a pair exactly at the margin rests, and a class listed twice counts twice',
    'multilabel_margin',
    { predictions: [[1, 0, 0.5, -1]], targets: [[0, 0, -1, -1]] },
    {},
    { loss: [0.25], predictions: [-0.5, 0, 0.5, 0] },
  ],
  [
    'a rival exactly at the margin rests',
    'multi_margin',
    { predictions: [[1, 0]], targets: [0] },
    {},
    { loss: [0], predictions: [0, 0] },
  ],
  [
    'a class alone has no rival',
    'crammer_singer',
    { predictions: [[5]], targets: [0] },
    {},
    { loss: [0], predictions: [0] },
  ],
  [
    'tied rivals share the gradient, also far out',
    'crammer_singer',
    { predictions: [[-1e4, 1e4, 1e4]], targets: [0] },
    {},
    { loss: [20001], predictions: [-1, 0.5, 0.5] },
  ],
  [
    // optax's multiclass_hinge_loss and torch's multi_margin_loss: 0.
    'the right class of categorical_hinge must lead 0, too',
    'categorical_hinge',
    { predictions: [[-1, -5]], targets: [0] },
    {},
    { loss: [2], predictions: [-1, 0] },
  ],
  [
    'where all scores are equal nothing is lost, and the gradient is shared',
    'multiclass_perceptron',
    { predictions: [[1e4, 1e4, 1e4]], targets: [0] },
    {},
    { loss: [0], predictions: [third - 1, third, third] },
  ],
  [
    'multiclass_sparsemax of equal scores is uniform, also far out',
    'multiclass_sparsemax',
    { predictions: [[1e4, 1e4, 1e4, 1e4]], targets: [0] },
    {},
    { loss: [0.375], predictions: [-0.75, 0.25, 0.25, 0.25] },
  ],
  [
    // optax has an error of 1e-16 here.
    'multiclass_sparsemax keeps the digits of a small loss',
    'multiclass_sparsemax',
    { predictions: [[1 - 2 ** -30, 0]], targets: [0] },
    {},
    { loss: [2 ** -62], predictions: [-(2 ** -31), 2 ** -31] },
  ],
  [
    'multiclass_sparsemax leaves a masked class (-inf) at 0',
    'multiclass_sparsemax',
    { predictions: [[0, 0, Number.NEGATIVE_INFINITY]], targets: [0] },
    {},
    { loss: [0.25], predictions: [-0.5, 0.5, 0] },
  ],
  ...(['sparsemax', 'entmax15'] as const).map(
    (regularizer) =>
      [
        `${regularizer} leaves a masked class (-inf) at 0, and a lead of 2 counts nothing`,
        'fenchel_young',
        {
          predictions: [
            [1e4, 1e4, Number.NEGATIVE_INFINITY],
            [2, 0, 0],
          ],
          targets: [
            [0.5, 0.5, 0],
            [1, 0, 0],
          ],
        },
        { regularizer },
        {
          // R of the uniform p: (1/2 - 1) / 2, and 4/3 (2 (1/2)^1.5 - 1).
          loss: [regularizer === 'sparsemax' ? 0.25 : (4 / 3) * (1 - Math.SQRT1_2), 0],
          predictions: [0, 0, 0, 0, 0, 0],
        },
      ] as const,
  ),
  [
    // x = 2 d with d = (sqrt(1 - 2^-20), 2^-10), whose squares sum to 1: tau = 0.
    'entmax15 keeps the digits of a small loss',
    'fenchel_young',
    { predictions: [[2 * Math.sqrt(1 - 2 ** -20), 2 ** -9]], targets: [[1, 0]] },
    { regularizer: 'entmax15' },
    {
      loss: [(2 / 3) * ((Math.sqrt(1 - 2 ** -20) - 1) ** 2 * (Math.sqrt(1 - 2 ** -20) + 2) + 2 ** -30)],
    },
  ],
  [
    'entropy: a target of 0 silences a masked class',
    'fenchel_young',
    { predictions: [[0, Number.NEGATIVE_INFINITY, 0]], targets: [[0.5, 0, 0.5]] },
    {},
    { loss: [Math.LN2], predictions: [0, 0, 0] },
  ],
])
