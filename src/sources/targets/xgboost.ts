/** XGBoost: a custom objective and its metric, in NumPy. */
import { type BoostingPhrases, boostingProgram, writeBoosting } from '../boosting.ts'
import type { Target } from '../contract.ts'
import { TAKEN_IN_PYTHON } from '../python.ts'

const target: Target = {
  name: 'xgboost',
  family: 'boosting',
  about: 'An XGBoost objective of (preds, dtrain), with gradient and diagonal Hessian, and a metric.',
  mediaType: 'text/x-python',
  extension: '.py',
  precisions: ['float64'],
  dialects: [],
  taken: TAKEN_IN_PYTHON,
  programOf: boostingProgram,
  write: (source, options) => writeBoosting(source, options, PHRASES),
}

export default target

const PHRASES: BoostingPhrases = {
  data: 'DMatrix',
  usage: (name) =>
    `For XGBoost: xgb.train(params, dtrain, obj=${name}, custom_metric=${name}_metric), with disable_default_eval_metric in params. Scores are raw: base_score is in their units.`,
  hasLabelMatrix: true,
  metric: (name, mean) => `"${name}", ${mean}`,
}
