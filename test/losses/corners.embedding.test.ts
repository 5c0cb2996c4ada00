/** Corner cases of the embedding losses, with numbers computed by hand. */
import { describeCorners } from '../support/corners.ts'

/** A zero row has cosine 0 to the two unit vectors beside it. */
const withZero = [
  [1, 0],
  [0, 0],
  [0, 1],
]
const unit = [
  [1, 0],
  [0, 1],
]
const c = Math.cos(0.5)
const s = Math.sin(0.5)
/** Probability of the other class at angle 0 and scale 1. */
const other = 1 / (1 + Math.exp(c))

describeCorners([
  [
    'hinge_embedding rests at its margin',
    'hinge_embedding',
    { predictions: [1, 0], targets: [-1, 1] },
    {},
    { loss: [0, 0], predictions: [0, 1] },
  ],
  [
    'contrastive: dissimilar points that are equal rest, as do those at the margin',
    'contrastive',
    {
      input1: [
        [1, 1],
        [3, 4],
      ],
      input2: [
        [1, 1],
        [0, 0],
      ],
      targets: [0, 0],
    },
    { margin: 5 },
    { loss: [25, 0], input1: [0, 0, 0, 0], input2: [0, 0, 0, 0] },
  ],
  [
    // torch's cross_entropy over the same scores: 0.
    'info_nce keeps the digits where it is surely right',
    'info_nce',
    { query: [[1]], positive: [[100]], negatives: [[[0]]] },
    { temperature: 1 },
    { loss: [Math.exp(-100)], query: [-100 * Math.exp(-100)], positive: [-Math.exp(-100)] },
  ],
  [
    'supcon: a zero embedding has cosine 0 to all, and rests',
    'supcon',
    { embeddings: withZero, labels: [0, 0, 1] },
    { temperature: 1 },
    { loss: [Math.LN2, Math.LN2, 0], embeddings: [0, 0.5, 0, 0, 0.5, 0] },
  ],
  [
    // pytorch-metric-learning: 0, because it asks for a negative somewhere.
    'supcon of one class still gathers it',
    'supcon',
    {
      embeddings: [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
      ],
      labels: [4, 4, 4],
    },
    {},
    { loss: [Math.LN2, Math.LN2, Math.LN2] },
  ],
  [
    // optax's ntxent and tfa's triplet_semihard_loss: NaN.
    'supcon without positives is nothing',
    'supcon',
    { embeddings: unit, labels: [0, 1] },
    {},
    { loss: [0, 0], embeddings: [0, 0, 0, 0] },
  ],
  [
    'triplet_batch: equal points rest at the margin',
    'triplet_batch',
    {
      embeddings: [
        [1, 1],
        [1, 1],
        [1, 1],
      ],
      labels: [0, 0, 1],
    },
    {},
    { loss: [1, 1, 0], embeddings: [0, 0, 0, 0, 0, 0] },
  ],
  [
    // Squares of 1e8 have no digit left for a distance of 1.
    'triplet_batch far from the origin is what it is near',
    'triplet_batch',
    { embeddings: [[1e8], [1e8 + 1], [1e8 + 2], [1e8 + 4]], labels: [0, 0, 1, 1] },
    { margin: 4 },
    { loss: [1, 0, 4, 0], embeddings: [6, 2, -12, 4] },
  ],
  [
    'triplet_batch of one class has nothing to push away',
    'triplet_batch',
    { embeddings: unit, labels: [0, 0] },
    { mining: 'hard' },
    { loss: [0, 0], embeddings: [0, 0, 0, 0] },
  ],
  [
    // tfa's triplet_hard_loss: 1 - 2 + 1 for every row, from a positive at distance 0.
    'triplet_batch without positives is nothing',
    'triplet_batch',
    { embeddings: unit, labels: [0, 1] },
    { mining: 'hard', margin: 3 },
    { loss: [0, 0], embeddings: [0, 0, 0, 0] },
  ],
  [
    // keras: the same values, gradient (80, 0), (80, 0), (160, 0), all of it along the embeddings.
    'circle: embeddings of one direction have nowhere to turn',
    'circle',
    {
      embeddings: [
        [1, 0],
        [2, 0],
        [3, 0],
      ],
      labels: [0, 0, 1],
    },
    {},
    { loss: [54.4, 54.4, 0], embeddings: [0, 0, 0, 0, 0, 0] },
  ],
  [
    'circle without negatives is nothing',
    'circle',
    { embeddings: unit, labels: [0, 0] },
    {},
    { loss: [0, 0], embeddings: [0, 0, 0, 0] },
  ],
  [
    'multi_similarity keeps small pushes: ln(1 + 2 e^-75) / 50',
    'multi_similarity',
    {
      embeddings: [
        [1, 0],
        [1, 0],
        [-1, 0],
      ],
      labels: [0, 0, 1],
    },
    {},
    {
      loss: [Math.log1p(Math.exp(-1)) / 2, Math.log1p(Math.exp(-1)) / 2, (2 * Math.exp(-75)) / 50],
      embeddings: [0, 0, 0, 0, 0, 0],
    },
  ],
  [
    'multi_similarity of one row is nothing',
    'multi_similarity',
    { embeddings: [[3, 4]], labels: [0] },
    {},
    { loss: [0], embeddings: [0, 0] },
  ],
  [
    'multiple_negatives_ranking of one pair is nothing',
    'multiple_negatives_ranking',
    { anchor: [[3, 4]], positive: [[4, 3]] },
    { symmetric: true },
    { loss: [0], anchor: [0, 0], positive: [0, 0] },
  ],
  [
    'multiple_negatives_ranking: a zero anchor has cosine 0 to all, and rests',
    'multiple_negatives_ranking',
    {
      anchor: [
        [0, 0],
        [0, 0],
      ],
      positive: unit,
    },
    {},
    { loss: [Math.LN2, Math.LN2], anchor: [0, 0, 0, 0], positive: [0, 0, 0, 0] },
  ],
  [
    'margin_softmax: at angle 0 the margin holds, and its kink rests',
    'margin_softmax',
    { embeddings: [[1, 0]], weight: unit, targets: [0] },
    { scale: 1 },
    { loss: [Math.log1p(Math.exp(-c))], embeddings: [0, other], weight: [0, 0, other, 0] },
  ],
  [
    // pytorch-metric-learning: 30.636, gradient (-5.6e13, 6.4e13).
    'margin_softmax: a zero embedding is at right angles to all, and rests',
    'margin_softmax',
    { embeddings: [[0, 0]], weight: unit, targets: [0] },
    {},
    { loss: [64 * s + Math.log1p(Math.exp(-64 * s))], embeddings: [0, 0], weight: [0, 0, 0, 0] },
  ],
  [
    'margin_softmax: beyond pi - margin the logit goes on falling',
    'margin_softmax',
    { embeddings: [[-1, 0]], weight: unit, targets: [0] },
    { scale: 1 },
    { loss: [Math.log1p(Math.exp(1 + 0.5 * s))] },
  ],
])
