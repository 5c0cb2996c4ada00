/** LightGBM: a custom objective and its metric, in NumPy. */
import { type BoostingPhrases, boostingProgram, writeBoosting } from '../boosting.ts'
import type { Target } from '../contract.ts'
import { TAKEN_IN_PYTHON } from '../python.ts'

const target: Target = {
  name: 'lightgbm',
  family: 'boosting',
  about: 'A LightGBM objective of (preds, dtrain), with gradient and diagonal Hessian, and a metric.',
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
  data: 'Dataset',
  usage: (name) =>
    `For LightGBM (version 4 or later): lgb.train({"objective": ${name}, "metric": "None"}, dtrain, feval=${name}_metric). Scores are raw and begin at 0, or at the init_score of the data.`,
  hasLabelMatrix: false,
  metric: (name, mean) => `"${name}", ${mean}, False`,
}
