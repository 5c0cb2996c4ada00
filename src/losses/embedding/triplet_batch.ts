/** Triplet loss with triplet mining in the batch. */
import { Type } from '@sinclair/typebox'
import { defineLoss, dependsOnParam, input, oneOf } from '../define.ts'

export default defineLoss({
  name: 'triplet_batch',
  family: 'embedding',
  couples: 'batch',
  about:
    'Triplet loss with triplets mined from the labels of a batch, in which each class should have several rows. Distances are squared Euclidean by default. semihard learns steadily; hard is for clean labels, because it follows every wrong one; all soon averages mostly over triplets of loss 0. If you have triplets, use triplet_margin. semihard and all compare every row with every pair, so their cost grows with the cube of the number of rows.',
  presets: {
    keras: {
      names: {
        'tfa.losses.TripletSemiHardLoss': { mining: 'semihard' },
        'tfa.losses.triplet_semihard_loss': { mining: 'semihard' },
        'tfa.losses.TripletHardLoss': { mining: 'hard' },
        'tfa.losses.triplet_hard_loss': { mining: 'hard' },
      },
      params: { distance: 'euclidean', alone: 'count' },
      note: 'A batch without positives or without negatives has loss 0. TensorFlow Addons returns NaN without positives (semihard), and makes up negatives where there are none.',
    },
  },
  inputs: {
    embeddings: input('rows,dim', 'real', {
      differentiable: true,
      about:
        'Embeddings, used unchanged; usually of length 1. The difference of squared distances that overflow (float32: beyond 1e19) is NaN.',
    }),
    labels: input('rows', 'class', {
      about: 'Rows with equal labels are positives of each other; all others are negatives.',
    }),
  },
  params: Type.Object({
    margin: Type.Number({
      exclusiveMinimum: 0,
      default: 1,
      description:
        'How much farther away the negative should be than the positive, in units of the distance.',
    }),
    alone: oneOf(['skip', 'count'], {
      default: 'skip',
      description:
        'With mining hard, what to do with a row that is the only one of its class: skip leaves it out; count uses the row itself as its positive, at distance 0, as TensorFlow Addons does.',
      ...dependsOnParam('mining', 'hard'),
    }),
    distance: oneOf(['sqeuclidean', 'euclidean'], {
      default: 'sqeuclidean',
      description:
        'sqeuclidean: squared Euclidean distances; euclidean: their roots, as TensorFlow Addons takes by default.',
    }),
    mining: oneOf(['semihard', 'hard', 'all'], {
      default: 'semihard',
      description:
        'semihard: for each positive pair the nearest negative beyond the positive, or the farthest negative if there is none; hard: for each row its farthest positive and nearest negative; all: every triplet.',
    }),
  }),
  // |a - b|^2 = |a|^2 + |b|^2 - 2 ab needs no rows x rows x dim differences. Distances do not change when all rows
  // are shifted. Around their mean the squares are as small as possible, and so is the cancellation.
  formula: `
    x = embeddings - stop_gradient(mean(embeddings, rows))
    square = sum(x * x, dim)
    squared = relu(square + square[rows -> others] - 2 * sum(x * x[rows -> others], dim))
    d = distance == euclidean ? safe_sqrt(squared) : squared
    same = labels == labels[rows -> others]
    positive = same and index(rows) != index(rows)[rows -> others]
    positives = sum(positive ? 1 : 0, others)
    negatives = sum(same ? 0 : 1, others)
    counts_alone = mining == hard and alone == count
    mined = (counts_alone or positives > 0) and negatives > 0
    far = d[others -> thirds]
    foreign = not same[others -> thirds]
    beyond = foreign and far > d
    is_beyond = sum(beyond ? 1 : 0, thirds) > 0
    farthest = max(same ? -1 : d, others)
    semihard = is_beyond ? min(beyond ? far : 3e38, thirds) : farthest
    pairwise = sum(positive ? relu(d - semihard + margin) : 0, others)
    hard = relu(max(positive ? d : counts_alone ? 0 : -1, others) - min(same ? 3e38 : d, others) + margin)
    every = sum(positive ? sum(foreign ? relu(d - far + margin) : 0, thirds) : 0, others)
    mined ? (mining == semihard ? pairwise : mining == hard ? hard : every) : 0`,
  denominator: 'mined ? (mining == semihard ? positives : mining == hard ? 1 : positives * negatives) : 0',
  references: [
    'Schroff et al. 2015, FaceNet (semi-hard mining), arXiv:1503.03832',
    'Hermans et al. 2017, In Defense of the Triplet Loss (hard, all), arXiv:1703.07737',
    'tfa.losses.TripletSemiHardLoss',
    'tfa.losses.TripletHardLoss',
  ],
  examples: [
    {
      inputs: { embeddings: [[0], [1], [2], [4]], labels: [0, 0, 1, 1] },
      params: { margin: 4 },
      loss: [1, 0, 4, 0],
      gradients: { embeddings: [[6], [2], [-12], [4]] },
      from: 'by hand: 1 - 4, 1 - 9, 4 - 4 (none beyond 4, so the farthest) and 4 - 9, each + 4',
    },
    {
      inputs: { embeddings: [[0], [1], [2], [4]], labels: [0, 0, 1, 1] },
      params: { margin: 4, mining: 'hard' },
      loss: [1, 4, 7, 0],
      from: 'by hand: 1 - 4, 1 - 1, 4 - 1, 4 - 9, each + 4',
    },
    {
      inputs: { embeddings: [[0], [1], [2], [4]], labels: [0, 0, 1, 1] },
      params: { margin: 4, mining: 'all' },
      loss: [1, 4, 11, 0],
      from: 'by hand: 1 - 4 and 1 - 16; 1 - 1 and 1 - 9; 4 - 4 and 4 - 1; 4 - 16 and 4 - 9, each + 4',
    },
  ],
})
