/** XGBoost: a custom objective and its metric, in NumPy. */
import { type BoostingPhrases, boostingTarget } from '../boosting.ts'

const PHRASES: BoostingPhrases = {
  data: 'DMatrix',
  usage: (name) =>
    `For XGBoost: xgb.train(params, dtrain, obj=${name}, custom_metric=${name}_metric), with disable_default_eval_metric in params. Scores are raw: base_score is in their units.`,
  hasLabelMatrix: true,
  metric: (name, mean) => `"${name}", ${mean}`,
}

export default boostingTarget({ name: 'xgboost', library: 'An XGBoost', phrases: PHRASES })
