/** LightGBM: a custom objective and its metric, in NumPy. */
import { type BoostingPhrases, boostingTarget } from '../boosting.ts'

const PHRASES: BoostingPhrases = {
  data: 'Dataset',
  usage: (name) =>
    `For LightGBM (version 4 or later): lgb.train({"objective": ${name}, "metric": "None"}, dtrain, feval=${name}_metric). Scores are raw and begin at 0, or at the init_score of the data.`,
  hasLabelMatrix: false,
  metric: (name, mean) => `"${name}", ${mean}, False`,
}

export default boostingTarget({ name: 'lightgbm', library: 'A LightGBM', phrases: PHRASES })
