/** Fenchel-Young losses: one loss for each way to turn scores into probabilities. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input, oneOf } from '../define.ts'

export default defineLoss({
  name: 'fenchel_young',
  family: 'margin',
  couples: 'row',
  about:
    'The convex loss whose gradient is the predicted probabilities minus the targets: for softmax (cross-entropy), sparsemax, or entmax15 in between; the last two give probabilities that are exactly 0. Use it for soft targets and sparse attention; for class indices use cross_entropy or multiclass_sparsemax. The cost of the sparse regularizers grows with the square of the number of classes.',
  presets: {
    optax: {
      names: { 'optax.losses.make_fenchel_young_loss': {} },
      params: { class_axis: -1 },
      reduction: 'none',
      note: 'optax accepts any max function; here the regularizer is chosen by name. logsumexp corresponds to entropy.',
    },
  },
  inputs: {
    predictions: input('rows,classes,...', 'real', { differentiable: true, about: 'Scores, one per class.' }),
    targets: input('rows,classes,...', 'simplex', { about: 'Probabilities: one-hot or soft.' }),
  },
  params: Type.Object({
    regularizer: oneOf(['entropy', 'sparsemax', 'entmax15'], {
      default: 'entropy',
      description:
        'The regularizer: Tsallis entropy of order 1 (Shannon, softmax), 2 (sparsemax) or 1.5 (entmax15).',
    }),
    class_axis: classAxisParam,
  }),
  // max_p (<p, x> - R(p)) - <x, y> with the Tsallis regularizers R: sum p ln p, sum (p^2 - p) / 2 and 4/3 sum
  // (p^1.5 - p), which are all 0 where p is one-hot. The constant R(y), which would make the loss 0 at p = y, is
  // left out, as in optax. By Danskin's theorem the gradient is p - y.
  //
  // sparsemax: p = [d]+ with d = z - tau; entmax15: p = [d]+^2 with d = z/2 - tau; tau makes p sum to 1. Class j
  // has p > 0 if tau = z_j gives the classes above it less than 1. These k classes with mean m determine tau, for
  // entmax15 from 1 = sum d^2 = sum (z - m)^2 + k (m - tau)^2. Together with R(y), each class adds a term >= 0, so
  // that nothing cancels where the loss is small: (d - y)^2 / 2, and 2/3 (d - r)^2 (d + 2r) with r = sqrt(y); for d
  // <= 0 the same with p = 0. In these terms tau is held constant: its slope is `spare`, which is 0 if the targets
  // sum to 1; if they do not, `spare` keeps the value and the gradient those of the definition.
  formula: `
    y = targets
    r = sqrt(y)
    spare = 1 - sum(y, classes)
    top = stop_gradient(max(predictions, classes))
    order = regularizer == sparsemax ? 1 : 2
    z = (predictions - top) / order
    inside = sum(relu(z[classes -> others] - z)^order, others) < 1
    k = sum(inside ? 1 : 0, classes)
    m = sum(inside ? z : 0, classes) / k
    rest = 1 - sum(inside ? (z - m)^2 : 0, classes)
    tau = regularizer == sparsemax ? m - 1 / k : m - sqrt(rest / k)
    d = z - tau
    square = d > 0 ? (d - y)^2 / 2 : y == 0 ? 0 : y * (y / 2 - d)
    power = d > 0 ? 2 / 3 * (d - r)^2 * (d + 2 * r) : y == 0 ? 0 : y * (4 / 3 * r - 2 * d)
    term = regularizer == sparsemax ? square + y * (1 - y) / 2 : power + 4 / 3 * y * (1 - r)
    constant = regularizer == sparsemax ? 1 / 2 : 4 / 3
    sparse = sum(term, classes) + spare * (order * tau + top + constant)
    log_p = log_softmax(predictions, classes)
    soft = -sum(y == 0 ? 0 : y * log_p, classes) + spare * logsumexp(predictions, classes)
    regularizer == entropy ? soft : sparse`,
  references: [
    'Blondel et al. 2020, Learning with Fenchel-Young Losses, arXiv:1901.02324',
    'Peters et al. 2019, Sparse Sequence-to-Sequence Models (entmax), arXiv:1905.05702',
    'optax.losses.make_fenchel_young_loss',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 1.0986122886681098]], targets: [[0.5, 0.5]] },
      loss: [0.8369882167858358],
      gradients: { predictions: [[-0.25, 0.25]] },
      from: 'by hand: ln 4 - ln(3)/2',
    },
    {
      inputs: { predictions: [[0, 0.5, -3]], targets: [[0.5, 0.5, 0]] },
      params: { regularizer: 'sparsemax' },
      loss: [0.3125],
      gradients: { predictions: [[-0.25, 0.25, 0]] },
      from: 'by hand: p = (1/4, 3/4, 0), 0.375 - (0.625 - 1) / 2 - 0.25',
    },
    {
      inputs: { predictions: [[1.2, 1.6]], targets: [[0, 1]] },
      params: { regularizer: 'entmax15' },
      loss: [0.21866666666666668],
      gradients: { predictions: [[0.36, -0.36]] },
      from: 'by hand: p = (0.6^2, 0.8^2), 1.456 - 4/3 (0.728 - 1) - 1.6',
    },
  ],
})
