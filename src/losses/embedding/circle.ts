/** Circle loss: a pair pulls harder the farther it is from where it should be. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, oneOf } from '../define.ts'
import { L2_NORMALIZED } from '../formula-snippets.ts'

export default defineLoss({
  name: 'circle',
  family: 'embedding',
  couples: 'batch',
  about:
    'Metric learning on the cosines of a batch: each pair is weighted by how far it is from its goal, so that good pairs do not hold back poor ones. Its slopes are steep (gamma 80): lower gamma or the learning rate if training is unstable, and start with multi_similarity or supcon if classes have few rows per batch.',
  presets: {
    torch: {
      names: { 'pytorch_metric_learning.losses.CircleLoss': {} },
      note: 'The mean is over rows that have positives and negatives. pytorch-metric-learning also leaves out rows whose loss underflows to 0, which takes a gamma above 300 in float32.',
    },
    keras: {
      names: { 'keras.losses.Circle': {}, 'keras.losses.circle': {} },
      params: { normalize: false, weights: 'exact' },
      note: 'Keras expects rows of length 1 and does not normalize them. For rows without positives or negatives the function returns 0; the class leaves them out of the mean, as here.',
    },
  },
  inputs: {
    embeddings: input('rows,dim', 'real', {
      differentiable: true,
      about:
        'Embeddings; their length does not matter unless normalize is false. A zero row has cosine 0 to all and gradient 0.',
    }),
    labels: input('rows', 'class', {
      about: 'Rows with equal labels are positives of each other; all others are negatives.',
    }),
  },
  params: Type.Object({
    gamma: Type.Number({
      exclusiveMinimum: 0,
      default: 80,
      description: 'Scale of the scores: how strongly the worst pairs of a row dominate.',
    }),
    margin: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0.4,
      description: 'Positives should have a cosine above 1 - margin, negatives one below margin.',
    }),
    normalize: Type.Boolean({
      default: true,
      description:
        'Whether rows are divided by their lengths. false expects rows of length 1 and takes them as they are, as Keras does, so that the gradient has a part along each row, too; products above 1 count as 1.',
    }),
    weights: oneOf(['constant', 'exact'], {
      default: 'constant',
      description:
        "constant: the gradient treats each pair's weight as constant, like the paper, its authors' code and pytorch-metric-learning. exact: the gradient is the exact slope of the value.",
    }),
  }),
  // softplus( ln sum over positives of e^(-gamma [1+m-s] (s-1+m)) + ln sum over negatives of e^(gamma [s+m] (s-m)) ),
  // [x] = max(x, 0). A row without positives or without negatives has nothing to compare.
  formula: `${L2_NORMALIZED}
    product = sum(embeddings * embeddings[rows -> others], dim)
    s = normalize ? sum(z * z[rows -> others], dim) : min(product, 1)
    same = labels == labels[rows -> others]
    positive = same and index(rows) != index(rows)[rows -> others]
    weight_pull = relu(1 + margin - s)
    weight_push = relu(s + margin)
    pull = -gamma * (weights == exact ? weight_pull : stop_gradient(weight_pull)) * (s - 1 + margin)
    push = gamma * (weights == exact ? weight_push : stop_gradient(weight_push)) * (s - margin)
    pulls = logsumexp(positive ? pull : -1e30, others)
    pushes = logsumexp(same ? -1e30 : push, others)
    compares = sum(positive ? 1 : 0, others) > 0 and sum(same ? 0 : 1, others) > 0
    compares ? softplus(pulls + pushes) : 0`,
  denominator: 'compares ? 1 : 0',
  limits: { detached: { param: 'weights', values: ['constant'] } },
  references: [
    'Sun et al. 2020, Circle Loss: A Unified Perspective of Pair Similarity Optimization, arXiv:2002.10857',
    'keras.losses.Circle',
    'pytorch_metric_learning.losses.CircleLoss',
  ],
  examples: [
    {
      inputs: {
        embeddings: [
          [3, 0],
          [0, 2],
          [1, 0],
        ],
        labels: [0, 0, 1],
      },
      params: { gamma: 1, margin: 0.5 },
      loss: [1.7014132779827524, 0.9740769841801067, 0],
      from: 'by hand: positives at cosine 0 score 3/4; negatives at 1 score 3/4, at 0 score -1/4; ln(1 + e^(3/2)), ln(1 + e^(1/2))',
    },
  ],
})
