/** Corner cases of the segmentation losses, with numbers computed by hand. */
import { describeCorners } from '../support/corners.ts'

const bare = { activation: 'none', smooth: 0 }

describeCorners([
  ...['dice', 'jaccard', 'tversky', 'focal_tversky'].map(
    (name) =>
      [
        // Keras: 1, because 0 of 0 pixels were found.
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
    // In Keras up to 3.15.1, alpha weights the false negatives: 0.1 / 1.1.
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
    // Not 1 / 0^2: the class has the weight of the rarest other class, here 1 / 2^2.
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
  ...[
    ['dice', {}, 0.75 / 1.75],
    ['jaccard', {}, 0.75 / 1.75],
    ['tversky', { alpha: 0.4 }, 0.3 / 1.3],
    ['focal_tversky', { alpha: 0.4, gamma: 2 }, (0.3 / 1.3) ** 2],
  ].map(
    ([name, params, loss]) =>
      [
        `an empty region that is predicted costs ${name} what is predicted over that and smooth`,
        name as string,
        { predictions: [[[0.25, 0.5]]], targets: [[[0, 0]]] },
        { activation: 'none', smooth: 1, ...(params as object) },
        { loss: [loss] },
      ] as const,
  ),
  ...['dice', 'jaccard', 'tversky', 'focal_tversky'].map(
    (name) =>
      [
        `an empty region of which anything is predicted costs ${name} 1 without smoothing, and rests`,
        name,
        { predictions: [[[0.25, 0.5]]], targets: [[[0, 0]]] },
        bare,
        { loss: [1], predictions: [0, 0] },
      ] as const,
  ),
  [
    'an absent class that is predicted empty adds nothing',
    'generalized_dice',
    {
      predictions: [
        [
          [1, 0.5],
          [0, 0],
        ],
      ],
      targets: [
        [
          [1, 1],
          [0, 0],
        ],
      ],
    },
    bare,
    { loss: [0.5 / 3.5] },
  ],
  [
    'an empty region costs its largest hinge',
    'lovasz',
    { predictions: [[[0.5, -0.25, -3]]], targets: [[[0, 0, 0]]] },
    { mode: 'hinge' },
    { loss: [1.5], predictions: [1, 0, 0] },
  ],
  [
    'an empty region that is predicted empty by a margin costs nothing',
    'lovasz',
    { predictions: [[[-1.5, -3]]], targets: [[[0, 0]]] },
    { mode: 'hinge' },
    { loss: [0], predictions: [0, 0] },
  ],
  [
    'a class that is absent leaves a softmax, however it is predicted',
    'lovasz',
    {
      predictions: [
        [
          [0, 0],
          [0, 0],
        ],
      ],
      targets: [[0, 0]],
    },
    { mode: 'softmax' },
    { loss: [0.5, 0] },
  ],
])
