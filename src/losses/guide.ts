/**
 * From a task to a loss: what to take, why, and when it is the wrong choice. Data only; the route and docs/choosing.md are
 * made from it. Facts are those of the losses' own references.
 */

export const TASKS = {
  regression: 'predict numbers',
  counts: 'predict counts, rates, costs and durations',
  uncertainty: 'predict quantiles or a distribution',
  binary: 'decide between two',
  multilabel: 'tick any number of labels',
  multiclass: 'choose one class of many',
  vocabulary: 'choose one of very many classes',
  ordinal: 'predict an ordered grade',
  ranking: 'put the items of a list in order',
  embedding: 'place samples so that like lies near like',
  retrieval: 'find the match of a query',
  distillation: 'match a distribution, or another model',
  segmentation: 'mark regions of an image',
  boxes: 'place boxes around objects',
  sequence: 'read a sequence without knowing its timing',
  preference: 'follow preferences between answers',
} as const
export type TaskName = keyof typeof TASKS

export const DATA_ISSUES = {
  imbalance: 'some classes, or the foreground, are rare',
  outliers: 'some targets are far off',
  'label noise': 'some labels are wrong',
  masks: 'some labels are missing, or padding',
  'heavy tails': 'targets span orders of magnitude, zeros among them',
  'few negatives': 'batches are small, or hold few negatives',
  'hard examples': 'most examples are easy, and drown the hard ones',
} as const
export type TroubleName = keyof typeof DATA_ISSUES

export const DESIRED_PROPERTIES = {
  probabilities: 'outputs that can be read as probabilities',
  margins: 'a decision with room to spare',
  sparsity: 'outputs that are exactly zero',
  convexity: 'one minimum for a linear model',
  robustness: 'no sample may decide alone',
  boosting: 'a second derivative that is useful everywhere',
  metric: 'the loss is the metric itself, as nearly as it can be',
} as const
export type WishName = keyof typeof DESIRED_PROPERTIES

/** Other words for the tasks, troubles and wishes -> those that they may stand for, the likeliest first. */
export const OTHER_WORDS: Readonly<Record<string, readonly string[]>> = {
  classification: ['multiclass', 'binary', 'multilabel'],
  classes: ['multiclass'],
  logistic: ['binary'],
  tagging: ['multilabel'],
  forecasting: ['regression', 'uncertainty'],
  probabilistic: ['uncertainty'],
  detection: ['boxes'],
  'object detection': ['boxes'],
  localization: ['boxes'],
  'language model': ['vocabulary'],
  'language modeling': ['vocabulary'],
  lm: ['vocabulary'],
  recommendation: ['ranking', 'retrieval'],
  search: ['retrieval', 'ranking'],
  similarity: ['embedding'],
  contrastive: ['embedding', 'retrieval'],
  'metric learning': ['embedding'],
  'face recognition': ['embedding'],
  'self-supervised': ['embedding'],
  rlhf: ['preference'],
  alignment: ['preference'],
  dpo: ['preference'],
  speech: ['sequence'],
  asr: ['sequence'],
  ocr: ['sequence'],
  handwriting: ['sequence'],
  images: ['segmentation'],
  masking: ['segmentation'],
  noise: ['label noise'],
  noisy: ['label noise'],
  'noisy labels': ['label noise'],
  padding: ['masks'],
  missing: ['masks'],
  rare: ['imbalance'],
  skew: ['heavy tails', 'imbalance'],
  zeros: ['heavy tails'],
  'small batches': ['few negatives'],
  calibration: ['probabilities'],
  calibrated: ['probabilities'],
  robust: ['robustness'],
  sparse: ['sparsity'],
  convex: ['convexity'],
  hessian: ['boosting'],
  xgboost: ['boosting'],
}

/** One piece of advice. */
export interface Advice {
  readonly task: TaskName
  readonly trouble?: TroubleName
  readonly wish?: WishName
  /** Losses, the best first. */
  readonly losses: readonly [string, ...string[]]
  readonly because: string
  /** When it is the wrong choice. */
  readonly unless: string
}

export const GUIDE: readonly Advice[] = Object.freeze<Advice[]>([
  {
    task: 'regression',
    losses: ['mse', 'half_squared'],
    because: 'The mean is what squared error asks for, and its gradient is the error itself.',
    unless: 'outliers are not to decide: each counts with its square.',
  },
  {
    task: 'regression',
    trouble: 'outliers',
    losses: ['huber', 'smooth_l1', 'log_cosh', 'l1'],
    because: 'Quadratic near zero, linear far out: a wrong target pulls no harder than a bad one.',
    unless: 'the far targets are real and matter most; l1 asks for the median, not the mean.',
  },
  {
    task: 'regression',
    trouble: 'outliers',
    wish: 'robustness',
    losses: ['barron_robust'],
    because: 'One parameter goes from squared error to losses whose gradient fades out for what is far off.',
    unless: 'you need convexity: below alpha 1 it has more than one minimum.',
  },
  {
    task: 'regression',
    trouble: 'heavy tails',
    losses: ['msle', 'mape'],
    because: 'Errors count by their ratio, so that large targets do not drown small ones.',
    unless: 'targets may be zero or negative: mape then divides by epsilon, msle has no logarithm.',
  },
  {
    task: 'regression',
    wish: 'boosting',
    losses: ['half_squared', 'log_cosh'],
    because: 'With hessian diagonal, trees get a curvature that is positive everywhere.',
    unless: 'you take huber or l1: their second derivative is 0 far out, and needs a hessian_floor.',
  },
  {
    task: 'counts',
    wish: 'convexity',
    losses: ['poisson_nll'],
    because: 'The variance of counts grows with their mean; on log-rates the loss is convex.',
    unless: 'counts vary more than their mean, or are mostly zero.',
  },
  {
    task: 'counts',
    trouble: 'heavy tails',
    losses: ['tweedie', 'gamma_nll'],
    because:
      'Tweedie with power between 1 and 2 has a point mass at zero and a positive tail (claims, rainfall); gamma is for durations that are never zero.',
    unless: 'targets can be negative.',
  },
  {
    task: 'uncertainty',
    losses: ['quantile', 'expectile'],
    because:
      'Each quantile is predicted by itself, without a form for the distribution; expectiles are their smooth cousins.',
    unless: 'you need a whole density: several quantiles may cross.',
  },
  {
    task: 'uncertainty',
    wish: 'probabilities',
    losses: ['gaussian_nll'],
    because: 'Mean and variance are learned together, and confident errors cost most.',
    unless: 'errors are heavy-tailed: a variance that collapses makes gradients explode.',
  },
  {
    task: 'binary',
    wish: 'probabilities',
    losses: ['binary_cross_entropy_with_logits', 'binary_cross_entropy'],
    because: 'The likelihood of a coin: proper, convex in the logit, and stable on logits.',
    unless: 'your model ends in a sigmoid already: then take the form on probabilities.',
  },
  {
    task: 'binary',
    trouble: 'imbalance',
    losses: ['sigmoid_focal', 'binary_focal'],
    because:
      'Easy negatives fade out, and alpha weighs the rare class; pos_weight of plain cross-entropy is the first thing to try.',
    unless: 'you need calibrated probabilities: focal loss pulls them to the middle.',
  },
  {
    task: 'binary',
    wish: 'margins',
    losses: ['hinge', 'squared_hinge', 'soft_margin', 'perceptron'],
    because:
      'Only what lies within the margin counts; soft_margin is its smooth form, perceptron has no margin.',
    unless: 'you need probabilities.',
  },
  {
    task: 'binary',
    wish: 'sparsity',
    losses: ['sparsemax'],
    because: 'The matching link reaches 0 and 1 exactly.',
    unless: 'every example shall keep a gradient.',
  },
  {
    task: 'multilabel',
    losses: ['binary_cross_entropy_with_logits', 'multilabel_soft_margin'],
    because: 'Labels are coins of their own; the second averages them for each row.',
    unless: 'positives are very rare among many labels.',
  },
  {
    task: 'multilabel',
    trouble: 'imbalance',
    losses: ['asymmetric'],
    because: 'Negatives fade faster than positives, and the easiest are dropped.',
    unless: 'labels are balanced, or probabilities must be calibrated.',
  },
  {
    task: 'multilabel',
    wish: 'margins',
    losses: ['multilabel_margin'],
    because: 'Every listed class shall outscore every other one by a margin.',
    unless: 'there are hundreds of classes: the pairs grow with the square.',
  },
  {
    task: 'multiclass',
    wish: 'probabilities',
    losses: ['cross_entropy', 'nll', 'cross_entropy_from_probs'],
    because:
      'The likelihood of one class out of many: proper, convex in the logits; the others take log-probabilities and probabilities.',
    unless: 'labels are noisy, or some classes are very rare.',
  },
  {
    task: 'multiclass',
    trouble: 'imbalance',
    losses: ['softmax_focal', 'cross_entropy'],
    because: 'class_weights first; focal fades out what is easy.',
    unless: 'you need calibrated probabilities.',
  },
  {
    task: 'multiclass',
    trouble: 'label noise',
    losses: ['generalized_cross_entropy', 'cross_entropy'],
    because:
      'Between cross-entropy and absolute error: a label that contradicts a sure model pulls little; label_smoothing is the mild form.',
    unless: 'labels are clean: it learns more slowly.',
  },
  {
    task: 'multiclass',
    trouble: 'hard examples',
    losses: ['poly1_cross_entropy', 'softmax_focal'],
    because: 'Poly-1 adds to the first term of the series, focal takes from all of them.',
    unless: 'the hard examples are wrong labels.',
  },
  {
    task: 'multiclass',
    trouble: 'masks',
    losses: ['cross_entropy', 'nll'],
    because: 'ignore_index leaves rows out of sum and mean, whatever they hold.',
    unless: 'targets are probabilities, which have no label to ignore: use sample_weight.',
  },
  {
    task: 'multiclass',
    wish: 'margins',
    losses: ['crammer_singer', 'multi_margin', 'categorical_hinge', 'multiclass_perceptron'],
    because: 'The right class shall outscore the best wrong one (or every wrong one) by a margin.',
    unless: 'you need probabilities.',
  },
  {
    task: 'multiclass',
    wish: 'sparsity',
    losses: ['multiclass_sparsemax', 'fenchel_young'],
    because: 'The matching link gives exact zeros; entmax lies between softmax and sparsemax.',
    unless: 'classes are many: each row costs their square.',
  },
  {
    task: 'multiclass',
    wish: 'boosting',
    losses: ['cross_entropy'],
    because: "With hessian diagonal p(1 - p) comes along, in LightGBM's class-major layout where asked.",
    unless: 'leaves may be pure: raise the curvature with hessian_floor.',
  },
  {
    task: 'vocabulary',
    losses: ['linear_cross_entropy', 'adaptive_log_softmax'],
    because:
      'The last layer is part of the loss, so that logits never travel; the second saves parameters for rare words.',
    unless: 'classes are few.',
  },
  {
    task: 'ordinal',
    losses: ['ordinal'],
    because: 'One threshold a grade: being off by one costs less than by three.',
    unless: 'grades have no order.',
  },
  {
    task: 'ranking',
    losses: ['pairwise_logistic_ranking', 'pairwise_hinge_ranking', 'pairwise_mse_ranking', 'margin_ranking'],
    because:
      'Every pair that the labels order shall be in that order; margin_ranking takes the pairs ready-made.',
    unless: 'lists are long and only their top matters.',
  },
  {
    task: 'ranking',
    wish: 'probabilities',
    losses: ['softmax_ranking', 'unique_softmax', 'list_mle'],
    because: 'The list as a whole: which item is first, or the whole order (Plackett-Luce).',
    unless: 'labels tie often: list_mle takes ties in the order they came.',
  },
  {
    task: 'ranking',
    wish: 'metric',
    losses: ['lambda_rank', 'approx_ndcg'],
    because: 'Pairs count by what swapping them does to NDCG; the second is NDCG with soft ranks.',
    unless: 'scores are far apart: soft ranks then have no gradient.',
  },
  {
    task: 'ranking',
    trouble: 'masks',
    losses: ['softmax_ranking', 'pairwise_logistic_ranking', 'approx_ndcg'],
    because: 'mask leaves padding out of the normaliser, the pairs and the mean.',
    unless: 'padding is marked by negative labels: those are labels here.',
  },
  {
    task: 'embedding',
    losses: ['triplet_margin', 'contrastive', 'cosine_embedding', 'hinge_embedding'],
    because: 'Pairs and triplets that you have chosen: like ones near, others beyond a margin.',
    unless: 'most of them are easy: then let the batch choose.',
  },
  {
    task: 'embedding',
    trouble: 'hard examples',
    losses: ['triplet_batch', 'multi_similarity', 'circle'],
    because: 'The batch is mined for the triplets and pairs that still teach something.',
    unless: 'labels are noisy: the hardest pairs are then the wrong ones.',
  },
  {
    task: 'embedding',
    wish: 'margins',
    losses: ['margin_softmax'],
    because: 'Classes have directions of their own, and the right one must win by an angle.',
    unless: 'classes at test time have nothing in common with those in training and are few.',
  },
  {
    task: 'retrieval',
    losses: ['multiple_negatives_ranking', 'nt_xent', 'supcon'],
    because:
      'The rest of the batch are the negatives; with symmetric it is CLIP, with labels supcon takes all positives.',
    unless: 'batches are small, or hold duplicates, which then count as negatives.',
  },
  {
    task: 'retrieval',
    trouble: 'few negatives',
    losses: ['info_nce'],
    because: 'You bring the negatives of each query yourself.',
    unless: 'the batch has enough of them.',
  },
  {
    task: 'distillation',
    losses: ['distillation_kl', 'kl_div', 'cosine_similarity'],
    because: "The teacher's temperature shows what it thinks of the wrong classes; cosines match features.",
    unless: 'you have labels only: take cross_entropy with label_smoothing.',
  },
  {
    task: 'distillation',
    wish: 'robustness',
    losses: ['js_div', 'generalized_kl_div'],
    because:
      'Jensen-Shannon is bounded and symmetric; generalized KL also compares what does not sum to one.',
    unless: 'the direction of KL is what you want: missing a mode shall cost.',
  },
  {
    task: 'segmentation',
    trouble: 'imbalance',
    losses: ['dice', 'generalized_dice', 'tversky', 'focal_tversky'],
    because:
      'Overlap is blind to how large the background is; tversky chooses between missed and extra pixels.',
    unless:
      'regions are often empty: smooth decides what that costs. Compose with cross-entropy where training is unstable.',
  },
  {
    task: 'segmentation',
    trouble: 'masks',
    losses: ['dice', 'generalized_dice', 'tversky', 'jaccard', 'lovasz'],
    because:
      'All take a mask, and class indices of which one is ignored: such pixels count in no sum, whatever they hold.',
    unless: 'whole rows are missing: give those a sample_weight of 0.',
  },
  {
    task: 'segmentation',
    wish: 'metric',
    losses: ['lovasz', 'jaccard'],
    because: 'Lovasz is the convex surrogate of IoU itself, jaccard its soft form.',
    unless: 'training starts: they are for fine-tuning after cross-entropy or dice.',
  },
  {
    task: 'boxes',
    wish: 'metric',
    losses: ['giou', 'diou', 'ciou', 'iou'],
    because:
      'IoU alone has no gradient for boxes that do not meet; giou, diou and ciou add distance and shape.',
    unless: 'targets are degenerate boxes, which any of them only pulls together.',
  },
  {
    task: 'boxes',
    trouble: 'imbalance',
    losses: ['varifocal', 'distribution_focal', 'sigmoid_focal'],
    because: 'Scores that know their IoU, and borders as distributions over bins (dense detectors).',
    unless: 'there are few candidates.',
  },
  {
    task: 'sequence',
    losses: ['ctc'],
    because: 'All alignments of the labels with the time are summed over.',
    unless: 'labels may be longer than the time, or the order is free.',
  },
  {
    task: 'preference',
    losses: ['dpo'],
    because:
      'Preferences between two answers, without a reward model; ipo and robust are variants for noisy preferences.',
    unless: 'you have rewards, or single answers that are good or bad.',
  },
])
