/**
 * Aliases: the names by which people know losses. A framework's name also works if its module is omitted or
 * abbreviated (`F.mse_loss`, `MSELoss`, `tf.keras.losses.mse`). Objectives of boosting libraries, and metrics, have
 * conventions of their own (sums, halves, labels), so for those the closest losses are only suggested.
 */
import type { ResolvedLoss } from './define.ts'

/** A framework's module -> the ways in which people write it; the empty one omits it. */
const MODULES: readonly (readonly [module: string, others: readonly string[]])[] = [
  ['torch.nn.functional.', ['nn.functional.', 'functional.', 'F.', '']],
  ['torch.nn.', ['nn.', '']],
  ['keras.losses.', ['tf.keras.losses.', 'tensorflow.keras.losses.', '']],
  ['torchvision.ops.', ['ops.']],
]

/** Keras' short names -> its long ones. */
const KERAS_SHORT: Readonly<Record<string, string>> = {
  mse: 'mean_squared_error',
  MSE: 'mean_squared_error',
  mae: 'mean_absolute_error',
  MAE: 'mean_absolute_error',
  mape: 'mean_absolute_percentage_error',
  MAPE: 'mean_absolute_percentage_error',
  msle: 'mean_squared_logarithmic_error',
  MSLE: 'mean_squared_logarithmic_error',
  bce: 'binary_crossentropy',
  BCE: 'binary_crossentropy',
  kld: 'kl_divergence',
  KLD: 'kl_divergence',
  kullback_leibler_divergence: 'kl_divergence',
  logcosh: 'log_cosh',
  huber_loss: 'huber',
  cosine_proximity: 'cosine_similarity',
}

/**
 * The names that are derived from those of the losses, with the defaults that each implies. Names that a loss
 * already has are left out.
 *
 * @example
 * derivedAliases(byName).get('nn.MSELoss') // the same as 'torch.nn.MSELoss'
 */
export function derivedAliases(byName: ReadonlyMap<string, ResolvedLoss>): Map<string, ResolvedLoss> {
  const found = new Map<string, ResolvedLoss>()
  for (const [name, resolved] of respelled(byName)) {
    if (!byName.has(name) && !found.has(name)) found.set(name, resolved)
  }
  return found
}

function* respelled(byName: ReadonlyMap<string, ResolvedLoss>): Generator<[string, ResolvedLoss]> {
  const names = [...byName, ...kerasShort(byName)]
  yield* kerasShort(byName)
  for (const [module, others] of MODULES) {
    for (const [name, resolved] of names) {
      if (!name.startsWith(module)) continue
      const own = name.slice(module.length)
      // A function of a submodule belongs to that submodule.
      if (!own.includes('.')) for (const other of others) yield [`${other}${own}`, resolved]
    }
  }
}

function* kerasShort(byName: ReadonlyMap<string, ResolvedLoss>): Generator<[string, ResolvedLoss]> {
  for (const [short, long] of Object.entries(KERAS_SHORT)) {
    const resolved = byName.get(`keras.losses.${long}`)
    if (resolved !== undefined) yield [`keras.losses.${short}`, resolved]
  }
}

/**
 * Objectives, metrics and functions of other libraries -> the closest losses, the most likely first. In lower case,
 * except where that would be ambiguous.
 */
export const NAMES_IN_OTHER_LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  // XGBoost
  'reg:squarederror': ['half_squared', 'mse'],
  'reg:linear': ['half_squared', 'mse'],
  'reg:squaredlogerror': ['msle'],
  'reg:logistic': ['binary_cross_entropy_with_logits'],
  'reg:pseudohubererror': ['barron_robust', 'huber'],
  'reg:absoluteerror': ['l1'],
  'reg:quantileerror': ['quantile'],
  'reg:expectileerror': ['expectile'],
  'reg:gamma': ['gamma_nll'],
  'reg:tweedie': ['tweedie'],
  'count:poisson': ['poisson_nll'],
  'binary:logistic': ['binary_cross_entropy_with_logits'],
  'binary:logitraw': ['binary_cross_entropy_with_logits'],
  'binary:hinge': ['hinge'],
  'multi:softmax': ['cross_entropy'],
  'multi:softprob': ['cross_entropy'],
  'rank:pairwise': ['pairwise_logistic_ranking'],
  'rank:ndcg': ['lambda_rank'],
  'rank:map': ['lambda_rank'],
  // LightGBM
  regression: ['half_squared', 'mse'],
  regression_l2: ['half_squared', 'mse'],
  regression_l1: ['l1'],
  fair: ['barron_robust'],
  gamma: ['gamma_nll'],
  binary: ['binary_cross_entropy_with_logits'],
  multiclass: ['cross_entropy'],
  multiclassova: ['binary_cross_entropy_with_logits'],
  multiclass_ova: ['binary_cross_entropy_with_logits'],
  xentropy: ['binary_cross_entropy_with_logits'],
  cross_entropy_lambda: ['binary_cross_entropy_with_logits'],
  lambdarank: ['lambda_rank'],
  rank_xendcg: ['softmax_ranking', 'approx_ndcg'],
  // CatBoost
  Logloss: ['binary_cross_entropy_with_logits', 'binary_cross_entropy'],
  rmse: ['mse'],
  crossentropy: ['cross_entropy', 'binary_cross_entropy_with_logits'],
  multiclassonevsall: ['binary_cross_entropy_with_logits'],
  pairlogit: ['pairwise_logistic_ranking'],
  querysoftmax: ['softmax_ranking'],
  queryrmse: ['pairwise_mse_ranking'],
  // scikit-learn, and metrics
  logloss: ['binary_cross_entropy', 'binary_cross_entropy_with_logits'],
  log_loss: ['binary_cross_entropy', 'binary_cross_entropy_with_logits'],
  neg_log_loss: ['binary_cross_entropy', 'binary_cross_entropy_with_logits'],
  mlogloss: ['cross_entropy_from_probs', 'cross_entropy'],
  multi_logloss: ['cross_entropy_from_probs', 'cross_entropy'],
  binary_logloss: ['binary_cross_entropy'],
  binomial_deviance: ['binary_cross_entropy_with_logits'],
  brier: ['mse'],
  brier_score: ['mse'],
  neg_brier_score: ['mse'],
  absolute_error: ['l1'],
  root_mean_squared_error: ['mse'],
  neg_root_mean_squared_error: ['mse'],
  neg_mean_squared_error: ['mse'],
  neg_mean_absolute_error: ['l1'],
  median_absolute_error: ['l1'],
  rmsle: ['msle'],
  smape: ['mape'],
  epsilon_insensitive: ['l1', 'huber'],
  modified_huber: ['squared_hinge'],
  pseudo_huber: ['barron_robust', 'huber'],
  pseudo_huber_loss: ['barron_robust', 'huber'],
  ndcg: ['approx_ndcg', 'lambda_rank'],
  // TensorFlow
  'tf.nn.softmax_cross_entropy_with_logits': ['cross_entropy'],
  'tf.nn.sparse_softmax_cross_entropy_with_logits': ['cross_entropy'],
  'tf.nn.sigmoid_cross_entropy_with_logits': ['binary_cross_entropy_with_logits'],
  'tf.nn.weighted_cross_entropy_with_logits': ['binary_cross_entropy_with_logits'],
  'tf.nn.l2_loss': ['half_squared'],
  'tf.nn.ctc_loss': ['ctc'],
  softmax_cross_entropy_with_logits: ['cross_entropy'],
  sparse_softmax_cross_entropy_with_logits: ['cross_entropy'],
  sigmoid_cross_entropy_with_logits: ['binary_cross_entropy_with_logits'],
  // Words
  softmax: ['cross_entropy'],
  sigmoid: ['binary_cross_entropy_with_logits'],
  logistic: ['binary_cross_entropy_with_logits'],
  logistic_loss: ['binary_cross_entropy_with_logits'],
  bcewithlogits: ['binary_cross_entropy_with_logits'],
  cce: ['cross_entropy'],
  scce: ['cross_entropy'],
  xent: ['cross_entropy'],
  negative_log_likelihood: ['nll'],
  squared_loss: ['mse', 'half_squared'],
  least_squares: ['mse', 'half_squared'],
  l2: ['mse', 'half_squared'],
  focal_loss: ['sigmoid_focal', 'softmax_focal'],
  infonce: ['info_nce'],
  simclr: ['nt_xent'],
  lovasz_softmax: ['lovasz'],
  iou_loss: ['jaccard', 'iou'],
  wing: ['smooth_l1'],
}

/**
 * What a name that no loss has may mean: a name from another library, a different spelling, or a typo.
 *
 * @param known every known name
 * @returns the most likely first; empty if nothing is close
 * @example
 * suggestLosses('binary:logistic', known) // ['binary_cross_entropy_with_logits']
 */
export function suggestLosses(name: string, known: readonly string[], nearest: Nearest): readonly string[] {
  const plain = plainOf(name.toLowerCase())
  if (plain === '') return []
  const elsewhere = elsewhereAs(name) ?? elsewhereAs(name.toLowerCase())
  if (elsewhere !== undefined) return elsewhere
  const alike = known.find((one) => plainOf(one.toLowerCase()) === plain)
  if (alike !== undefined) return [alike]
  const own = known.filter((one) => !one.includes('.'))
  const guess = nearest(lastOf(name), own) ?? nearest(name, known)
  return elsewhereAs(plain) ?? (guess === undefined ? [] : [guess])
}

function elsewhereAs(name: string): readonly string[] | undefined {
  return Object.hasOwn(NAMES_IN_OTHER_LIBRARIES, name) ? NAMES_IN_OTHER_LIBRARIES[name] : undefined
}

type Nearest = (name: string, candidates: Iterable<string>) => string | undefined

/** Without its module, its separators and the word loss, so that `BCE-Loss` and `bce` are equal. */
function plainOf(name: string): string {
  const plain = lastOf(name).replaceAll(/[^a-z0-9]/g, '')
  return plain === 'loss' ? plain : plain.replace(/loss$/, '')
}

function lastOf(name: string): string {
  return name.slice(Math.max(name.lastIndexOf('.'), name.lastIndexOf(':')) + 1)
}
