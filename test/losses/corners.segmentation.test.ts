import { describeCorners } from '../support/corners.ts'

const bare = { activation: 'none', smooth: 0 }

describeCorners([
  ...['dice', 'jaccard', 'tversky', 'focal_tversky'].map(
    (name) =>
      [
        // Keras: 1, because nothing was found of nothing.
        `an empty region that is predicted empty costs ${name} nothing, also without smoothing`,
        name,
        { predictions: [[[0, 0]]], targets: [[[0, 0]]] },
        bare,
        { loss: [0], predictions: [0, 0] },
      ] as const,
  ),
  [
    // As 1 - 1 / (1 + 1e-18) it would be 0.
    'a region that is all but right keeps its digits',
    'jaccard',
    { predictions: [[[1, 1e-18]]], targets: [[[1, 0]]] },
    bare,
    { loss: [1e-18] },
  ],
  [
    // Keras up to 3.15.1 weighs the false negatives with alpha: 0.1 / 1.1.
    'alpha weighs false positives',
    'tversky',
    { predictions: [[[1, 1]]], targets: [[[1, 0]]] },
    { ...bare, alpha: 0.9, beta: 0.1 },
    { loss: [0.9 / 1.9] },
  ],
  [
    'a region without error rests, also under a power below 1',
    'focal_tversky',
    { predictions: [[[1, 0]]], targets: [[[1, 0]]] },
    { ...bare, gamma: 0.5 },
    { loss: [0], predictions: [0, 0] },
  ],
  [
    // 1 / 0^2 is not taken: the class weighs what the rarest of the others does, here 1 / 2^2.
    'an absent class has the weight of the rarest one that is there',
    'generalized_dice',
    {
      predictions: [
        [
          [1, 1, 0],
          [0, 0, 1],
        ],
      ],
      targets: [
        [
          [1, 1, 0],
          [0, 0, 0],
        ],
      ],
    },
    bare,
    { loss: [1 / 5] },
  ],
  [
    'a row without any region rests',
    'generalized_dice',
    { predictions: [[[0.3, 0.7]]], targets: [[[0, 0]]] },
    bare,
    { loss: [0], predictions: [0, 0] },
  ],
])
