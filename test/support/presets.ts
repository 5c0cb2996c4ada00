/**
 * Where a preset does not give the framework's number, and why. The framework's own stands in test/oracles/presets, ours
 * here. An exception that is none any more fails its test.
 */

/** Another number, which other tests hold to its definition; or one that is still near the framework's. */
export interface Otherwise {
  readonly within?: number
}

export interface Exception {
  readonly why: string
  /** `loss` or an input's name -> our number, or its gradient. What is not named is the framework's. */
  readonly ours?: Readonly<Record<string, readonly number[] | Otherwise>>
  /** The request is refused, with these words. */
  readonly refused?: string
}

export const isOtherwise = (ours: readonly number[] | Otherwise): ours is Otherwise => !Array.isArray(ours)

const OTHERWISE: Otherwise = {}
const within = (tolerance: number): Otherwise => ({ within: tolerance })
const zeros = (count: number): number[] => Array(count).fill(0)

/** A framework's functions and classes that answer alike. */
const each = (names: string, exceptions: Readonly<Record<string, Exception>>) =>
  names
    .split(' ')
    .flatMap((name) => Object.entries(exceptions).map(([id, one]) => [`${name} ${id}`, one] as const))

const impossible = (why: string, rest: Exception['ours'] = {}): Exception => ({
  why: `${why} where the labels do not fit into the time`,
  ours: { ...rest, predictions: zeros(8) },
})

const batchRegion: Exception = {
  why: 'Keras takes the whole batch for one region; ours is the mean over rows and classes',
  ours: { loss: OTHERWISE, predictions: OTHERWISE },
}
const emptyRegion: Exception = {
  why: 'Keras charges 1 for an empty region that is predicted empty, and has no gradient to leave it by',
  ours: { loss: [0] },
}
const zeroOne: Exception = {
  why: 'Keras guesses labels of 0 and 1 from the whole batch; here labels "01" says so',
  refused: 'must be -1 or 1',
}
const ownWeights: Exception = {
  why: 'optax averages Dice losses, with the weights of the whole batch; ours is one overlap a row (Sudre et al.)',
  ours: { loss: OTHERWISE, predictions: OTHERWISE },
}
const unitGradient: Exception['ours'] = { embeddings: OTHERWISE }
const zeroRows: Exception = {
  why: 'the function counts rows without positives or negatives as 0, and its gradient does not know of the lengths',
  ours: { loss: OTHERWISE, ...unitGradient },
}
const notNormalised: Exception = {
  why: 'Keras leaves it to the caller to normalise',
  ours: { loss: OTHERWISE, ...unitGradient },
}
const lengthsFree: Exception = { why: 'its gradient does not know of the lengths', ours: unitGradient }
const zeroVector = (slope: number, loss?: readonly number[]): Exception => {
  const along = [slope, 2 * slope, 2 * slope]
  const gradients = { predictions: [...along, 0, 0, 0], targets: [0, 0, 0, ...along] }
  return {
    why: 'a zero vector gives NaN there; here it has cosine 0 and the gradient of 1 / epsilon',
    ours: loss === undefined ? gradients : { loss, ...gradients },
  }
}

export const EXCEPTIONS: Readonly<Record<string, Exception>> = Object.fromEntries([
  ...each('torch.nn.functional.binary_cross_entropy torch.nn.BCELoss', {
    'binary_cross_entropy/right': {
      why: 'the slope of -ln p at p = 1 is -1, and PyTorch answers 0 there, though not just below',
      ours: { predictions: [1 / 3, -1 / 3, -2 / 3] },
    },
  }),
  ...each('torch.nn.functional.soft_margin_loss torch.nn.SoftMarginLoss', {
    'soft_margin/far': {
      why: 'PyTorch takes the exponential of 1e4; the value is right in both',
      ours: { predictions: [0.5, -0.5] },
    },
  }),
  ...each('torch.nn.functional.ctc_loss torch.nn.CTCLoss', {
    'ctc/impossible': impossible('PyTorch has a gradient of NaN'),
  }),
  ...each('torchvision.ops.generalized_box_iou_loss', {
    'giou/line': {
      why: 'PyTorch divides by epsilon alone where the box around both has no area',
      ours: { predictions: zeros(4) },
    },
  }),
  ...each('torchvision.ops.complete_box_iou_loss', {
    'ciou/line': {
      why: 'PyTorch has 0 times the slope of atan(w / 0)',
      ours: { predictions: OTHERWISE, targets: OTHERWISE },
    },
    'ciou/flat': { why: 'PyTorch has 0 times the slope of atan(w / 0)', ours: { predictions: OTHERWISE } },
    'ciou/points': {
      why: 'PyTorch has atan(0 / 0)',
      ours: { loss: [1], predictions: zeros(4), targets: zeros(4) },
    },
  }),
  ...each('pytorch_metric_learning.losses.CircleLoss', {
    'circle/plain': { why: 'it holds the weights of the pairs constant', ours: unitGradient },
  }),
  ...each(
    'torchmetrics.functional.regression.jensen_shannon_divergence torchmetrics.regression.JensenShannonDivergence',
    {
      'js_div/apart': {
        why: 'torchmetrics has 0 * ln 0 in its gradient; ours is large, right in sign and finite',
        ours: { predictions: OTHERWISE, targets: OTHERWISE },
      },
      'js_div/absent': {
        why: 'torchmetrics has 0 / 0 in its gradient where both probabilities are 0',
        ours: { predictions: OTHERWISE, targets: OTHERWISE },
      },
    },
  ),
  ...each('keras.losses.binary_focal_crossentropy keras.losses.BinaryFocalCrossentropy', {
    'binary_focal/wrong': {
      why: 'Keras clips inside the logarithm only, and has the slope of its other factor beyond',
      ours: { predictions: [0, 0, (Math.log(0.5) - 0.5) / 3] },
    },
    'binary_focal/near': {
      why: 'as above: 1e-9 lies beyond the clipping',
      ours: { predictions: [(2 * 0.999 * Math.log(1e-3) - 0.999 ** 2 / 1e-3) / 3, 0, 0] },
    },
  }),
  ...each('keras.losses.hinge keras.losses.Hinge', {
    'hinge/margin': {
      why: 'at the margin Keras answers half of the active side on torch, all of it on TensorFlow',
      ours: { predictions: [0, 0, -1 / 3] },
    },
    'hinge/zeros': zeroOne,
  }),
  ...each('keras.losses.squared_hinge keras.losses.SquaredHinge', { 'squared_hinge/zeros': zeroOne }),
  ...each(
    'keras.losses.categorical_generalized_cross_entropy keras.losses.CategoricalGeneralizedCrossEntropy',
    {
      'generalized_cross_entropy/sure': {
        why: 'Keras has an infinite slope at a probability of 0, and NaN beside it; ours is held at about 1e18',
        ours: { predictions: OTHERWISE },
      },
    },
  ),
  // Two rows, epsilon 1e-7, a vector of length 3 on the other side.
  ...each('keras.losses.cosine_similarity keras.losses.CosineSimilarity', {
    'cosine_similarity/zero': zeroVector(-1e7 / 3 / 2),
  }),
  ...each('keras.losses.circle', {
    'circle/unit': zeroRows,
    'circle/long': notNormalised,
    'circle/single': zeroRows,
  }),
  ...each('keras.losses.Circle', {
    'circle/unit': lengthsFree,
    'circle/long': notNormalised,
    'circle/single': lengthsFree,
  }),
  ...each('keras.losses.dice keras.losses.Dice', { 'dice/plain': batchRegion, 'dice/empty': emptyRegion }),
  ...each('keras.losses.tversky keras.losses.Tversky', {
    'tversky/plain': batchRegion,
    'tversky/empty': emptyRegion,
  }),
  ...each('keras.losses.ctc keras.losses.CTC', {
    'ctc/impossible': impossible('Keras on torch has a gradient of NaN'),
  }),
  ...each('optax.losses.sigmoid_focal_loss optax.sigmoid_focal_loss', {
    'sigmoid_focal/plain': {
      why: 'by a target of 0 or 1, ours is the limit of the gradient by soft targets; that of optax is not',
      ours: { targets: OTHERWISE },
    },
    'sigmoid_focal/far': { why: 'as above', ours: { targets: [0, 0, -3000, 3000, 0] } },
  }),
  ...each('optax.losses.hinge_loss optax.hinge_loss', {
    'hinge/margin': {
      why: 'at the margin optax answers half of the active side',
      ours: { predictions: [0, 0, -1] },
    },
  }),
  ...each('optax.losses.perceptron_loss', {
    'perceptron/zero': {
      why: 'at a score of 0 optax answers half of the active side',
      ours: { predictions: [0] },
    },
  }),
  ...each('optax.losses.poly_loss_cross_entropy', {
    'poly1_cross_entropy/masked': {
      why: 'optax has 0 * -inf; without the masked class p = 1 / (1 + e)',
      ours: { loss: [Math.log(1 + Math.E) + (2 * Math.E) / (1 + Math.E)] },
    },
  }),
  // epsilon 1e-8, unreduced.
  ...each('optax.losses.cosine_similarity optax.cosine_similarity', {
    'cosine_similarity/zero': zeroVector(1e8 / 3, [0, 0]),
  }),
  ...each('optax.losses.cosine_distance optax.cosine_distance', {
    'cosine_similarity/zero': zeroVector(-1e8 / 3, [1, 1]),
  }),
  ...each('optax.losses.triplet_margin_loss', {
    'triplet_margin/plain': {
      why: 'optax adds 1e-6 to the sum of squares',
      ours: { loss: within(1e-6), anchor: within(2e-6), positive: within(2e-6), negative: within(2e-6) },
    },
    'triplet_margin/same': {
      why: 'equal points are 1e-3 apart in optax',
      ours: { loss: [0.5], anchor: [0, 0, 1], negative: [0, 0, -1] },
    },
  }),
  ...each('optax.losses.ntxent optax.ntxent', {
    'nt_xent/singles': { why: 'optax divides by the number of pairs, 0', ours: { loss: [0] } },
  }),
  ...each('optax.losses.multiclass_generalized_dice_loss', {
    'generalized_dice/plain': ownWeights,
    'generalized_dice/tall': ownWeights,
    'generalized_dice/row': ownWeights,
  }),
  ...each('optax.losses.ctc_loss optax.ctc_loss', {
    'ctc/impossible': impossible('optax answers about 1e5', { loss: [Number.POSITIVE_INFINITY] }),
  }),
  ...each('tf.losses.absoluteDifference', {
    'l1/equal': {
      why: 'tfjs answers the slope of one side where there is no error',
      ours: { predictions: zeros(3), targets: zeros(3) },
    },
  }),
  ...each('tf.losses.logLoss', {
    'binary_cross_entropy/wrong': {
      why: 'tfjs adds its epsilon in the logarithm and goes on falling; clipped probabilities rest',
      ours: { predictions: [0, 0, -2 / 3] },
    },
    'binary_cross_entropy/right': { why: 'as above', ours: { predictions: [0, 0, -2 / 3] } },
    'binary_cross_entropy/near': {
      why: 'next to an epsilon of 1e-7, a probability of 1e-9 counts in tfjs; it is clipped here',
      ours: {
        loss: [-(Math.log(1e-3) + 2 * Math.log(1e-7)) / 3],
        predictions: [-1e3 / 3, 0, 0],
        targets: within(1e-3),
      },
    },
  }),
])

/** Spellings that no script calls. */
export const UNCALLED: Readonly<Record<string, string>> = Object.fromEntries(
  ['TripletSemiHardLoss', 'triplet_semihard_loss', 'TripletHardLoss', 'triplet_hard_loss'].map((name) => [
    `tfa.losses.${name}`,
    'TensorFlow Addons ended in 2024 and runs with no Keras of today',
  ]),
)
