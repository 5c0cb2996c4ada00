/**
 * Recommendations: from a task to the losses to use, why, and when they are the wrong choice. Advice about one loss is in
 * the file of that loss (`advice`), advice that compares several is here. The route /v1/guide, docs/choosing.md and the
 * pages of the losses are generated from both. The facts come from the references of the losses.
 */

export const TASKS = {
  regression: 'predict numbers',
  counts: 'predict counts, rates, costs and durations',
  uncertainty: 'predict quantiles or a distribution',
  binary: 'choose between two classes',
  multilabel: 'assign any number of labels',
  multiclass: 'choose one of many classes',
  vocabulary: 'choose one of very many classes',
  ordinal: 'predict an ordered grade',
  ranking: 'put the items of a list in order',
  embedding: 'place similar samples close together',
  retrieval: 'find the match for a query',
  distillation: 'match a distribution or another model',
  segmentation: 'mark regions of an image',
  boxes: 'place boxes around objects',
  sequence: 'label a sequence without knowing the alignment',
  preference: 'learn from preferences between two responses',
} as const
export type TaskName = keyof typeof TASKS

export const DATA_ISSUES = {
  imbalance: 'some classes, or the foreground, are rare',
  outliers: 'some targets are far off',
  'label noise': 'some labels are wrong',
  masks: 'some labels are missing or are padding',
  'heavy tails': 'targets span orders of magnitude and include zeros',
  'few negatives': 'batches are small or contain few negatives',
  'hard examples': 'most examples are easy and drown out the hard ones',
} as const
export type DataIssue = keyof typeof DATA_ISSUES

export const DESIRED_PROPERTIES = {
  probabilities: 'outputs that can be read as probabilities',
  margins: 'decisions with a safety margin',
  sparsity: 'outputs that are exactly zero',
  convexity: 'a single minimum for a linear model',
  robustness: 'no single sample dominates',
  boosting: 'a second derivative that is useful everywhere',
  metric: 'a loss as close as possible to the evaluation metric',
} as const
export type DesiredProperty = keyof typeof DESIRED_PROPERTIES

/** Synonyms -> the tasks, troubles and wishes that they may mean, the most likely first. */
export const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
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

/** When to use one loss, as its own file says it. */
export interface LossAdvice {
  readonly task: TaskName
  readonly trouble?: DataIssue
  readonly wish?: DesiredProperty
  /** Why: one or two sentences. */
  readonly because: string
  /** When it is the wrong choice: completes "Avoid if ...". */
  readonly unless: string
}

/** One recommendation. */
export interface Advice extends LossAdvice {
  /** The recommended losses, the best first. */
  readonly losses: readonly [string, ...string[]]
}

/**
 * All recommendations, by task: comparisons first, then what the losses say of themselves.
 *
 * @example
 * guideFor(catalog.losses).filter(({ task }) => task === 'counts')
 */
export function guideFor(
  losses: readonly { readonly name: string; readonly advice: readonly LossAdvice[] }[],
): readonly Advice[] {
  const own = losses.flatMap(({ name, advice }) =>
    advice.map(({ task, ...rest }): Advice => ({ task, losses: [name], ...rest })),
  )
  const all = [...COMPARISONS, ...own]
  return Object.keys(TASKS).flatMap((name) => all.filter(({ task }) => task === name))
}

const COMPARISONS: readonly Advice[] = Object.freeze<Advice[]>([
  {
    task: 'regression',
    losses: ['mse', 'half_squared'],
    because: 'Squared error is smallest at the mean, and its gradient is proportional to the error.',
    unless: 'outliers must not dominate: each error counts with its square.',
  },
  {
    task: 'regression',
    trouble: 'outliers',
    losses: ['huber', 'smooth_l1', 'log_cosh', 'l1'],
    because: 'They are linear for large errors, so the pull of an outlier is bounded.',
    unless: 'the large errors are real and matter most. l1 is smallest at the median, not at the mean.',
  },
  {
    task: 'regression',
    trouble: 'heavy tails',
    losses: ['msle', 'mape'],
    because: 'Errors are relative, so that large targets do not drown out small ones.',
    unless: 'targets can be zero or negative: mape then divides by epsilon, and msle has no logarithm.',
  },
  {
    task: 'regression',
    wish: 'boosting',
    losses: ['half_squared', 'log_cosh'],
    because: 'With hessian: diagonal, trees get a second derivative that is positive everywhere.',
    unless:
      'you want huber or l1 instead: their second derivative is 0 for large errors, so they need hessian_floor.',
  },
  {
    task: 'counts',
    trouble: 'heavy tails',
    losses: ['tweedie', 'gamma_nll'],
    because:
      'tweedie with a power between 1 and 2 has a point mass at zero and a positive tail (claims, rainfall). gamma_nll is for durations that are never zero.',
    unless: 'targets can be negative.',
  },
  {
    task: 'uncertainty',
    losses: ['quantile', 'expectile'],
    because:
      'Each quantile is predicted on its own, without assuming a distribution. Expectiles are a smooth alternative.',
    unless: 'you need a full density: several predicted quantiles may cross.',
  },
  {
    task: 'binary',
    wish: 'probabilities',
    losses: ['binary_cross_entropy_with_logits', 'binary_cross_entropy'],
    because:
      'The Bernoulli likelihood: a proper scoring rule, convex in the logit, and numerically stable on logits.',
    unless:
      'your model already ends in a sigmoid: then only binary_cross_entropy fits, which takes probabilities.',
  },
  {
    task: 'binary',
    trouble: 'imbalance',
    losses: ['sigmoid_focal', 'binary_focal'],
    because:
      'Easy negatives are down-weighted, and alpha weights the rare class. Try pos_weight of plain cross-entropy first.',
    unless: 'you need calibrated probabilities: focal loss pulls them towards 0.5.',
  },
  {
    task: 'binary',
    wish: 'margins',
    losses: ['hinge', 'squared_hinge', 'soft_margin', 'perceptron'],
    because:
      'Only samples inside the margin count. soft_margin is the smooth form; perceptron has no margin.',
    unless: 'you need probabilities.',
  },
  {
    task: 'multilabel',
    losses: ['binary_cross_entropy_with_logits', 'multilabel_soft_margin'],
    because:
      'Each label is an independent yes/no decision. multilabel_soft_margin averages the labels of a row.',
    unless: 'positives are very rare among many labels.',
  },
  {
    task: 'multiclass',
    wish: 'probabilities',
    losses: ['cross_entropy', 'nll', 'cross_entropy_from_probs'],
    because:
      'The categorical likelihood: a proper scoring rule, convex in the logits. nll takes log-probabilities, cross_entropy_from_probs probabilities.',
    unless: 'labels are noisy, or some classes are very rare.',
  },
  {
    task: 'multiclass',
    trouble: 'imbalance',
    losses: ['softmax_focal', 'cross_entropy'],
    because: 'softmax_focal down-weights easy rows. Try class_weights of cross_entropy first.',
    unless: 'you need calibrated probabilities.',
  },
  {
    task: 'multiclass',
    trouble: 'label noise',
    losses: ['generalized_cross_entropy', 'cross_entropy'],
    because:
      'Between cross-entropy and absolute error: a label that contradicts a confident model has little pull. label_smoothing of cross_entropy is a milder remedy.',
    unless: 'labels are clean: it learns more slowly.',
  },
  {
    task: 'multiclass',
    trouble: 'hard examples',
    losses: ['poly1_cross_entropy', 'softmax_focal'],
    because:
      'Poly-1 raises the first term of the series expansion of cross-entropy; focal loss lowers all terms.',
    unless: 'the hard examples are mislabelled.',
  },
  {
    task: 'multiclass',
    trouble: 'masks',
    losses: ['cross_entropy', 'nll'],
    because: 'ignore_index leaves rows out of the sum and the mean, whatever they contain.',
    unless: 'targets are probabilities, which have no label to ignore: use sample_weight.',
  },
  {
    task: 'multiclass',
    wish: 'margins',
    losses: ['crammer_singer', 'multi_margin', 'categorical_hinge', 'multiclass_perceptron'],
    because: 'The right class must outscore the best wrong class (or every wrong class) by a margin.',
    unless: 'you need probabilities.',
  },
  {
    task: 'multiclass',
    wish: 'sparsity',
    losses: ['multiclass_sparsemax', 'fenchel_young'],
    because: 'The matching link function gives exact zeros. Entmax lies between softmax and sparsemax.',
    unless: 'there are many classes: the cost of a row grows with their square.',
  },
  {
    task: 'vocabulary',
    losses: ['linear_cross_entropy', 'adaptive_log_softmax'],
    because:
      'The last layer is part of the loss, so that logits are never sent. adaptive_log_softmax saves parameters for rare words.',
    unless: 'there are few classes.',
  },
  {
    task: 'ranking',
    losses: ['pairwise_logistic_ranking', 'pairwise_hinge_ranking', 'pairwise_mse_ranking', 'margin_ranking'],
    because:
      'Every pair that the labels order must be predicted in that order. margin_ranking takes pairs instead of lists.',
    unless: 'lists are long and only the top matters.',
  },
  {
    task: 'ranking',
    wish: 'probabilities',
    losses: ['softmax_ranking', 'unique_softmax', 'list_mle'],
    because:
      'They are likelihoods of the whole list: of which item is first, or of the full order (Plackett-Luce).',
    unless: 'labels are often tied: list_mle takes tied items in the order in which they are sent.',
  },
  {
    task: 'ranking',
    wish: 'metric',
    losses: ['lambda_rank', 'approx_ndcg'],
    because:
      'lambda_rank weights each pair by how much swapping it changes NDCG. approx_ndcg is NDCG with soft ranks.',
    unless: 'scores are far apart: soft ranks then have no gradient.',
  },
  {
    task: 'ranking',
    trouble: 'masks',
    losses: ['softmax_ranking', 'pairwise_logistic_ranking', 'approx_ndcg'],
    because: 'mask leaves padding out of the normalizer, the pairs and the mean.',
    unless: 'padding is marked by negative labels: here these are ordinary labels, so send a mask.',
  },
  {
    task: 'embedding',
    losses: ['triplet_margin', 'contrastive', 'cosine_embedding', 'hinge_embedding'],
    because:
      'You choose the pairs or triplets: similar samples are pulled together, others pushed beyond a margin.',
    unless: 'most of them are easy: use a loss that mines the batch.',
  },
  {
    task: 'embedding',
    trouble: 'hard examples',
    losses: ['triplet_batch', 'multi_similarity', 'circle'],
    because: 'They select or emphasize the hard triplets and pairs of the batch.',
    unless: 'labels are noisy: the hardest pairs are then the mislabelled ones.',
  },
  {
    task: 'retrieval',
    losses: ['multiple_negatives_ranking', 'nt_xent', 'supcon'],
    because:
      'The rest of the batch serves as negatives. multiple_negatives_ranking with symmetric: true is the CLIP loss; supcon uses labels and all positives.',
    unless: 'batches are small, or contain duplicates, which then count as negatives.',
  },
  {
    task: 'distillation',
    losses: ['distillation_kl', 'kl_div', 'cosine_similarity'],
    because:
      "A temperature brings out the teacher's opinion of the wrong classes. cosine_similarity matches features.",
    unless: 'you have only labels: use cross_entropy with label_smoothing.',
  },
  {
    task: 'distillation',
    wish: 'robustness',
    losses: ['js_div', 'generalized_kl_div'],
    because:
      'Jensen-Shannon divergence is bounded and symmetric. Generalized KL also compares vectors that do not sum to 1.',
    unless: 'you need the direction of KL, where missing a mode is expensive.',
  },
  {
    task: 'segmentation',
    trouble: 'imbalance',
    losses: ['dice', 'generalized_dice', 'tversky', 'focal_tversky'],
    because:
      'Overlap does not depend on the size of the background. tversky trades missed pixels against extra pixels.',
    unless:
      'regions are often empty: smooth decides what an empty region costs. If training is unstable, add cross-entropy with POST /v1/losses:compose.',
  },
  {
    task: 'segmentation',
    trouble: 'masks',
    losses: ['dice', 'generalized_dice', 'tversky', 'jaccard', 'lovasz'],
    because:
      'All of them take a mask, and class indices with an ignored index. Such pixels count in no sum, whatever they contain.',
    unless: 'whole rows are missing: give these a sample_weight of 0 instead.',
  },
  {
    task: 'segmentation',
    wish: 'metric',
    losses: ['lovasz', 'jaccard'],
    because: 'lovasz is a convex surrogate of IoU, jaccard a soft form of it.',
    unless: 'you train from scratch: use them to fine-tune after cross-entropy or dice.',
  },
  {
    task: 'boxes',
    wish: 'metric',
    losses: ['giou', 'diou', 'ciou', 'iou'],
    because:
      'IoU alone has no gradient for boxes that do not overlap. giou, diou and ciou add distance and shape.',
    unless: 'targets are degenerate boxes: all of these then only pull boxes together.',
  },
  {
    task: 'boxes',
    trouble: 'imbalance',
    losses: ['varifocal', 'distribution_focal', 'sigmoid_focal'],
    because:
      'For dense detectors: varifocal learns scores that predict IoU, distribution_focal learns box borders as distributions over bins.',
    unless: 'there are few candidate boxes.',
  },
])
